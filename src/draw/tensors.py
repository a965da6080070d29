"""What every package knows of tensors: the range of images, and how results are told by shapes."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from draw.errors import DrawError


def check_unit_interval(images: Tensor) -> None:
    """Refuse images with numbers outside [0, 1] or NaN. On a GPU it makes the host wait.

    Args:
        images: floating-point images of any shape.

    Raises:
        DrawError: if a number is outside [0, 1], or NaN.
    """
    if images.numel() == 0 or images.is_meta or torch.compiler.is_compiling():
        return
    if torch._C._are_functorch_transforms_active():  # no number can be looked at in one
        return
    least, most = (float(value) for value in torch.aminmax(images.detach()))
    if not (least >= 0 and most <= 1):  # of NaN neither holds
        raise DrawError(
            f"expected images in [0, 1], got numbers from {least:g} to {most:g}; divide 8-bit "
            "images by 255 once, and undo any other normalization"
        )


def in_full(value: Tensor) -> Tensor:
    """Numbers of 16 bits in float32; those of 32 and 64 bits as they are.

    Args:
        value: numbers of any shape.
    """
    return value.to(torch.promote_types(value.dtype, torch.float32))


def by_shapes(value: Any) -> str:
    """Tell what an object holds in a line: tensors and arrays by their shapes.

    What is not of float32 has its type beside its shape, and what is not on the CPU its device.

    Args:
        value: a named tuple or a dataclass, or one of its parts.
    """
    if isinstance(value, Tensor):
        kind = str(value.dtype).removeprefix("torch.")
        place = "" if value.device.type == "cpu" else f" {value.device}"
        return f"{list(value.shape)}{'' if kind == 'float32' else f' {kind}'}{place}"
    if isinstance(value, np.ndarray):
        return f"{list(value.shape)}{'' if value.dtype == np.float32 else f' {value.dtype}'}"
    named = _parts(value)
    if named is None:
        return repr(value)
    inner = ", ".join(f"{name} {by_shapes(part)}" for name, part in named.items())
    return f"{type(value).__name__}({inner})"


def _parts(value: Any) -> Mapping[str, Any] | None:
    """Parts of a named tuple or a dataclass, by name; None of anything else."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return dict(zip(value._fields, value, strict=True))  # type: ignore[attr-defined]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.repr}
    return None
