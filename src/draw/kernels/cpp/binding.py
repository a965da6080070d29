"""The call into the compiled kernel: shapes and addresses, as src/layout.h has them."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import KernelUnavailableError
from draw.kernels.cpp import buffers
from draw.kernels.cpp.build import library

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
"""Names of a DRAW's parameters in the order of src/layout.h; see `drawing_names`."""

GLIMPSES_PARAMETERS = (
    "h_0", "c_0", "lstm.weight_ih", "lstm.weight_hh", "lstm.bias_ih", "lstm.bias_hh",
    "read_window.weight", "read_window.bias",
)  # fmt: skip
"""Names of a classifier's parameters in the order of src/glimpses.h."""


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "glimpses", "batch", "channels", "rows", "columns", "hidden", "latent", "read_size",
            "write_size", "gaussian", "learned",
        )
    ]  # fmt: skip


def _pointers(*names: str) -> list[tuple[str, type[ctypes.c_void_p]]]:
    return [(name, ctypes.c_void_p) for name in names]


class _Call(ctypes.Structure):
    _fields_ = [
        ("shape", _Shape),
        ("parameters", ctypes.c_void_p * len(PARAMETERS)),
        *_pointers(
            "images", "noise", "context_enc", "context_dec", "canvas", "canvases", "read_controls",
            "write_controls", "kl", "log_ratio", "saved", "scratch", "dcanvas", "dkl",
            "dlog_ratio",
        ),
        ("gradients", ctypes.c_void_p * len(PARAMETERS)),
        *_pointers("dimages", "dnoise", "dcontext_enc", "dcontext_dec"),
    ]  # fmt: skip


class _GlimpsesCall(ctypes.Structure):
    _fields_ = [
        ("shape", _Shape),
        ("parameters", ctypes.c_void_p * len(GLIMPSES_PARAMETERS)),
        *_pointers("images", "h", "controls", "saved", "scratch", "dh"),
        ("gradients", ctypes.c_void_p * len(GLIMPSES_PARAMETERS)),
        *_pointers("dimages"),
        ("longest", ctypes.c_double),
    ]


def drawing_names(*, gaussian: bool, learned: bool) -> tuple[str, ...]:
    """Names of a model's parameters in the order of the operators.

    Args:
        gaussian: whether the model has windows.
        learned: whether the model has a learned prior.
    """
    absent = (() if gaussian else _OF_WINDOWS) + (() if learned else _OF_PRIOR)
    return tuple(name for name in PARAMETERS if not name.startswith(absent))


_OF_WINDOWS = "attention.read_window", "attention.write_window"
_OF_PRIOR = ("prior.",)


@dataclass(frozen=True)
class Pass:
    """A pair of compiled functions, forward and backward, and their parameters' names."""

    name: str
    call: type[ctypes.Structure]
    parameters: tuple[str, ...]
    """Names of the parameters in the order of the structure."""
    names: Callable[[Sequence[int]], tuple[str, ...]]
    """Function from a shape to the names of the parameters that a model has, in the order of the
    operator."""


UNROLL = Pass(
    "draw",
    _Call,
    PARAMETERS,
    lambda shape: drawing_names(gaussian=bool(shape[-2]), learned=bool(shape[-1])),
)
GLIMPSES = Pass("glimpses", _GlimpsesCall, GLIMPSES_PARAMETERS, lambda shape: GLIMPSES_PARAMETERS)


@dataclass(frozen=True)
class Kind:
    """Type of the numbers of a call."""

    dtype: torch.dtype
    """Type of all tensors: float64 or float32."""
    bf16: bool
    """Whether matrix products round their operands to bfloat16 (float32 only)."""

    @property
    def code(self) -> int:
        """Code of the type in src/unroll.cpp."""
        return 0 if self.dtype == torch.float64 else 2 if self.bf16 else 1


def shape_of(config: DRAWConfig) -> list[int]:
    """Shape of a DRAW as an operator takes it."""
    return [
        config.glimpses, config.channels, config.rows, config.columns, config.hidden_size,
        config.latent_size, config.read_size, config.write_size, config.attention == "gaussian",
        config.prior == "learned",
    ]  # fmt: skip


def shape_of_classifier(config: ClassifierConfig) -> list[int]:
    """Shape of a classifier as an operator takes it."""
    return [
        config.glimpses, config.channels, config.rows, config.columns, config.hidden_size, 0,
        config.read_size, 0, True, False,
    ]  # fmt: skip


def make_call(
    which: Pass,
    shape: Sequence[int],
    batch: int | torch.SymInt,
    **tensors: Tensor | Sequence[Tensor] | None,
) -> ctypes.Structure:
    """Make a call whose tensors are given by the names of the C++ structure; None is a null.

    The caller keeps the tensors alive, and has made them contiguous. Lists are in the order of the
    operator.
    """
    call = which.call()
    glimpses, *rest = shape
    setattr(call, "shape", _Shape(glimpses, int(batch), *rest))  # noqa: B010  (mypy sees no fields)
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            setattr(call, name, value.data_ptr())
        elif value is not None:
            places = getattr(call, name)
            for parameter, tensor in zip(which.names(shape), value, strict=True):
                places[which.parameters.index(parameter)] = tensor.data_ptr()
    return call


def saved_bytes(which: Pass, kind: Kind, shape: Sequence[int], batch: int | torch.SymInt) -> int:
    """Bytes that a forward pass saves for the backward pass: of no images, none."""
    if batch == 0:
        return 0
    function = getattr(library(), f"{which.name}_saved_bytes")
    function.restype = ctypes.c_int64
    glimpses, *rest = map(int, shape)
    return int(function(kind.code, ctypes.byref(_Shape(glimpses, int(batch), *rest))))


def run(which: Pass, kind: Kind, call: ctypes.Structure, *, backward: bool) -> None:
    """Make a call, with scratch memory of its own; without images there is nothing to do."""
    if getattr(call, "shape").batch == 0:  # noqa: B009
        return
    native = library()
    call_bytes = getattr(native, f"{which.name}_call_bytes")
    scratch_bytes = getattr(native, f"{which.name}_scratch_bytes")
    call_bytes.restype = scratch_bytes.restype = ctypes.c_int64
    if call_bytes() != ctypes.sizeof(which.call):
        raise KernelUnavailableError("the compiled kernel has another form of call; rebuild it")
    scratch = buffers.take(scratch_bytes(kind.code, ctypes.byref(call), int(backward)))
    setattr(call, "scratch", scratch.data_ptr())  # noqa: B010
    direction = "backward" if backward else "forward"
    getattr(native, f"{which.name}_{direction}")(kind.code, ctypes.byref(call))
