"""Functions of one step under `torch.compile`, one graph for each set of shapes, and checked.

A compiled function is compared with itself as it is at its first call: where the two differ, or it
cannot be compiled, it runs as it is from then on, and the log says so.
"""

import logging
import warnings
from collections.abc import Callable, Hashable, Iterator
from functools import cache, lru_cache
from importlib.util import find_spec
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor

from draw.attention.abstract import AbstractWindow

log = logging.getLogger(__name__)

TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 1e-3,
    torch.float16: 2e-2,
    torch.bfloat16: 0.1,
}
"""Largest difference as a share of a tensor's largest number, which counts for at least `FLOOR`,
by the coarsest type of number in a call; room for TF32 in float32."""
FLOOR = 1e-2
MOST = 64
"""Graphs that are kept, the latest used."""


def obstacle(device: torch.device) -> str | None:
    """Say why `torch.compile` cannot be used for a device; None where it can.

    Args:
        device: device of the tensors.
    """
    if device.type not in ("cpu", "cuda"):
        return f"torch.compile is not used on {device.type}"
    if device.type == "cuda" and not _has_triton():
        return "torch.compile needs Triton on a GPU, which is not installed"
    return None


@cache
def _has_triton() -> bool:
    return find_spec("triton") is not None


class CompiledFunction:
    """A function under `torch.compile`, for tensors of one set of shapes.

    Args:
        function: function of tensors and plain values, none of which it changes.
        whole: whether it must become one graph; where not, Python may come in between.
    """

    def __init__(self, function: Callable[..., Any], *, whole: bool = True) -> None:
        self._function = function
        self._compiled: Callable[..., Any] | None = torch.compile(
            _copy_of(function), fullgraph=whole, dynamic=False, options={"triton.cudagraphs": False}
        )
        self._proven = False

    def __call__(self, *given: Any) -> Any:
        """Call the function, compiled where that is proven."""
        if self._compiled is None:
            return self._function(*given)
        if self._proven:
            return self._compiled(*given)
        return self._prove(given)

    def _prove(self, given: tuple[Any, ...]) -> Any:
        """The first call: as it is and compiled, side by side."""
        expected = self._function(*given)
        assert self._compiled is not None
        try:
            with warnings.catch_warnings():
                # what multiplies is --precision's to say, which names tf32
                warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")
                found = self._compiled(*given)
            said = _difference([*tensors_in(expected)], [*tensors_in(found)])
        except (torch.OutOfMemoryError, MemoryError, KeyboardInterrupt):
            raise
        except Exception as error:  # whatever a compiler may come upon
            said = f"torch.compile fails ({type(error).__name__}: {str(error).split(chr(10))[0]})"
        if said is None:
            self._proven = True
            return found
        log.warning("%s runs uncompiled, several times slower: %s", _name_of(self._function), said)
        self._compiled = None
        return expected


@lru_cache(maxsize=MOST)
def _compile(function: Callable[..., Any], key: Hashable) -> CompiledFunction:
    return CompiledFunction(function)


def compiler_for(key: Hashable) -> Callable[[Callable[..., Any]], CompiledFunction]:
    """Make a compiler of the package's functions, which compiles each once.

    Args:
        key: equal for calls with equal shapes, types, devices and plain values alone.
    """
    return lambda function: _compile(function, key)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """List the tensors of what a step returns: tuples, windows and tensors within one another."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, AbstractWindow):
        yield from value.numbers.values()
    elif isinstance(value, tuple | list):
        for part in value:
            yield from tensors_in(part)


def _copy_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function or method with a code object of its own: torch allows eight graphs of each."""
    if isinstance(function, MethodType):
        return MethodType(_copy_of(function.__func__), function.__self__)
    if not isinstance(function, FunctionType):
        return function
    copy = FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__,
        function.__defaults__, function.__closure__,
    )  # fmt: skip
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _difference(expected: list[Tensor], found: list[Tensor]) -> str | None:
    """Say how results differ by more than rounding, in the numbers that autocast multiplies too."""
    if len(expected) != len(found):
        return f"compiled, it returns {len(found)} tensors instead of {len(expected)}"
    kinds = {value.dtype for value in expected if value.is_floating_point()}
    places = {value.device.type for value in expected}
    kinds |= {
        torch.get_autocast_dtype(place) for place in places if torch.is_autocast_enabled(place)
    }
    tolerance = max((TOLERANCES.get(kind, 0.1) for kind in kinds), default=0.0)
    for value, other in zip(expected, found, strict=True):
        if value.shape != other.shape or value.dtype != other.dtype:
            return (
                f"compiled, it returns {other.dtype} {list(other.shape)} instead of "
                f"{value.dtype} {list(value.shape)}"
            )
        if not value.numel():
            continue
        apart = (other.double() - value.double()).abs().amax()
        error = float((apart / (value.double().abs().amax() + FLOOR)).detach())
        if not error <= tolerance and bool(value.isfinite().all()):
            return f"compiled, its results differ by {error:.1g}"
    return None
