"""The lists of names that the C++ and Python both have: compared when the library is loaded."""

import ctypes
import dataclasses
from collections.abc import Iterator

import pytest

from draw import DRAW, DRAWConfig
from draw.errors import KernelUnavailableError
from draw.kernels.cpp import build, form

LISTS = ("shape", "filters", "parameters", "tensors")


@pytest.fixture
def loaded() -> Iterator[ctypes.CDLL]:
    """The library, which later tests load anew."""
    try:
        yield build.library()
    except KernelUnavailableError as error:
        pytest.skip(str(error))
    finally:
        build._outcome.cache_clear()


def swapped(names: tuple[str, ...]) -> tuple[str, ...]:
    """The same names, the last two in each other's place."""
    return *names[:-2], names[-1], names[-2]


def test_both_sides_agree(loaded: ctypes.CDLL) -> None:
    form.check_form(loaded)


@pytest.mark.parametrize("which", LISTS)
@pytest.mark.parametrize("call", ["UNROLL", "GLIMPSES"])
def test_another_order_is_refused_with_both(
    loaded: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch, call: str, which: str
) -> None:
    one = getattr(form, call)
    of_both = which in ("shape", "filters")
    here = swapped(getattr(form, which.upper()) if of_both else getattr(one, which))
    if of_both:
        monkeypatch.setattr(form, which.upper(), here)
    else:
        monkeypatch.setattr(form, call, dataclasses.replace(one, **{which: here}))
    with pytest.raises(KernelUnavailableError) as refusal:
        form.check_form(loaded)
    words = str(refusal.value)
    assert f"its {which} as {', '.join(here)}; it takes them as {', '.join(swapped(here))}" in words


def test_another_size_of_a_call_is_refused(
    loaded: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Longer(form.UNROLL.call):  # type: ignore[name-defined, misc]
        _fields_ = (("more", ctypes.c_void_p),)

    monkeypatch.setattr(form, "UNROLL", dataclasses.replace(form.UNROLL, call=Longer))
    with pytest.raises(KernelUnavailableError, match="a call of the compiled draw to have"):
        form.check_form(loaded)


def test_a_model_then_runs_its_own_code(
    loaded: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is computed with numbers in each other's places; the reason is told."""
    other = dataclasses.replace(form.UNROLL, parameters=swapped(form.PARAMETERS))
    monkeypatch.setattr(form, "UNROLL", other)
    build._outcome.cache_clear()
    choice = DRAW(DRAWConfig(rows=5, columns=5, glimpses=2, hidden_size=4, latent_size=2)).choice
    assert choice.name == "reference"
    assert "expected the compiled draw to take its parameters as canvas_0" in choice.reason
