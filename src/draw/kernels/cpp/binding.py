"""The call into the compiled kernel: shapes and addresses, in the form of form.py."""

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from draw.config.model import ClassifierConfig, DRAWConfig
from draw.kernels.cpp import buffers
from draw.kernels.cpp.build import library
from draw.kernels.cpp.form import FILTERS, Pass, Shape


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
        config.latent_size, config.read_size, config.write_size, config.read_heads,
        config.write_heads, FILTERS.index(config.attention), config.prior == "learned",
    ]  # fmt: skip


def shape_of_classifier(config: ClassifierConfig) -> list[int]:
    """Shape of a classifier as an operator takes it."""
    return [
        config.glimpses, config.channels, config.rows, config.columns, config.hidden_size, 0,
        config.read_size, 0, config.read_heads, 0, FILTERS.index(config.attention), False,
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
    setattr(call, "shape", Shape(glimpses, int(batch), *rest))  # noqa: B010  (mypy sees no fields)
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
    return int(function(kind.code, ctypes.byref(Shape(glimpses, int(batch), *rest))))


def run(which: Pass, kind: Kind, call: ctypes.Structure, *, backward: bool) -> None:
    """Make a call, with scratch memory of its own; without images there is nothing to do."""
    if getattr(call, "shape").batch == 0:  # noqa: B009
        return
    native = library()
    scratch_bytes = getattr(native, f"{which.name}_scratch_bytes")
    scratch_bytes.restype = ctypes.c_int64
    scratch = buffers.take(scratch_bytes(kind.code, ctypes.byref(call), int(backward)))
    setattr(call, "scratch", scratch.data_ptr())  # noqa: B010
    direction = "backward" if backward else "forward"
    getattr(native, f"{which.name}_{direction}")(kind.code, ctypes.byref(call))
