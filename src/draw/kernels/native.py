"""The call into the compiled fast unroll: shapes and addresses, as native/layout.h has them."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draw.config import DRAWConfig
from draw.kernels import buffers
from draw.kernels.build import library
from draw.kernels.errors import KernelUnavailableError

PARAMETERS = (
    "canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0",
    "lstm_enc.weight_ih", "lstm_enc.weight_hh", "lstm_enc.bias_ih", "lstm_enc.bias_hh",
    "lstm_dec.weight_ih", "lstm_dec.weight_hh", "lstm_dec.bias_ih", "lstm_dec.bias_hh",
    "mu.weight", "mu.bias", "log_sigma.weight", "log_sigma.bias",
    "attention.write_content.weight", "attention.write_content.bias",
    "attention.read_window.weight", "attention.read_window.bias",
    "attention.write_window.weight", "attention.write_window.bias",
)  # fmt: skip
"""Names of a model's parameters in the order of native/layout.h; the last four only with
attention."""


class _Shape(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            "glimpses", "batch", "channels", "rows", "columns", "hidden", "latent", "read_size",
            "write_size", "gaussian",
        )
    ]  # fmt: skip


class _Call(ctypes.Structure):
    _fields_ = [
        ("shape", _Shape),
        ("parameters", ctypes.c_void_p * len(PARAMETERS)),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "images", "noise", "canvas", "canvases", "read_controls", "write_controls", "kl",
                "log_ratio", "saved", "scratch", "dcanvas", "dkl", "dlog_ratio",
            )
        ),
        ("gradients", ctypes.c_void_p * len(PARAMETERS)),
        ("dimages", ctypes.c_void_p),
        ("dnoise", ctypes.c_void_p),
    ]  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """The numbers of a call."""

    dtype: torch.dtype
    """Of all tensors: float64 or float32."""
    bf16: bool
    """Whether matrix products round their operands to bfloat16 (float32 only)."""

    @property
    def code(self) -> int:
        """As native/unroll.cpp has it."""
        return 0 if self.dtype == torch.float64 else 2 if self.bf16 else 1


def shape_of(config: DRAWConfig) -> list[int]:
    """A model's shape as an operator takes it."""
    return [
        config.glimpses, config.channels, config.rows, config.columns, config.hidden_size,
        config.latent_size, config.read_size, config.write_size, config.attention == "gaussian",
    ]  # fmt: skip


def make_call(shape: Sequence[int], batch: int, **tensors: Tensor | Sequence[Tensor]) -> _Call:
    """A call whose tensors are given by the names of native/layout.h.

    The caller keeps them alive, and has made them contiguous.
    """
    call = _Call()
    glimpses, *rest = shape
    call.shape = _Shape(glimpses, batch, *rest)
    for name, value in tensors.items():
        if isinstance(value, Tensor):
            setattr(call, name, value.data_ptr())
        else:
            getattr(call, name)[: len(value)] = [tensor.data_ptr() for tensor in value]
    return call


def saved_bytes(kind: Kind, shape: Sequence[int], batch: int) -> int:
    """Size of what a forward pass keeps for the backward pass."""
    function = library().draw_saved_bytes
    function.restype = ctypes.c_int64
    glimpses, *rest = map(int, shape)
    return int(function(kind.code, ctypes.byref(_Shape(glimpses, int(batch), *rest))))


def run(kind: Kind, call: _Call, *, backward: bool) -> None:
    """Make a call, with scratch memory of its own."""
    native = library()
    native.draw_scratch_bytes.restype = ctypes.c_int64
    native.draw_call_bytes.restype = ctypes.c_int64
    if native.draw_call_bytes() != ctypes.sizeof(_Call):
        raise KernelUnavailableError("the compiled kernel has another form of call; rebuild it")
    size = native.draw_scratch_bytes(kind.code, ctypes.byref(call), int(backward))
    scratch = buffers.take(size)
    call.scratch = scratch.data_ptr()
    (native.draw_backward if backward else native.draw_forward)(kind.code, ctypes.byref(call))
