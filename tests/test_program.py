"""Commands begin with what the command line was started by."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from draw.errors import CutShort, Interruption
from draw.program import note_program, program


@pytest.fixture(autouse=True)
def draw_again() -> Iterator[None]:
    yield
    note_program("draw")


@pytest.mark.parametrize(
    ("started", "typed"),
    [
        ("/usr/bin/draw", "draw"),
        ("Scripts/draw.exe", "draw"),
        ("/lib/site-packages/draw/__main__.py", "draw"),
        ("-c", "draw"),
        ("", "draw"),
        ("own.py", "python own.py"),
        ("my parts/own.py", "python 'my parts/own.py'"),
        ("/lib/site-packages/ours/__main__.py", "python -m ours"),
        ("/usr/bin/ours", "/usr/bin/ours"),
    ],
)
def test_what_is_typed_again(started: str, typed: str) -> None:
    note_program(started)
    assert program() == typed
    again = f"{typed} train --resume run"
    assert str(Interruption(Path("run"), 3)).endswith(f"Go on with: {again}")
    assert str(CutShort(Path("run"), 3, 2)).endswith(again)
