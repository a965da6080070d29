"""What a class's code may use is read at every forward pass; each edit is seen."""

from collections.abc import Callable

import pytest

from draw.kernels.package_code import code_of


def fresh() -> type:
    class Owner:
        """A class of this test's own."""

        def step(self) -> None: ...

        def write(self) -> None: ...

    return Owner


def rename(owner: type) -> None:
    owner.read = owner.write  # type: ignore[attr-defined]
    del owner.write  # type: ignore[attr-defined]


def hide(owner: type) -> None:
    """As many names as before: one that does not count is gone, one that counts has come."""
    del owner.___of_the_compiler  # type: ignore[attr-defined]
    owner.read = None  # type: ignore[attr-defined]


EDITS: dict[str, Callable[[type], None]] = {
    "replaced": lambda owner: setattr(owner, "step", lambda self: None),
    "added": lambda owner: setattr(owner, "read", None),
    "removed": lambda owner: delattr(owner, "write"),
    "renamed": rename,
    "as many names": hide,
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_seen(edit: str) -> None:
    owner = fresh()
    owner.___of_the_compiler = None  # type: ignore[attr-defined]
    before = code_of(owner, [owner])
    assert code_of(owner, [owner]) == before
    EDITS[edit](owner)
    after = code_of(owner, [owner])
    assert after != before
    assert code_of(owner, [owner]) == after


def test_what_the_compiler_puts_there_is_no_edit() -> None:
    owner = fresh()
    before = code_of(owner, [owner])
    owner.___of_the_compiler = 1  # type: ignore[attr-defined]
    assert code_of(owner, [owner]) == before
    del owner.___of_the_compiler  # type: ignore[attr-defined]
    assert code_of(owner, [owner]) == before
