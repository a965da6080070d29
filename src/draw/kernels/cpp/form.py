"""The form of a call into the compiled kernel: its names and their order, as in src/layout.h.

The library hands out the lists that it was compiled with, and they are compared when it is loaded:
a name that moved on one side alone would put a number into another one's place.
"""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from draw.errors import KernelUnavailableError

SHAPE = (
    "glimpses", "batch", "channels", "rows", "columns", "hidden", "latent", "read_size",
    "write_size", "read_heads", "write_heads", "filters", "learned",
)  # fmt: skip
"""Names of the numbers that say how large a model and a batch are, and of what it is made."""

FILTERS = "none", "gaussian", "cauchy", "laplace", "rotated"
"""Names of the kinds of filters, whose places here stand in a shape."""

PARAMETERS = (
    "canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0",
    "lstm_enc.weight_ih", "lstm_enc.weight_hh", "lstm_enc.bias_ih", "lstm_enc.bias_hh",
    "lstm_dec.weight_ih", "lstm_dec.weight_hh", "lstm_dec.bias_ih", "lstm_dec.bias_hh",
    "mu.weight", "mu.bias", "log_sigma.weight", "log_sigma.bias",
    "attention.write_content.weight", "attention.write_content.bias",
    "attention.read_window.weight", "attention.read_window.bias",
    "attention.write_window.weight", "attention.write_window.bias",
    "prior.mu.weight", "prior.mu.bias", "prior.log_sigma.weight", "prior.log_sigma.bias",
)  # fmt: skip
"""Names of a DRAW's parameters in the order of a call; a model has those of `drawing_names`."""

TENSORS = (
    "images", "noise", "context_enc", "context_dec", "unit_mask", "canvas", "canvases",
    "read_controls", "write_controls", "kl", "log_ratio", "saved", "scratch", "dcanvas", "dkl",
    "dlog_ratio", "dimages", "dnoise", "dcontext_enc", "dcontext_dec",
)  # fmt: skip
"""Names of the other tensors of a DRAW's call."""

GLIMPSES_PARAMETERS = (
    "h_0", "c_0", "lstm.weight_ih", "lstm.weight_hh", "lstm.bias_ih", "lstm.bias_hh",
    "read_window.weight", "read_window.bias",
)  # fmt: skip
"""Names of a classifier's parameters in the order of a call."""

GLIMPSES_TENSORS = "images", "h", "controls", "saved", "scratch", "dh", "dimages"
"""Names of the other tensors of a classifier's call."""


def placing_of(attention: str) -> int:
    """Numbers that place a window: five (eq 21), and the angle of one that turns.

    Args:
        attention: kind of the filters, of `FILTERS`.
    """
    return 6 if attention == "rotated" else 5


class Shape(ctypes.Structure):
    """The numbers in `SHAPE`."""

    _fields_ = [(name, ctypes.c_int64) for name in SHAPE]


class _Call(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("parameters", ctypes.c_void_p * len(PARAMETERS)),
        ("gradients", ctypes.c_void_p * len(PARAMETERS)),
        *((name, ctypes.c_void_p) for name in TENSORS),
    ]


class _GlimpsesCall(ctypes.Structure):
    _fields_ = [
        ("shape", Shape),
        ("parameters", ctypes.c_void_p * len(GLIMPSES_PARAMETERS)),
        ("gradients", ctypes.c_void_p * len(GLIMPSES_PARAMETERS)),
        *((name, ctypes.c_void_p) for name in GLIMPSES_TENSORS),
        ("longest", ctypes.c_double),
    ]


def drawing_names(*, windows: bool, learned: bool) -> tuple[str, ...]:
    """Names of a model's parameters in the order of the operators.

    Args:
        windows: whether the model has windows.
        learned: whether the model has a learned prior.
    """
    absent = (() if windows else _OF_WINDOWS) + (() if learned else _OF_PRIOR)
    return tuple(name for name in PARAMETERS if not name.startswith(absent))


_OF_WINDOWS = "attention.read_window", "attention.write_window"
_OF_PRIOR = ("prior.",)


@dataclass(frozen=True)
class Pass:
    """A pair of compiled functions, forward and backward, and the form of their calls."""

    name: str
    call: type[ctypes.Structure]
    parameters: tuple[str, ...]
    """Names of the parameters in the order of the structure."""
    tensors: tuple[str, ...]
    """Names of the other tensors in the order of the structure."""
    names: Callable[[Sequence[int]], tuple[str, ...]]
    """Function from a shape to the names of the parameters that a model has, in the order of the
    operator."""


UNROLL = Pass(
    "draw",
    _Call,
    PARAMETERS,
    TENSORS,
    lambda shape: drawing_names(windows=bool(shape[-2]), learned=bool(shape[-1])),
)
GLIMPSES = Pass(
    "glimpses",
    _GlimpsesCall,
    GLIMPSES_PARAMETERS,
    GLIMPSES_TENSORS,
    lambda shape: GLIMPSES_PARAMETERS,
)


def check_form(library: ctypes.CDLL) -> None:
    """Refuse a library whose lists of names are not those of this file.

    Args:
        library: the compiled kernel.

    Raises:
        KernelUnavailableError: if a list differs, with both, or a call has another size.
    """
    for each in (UNROLL, GLIMPSES):
        lists = {
            "shape": SHAPE,
            "filters": FILTERS,
            "parameters": each.parameters,
            "tensors": each.tensors,
        }
        for what, here in lists.items():
            function = getattr(library, f"{each.name}_{what}")
            function.restype = ctypes.c_char_p
            there = tuple(function().decode().split())
            if there != here:
                raise KernelUnavailableError(
                    f"expected the compiled {each.name} to take its {what} as {', '.join(here)}; "
                    f"it takes them as {', '.join(there)}. Make the list in "
                    "draw/kernels/cpp/src and that in draw/kernels/cpp/form.py the same"
                )
        size = getattr(library, f"{each.name}_call_bytes")
        size.restype = ctypes.c_int64
        if size() != ctypes.sizeof(each.call):
            raise KernelUnavailableError(
                f"expected a call of the compiled {each.name} to have {ctypes.sizeof(each.call)} "
                f"bytes, got {size()}; make the structures in draw/kernels/cpp/src and "
                "draw/kernels/cpp/form.py the same"
            )
