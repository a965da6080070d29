"""Checks on an operator's arguments against what the compiled functions will read and write.

Operators are public, and behind them are addresses: whatever passes these checks has every number
that the compiled functions touch.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd.forward_ad import unpack_dual

from draw.errors import KernelArgumentError
from draw.kernels.cpp.form import FILTERS, GLIMPSES_PARAMETERS, drawing_names, placing_of

LARGEST = 2**48
"""Numbers that one array of a pass may have: no machine holds them, and no size overflows."""

Count = int | torch.SymInt
"""A number of images, which torch.compile may leave open."""
Requirement = tuple[str, Tensor | None, tuple[Count, ...]]
"""A tensor's name, itself (torch lets None through), and the shape that it must have."""


class Sizes(NamedTuple):
    """Shape of a model, as `binding.shape_of` and `binding.shape_of_classifier` list it."""

    glimpses: int
    channels: int
    rows: int
    columns: int
    hidden: int
    latent: int
    read_size: int
    write_size: int
    read_heads: int
    write_heads: int
    filters: int
    """Place of the kind of filters in `form.FILTERS`."""
    learned: int

    @property
    def image(self) -> tuple[int, int, int]:
        """Shape of an image and of a canvas."""
        return self.channels, self.rows, self.columns

    @property
    def pixels(self) -> int:
        """Number of values of an image."""
        return self.channels * self.rows * self.columns

    @property
    def placing(self) -> int:
        """Numbers that place a window."""
        return placing_of(FILTERS[self.filters])

    @property
    def controls_to_read(self) -> int:
        """Numbers that place all windows through which a step reads."""
        return self.read_heads * self.placing

    @property
    def controls_to_write(self) -> int:
        """Numbers that place all windows through which a step writes."""
        return self.write_heads * self.placing

    @property
    def patches_to_read(self) -> int:
        """Numbers of an image that all its windows of a step see."""
        return self.read_heads * self.channels * self.read_size**2

    @property
    def patches_to_write(self) -> int:
        """Numbers that a step writes through all its windows."""
        return self.write_heads * self.channels * self.write_size**2


def drawing_sizes(shape: Sequence[int]) -> Sizes:
    """Read the sizes of a DRAW from an operator's shape.

    Raises:
        KernelArgumentError: if `shape` is not ten whole numbers of at least 1, a kind of filters
            and 0 or 1.
    """
    sizes = _sizes(shape)
    if not 0 <= sizes.filters < len(FILTERS) or sizes.learned not in (0, 1) or min(sizes[:-2]) < 1:
        raise KernelArgumentError(
            f"expected a shape of sizes of at least 1, filters from 0 to {len(FILTERS) - 1} and 0 "
            f"or 1 for the prior, got {sizes}"
        )
    return sizes


def classifier_sizes(shape: Sequence[int]) -> Sizes:
    """Read the sizes of a classifier, which has neither codes nor a write window.

    Raises:
        KernelArgumentError: if `shape` is not that of a classifier.
    """
    sizes = _sizes(shape)
    unused = sizes.latent, sizes.write_size, sizes.write_heads, sizes.learned
    windows = 1 <= sizes.filters < len(FILTERS)
    used = *sizes[:5], sizes.read_size, sizes.read_heads
    if not windows or any(unused) or min(used) < 1:
        raise KernelArgumentError(
            "expected a shape of sizes of at least 1, with latent 0, write_size 0, write_heads 0, "
            f"filters from 1 to {len(FILTERS) - 1} and learned 0, got {sizes}"
        )
    return sizes


def _sizes(shape: Sequence[int]) -> Sizes:
    if len(shape) != len(Sizes._fields):
        raise KernelArgumentError(
            f"expected a shape of {len(Sizes._fields)} numbers ({', '.join(Sizes._fields)}), "
            f"got {len(shape)}"
        )
    return Sizes(*shape)


def drawing_parameters(sizes: Sizes, parameters: Sequence[Tensor]) -> list[Requirement]:
    """Pair the parameters of a DRAW with the shapes that they must have.

    Args:
        sizes: sizes of the model.
        parameters: tensors in the order of the operator.

    Raises:
        KernelArgumentError: if there are more or fewer parameters.
    """
    n, hidden, latent = sizes, sizes.hidden, sizes.latent
    features = 2 * (n.patches_to_read if n.filters else n.pixels)
    content = n.patches_to_write if n.filters else n.pixels
    shapes = [
        n.image, *(4 * [(hidden,)]),
        *_lstm(features + hidden, hidden),
        *_lstm(latent, hidden),
        *(2 * [(latent, hidden), (latent,)]),
        (content, hidden), (content,),
        *((*_placing(n.controls_to_read, hidden), *_placing(n.controls_to_write, hidden))
          if n.filters else ()),
        *(2 * [(latent, hidden), (latent,)] if n.learned else ()),
    ]  # fmt: skip
    names = drawing_names(windows=bool(n.filters), learned=bool(n.learned))
    return _named(names, parameters, shapes)


def drawing_extras(
    sizes: Sizes, batch: Count, extras: Sequence[Tensor | None]
) -> list[Requirement]:
    """Pair the addends to both LSTMs' gates and the factors of h_dec with their shapes.

    Args:
        sizes: sizes of the model.
        batch: number of images.
        extras: context_enc, context_dec and unit_mask, or the first of them; None for what there
            is not.
    """
    gates, units = (batch, 4 * sizes.hidden), (batch, sizes.hidden)
    given = zip(
        ("context_enc", "context_dec", "unit_mask"), extras, (gates, gates, units), strict=False
    )
    return [(name, t, shape) for name, t, shape in given if t is not None]


def classifier_parameters(sizes: Sizes, parameters: Sequence[Tensor]) -> list[Requirement]:
    """Pair the parameters of a classifier's glimpses with the shapes that they must have.

    Args:
        sizes: sizes of the model.
        parameters: tensors in the order of the operator.

    Raises:
        KernelArgumentError: if there are more or fewer parameters.
    """
    n, hidden = sizes, sizes.hidden
    lstm = _lstm(n.patches_to_read, hidden)
    shapes = [(hidden,), (hidden,), *lstm, *_placing(n.controls_to_read, hidden)]
    return _named(GLIMPSES_PARAMETERS, parameters, shapes)


def _lstm(inputs: int, hidden: int) -> tuple[tuple[int, ...], ...]:
    gates = 4 * hidden
    return (gates, inputs), (gates, hidden), (gates,), (gates,)


def _placing(controls: int, hidden: int) -> tuple[tuple[int, ...], ...]:
    """Weight and bias of the affine map that places windows by so many numbers."""
    return (controls, hidden), (controls,)


def _named(
    names: Sequence[str], tensors: Sequence[Tensor], shapes: Sequence[tuple[int, ...]]
) -> list[Requirement]:
    if len(tensors) != len(names):
        raise KernelArgumentError(
            f"expected {len(names)} parameters ({', '.join(names)}), got {len(tensors)}"
        )
    return list(zip(names, tensors, shapes, strict=True))


def parameters_of(model: nn.Module, names: Sequence[str]) -> list[Tensor]:
    """Collect a model's parameters by their names.

    Raises:
        KernelArgumentError: if one is missing, or no tensor.
    """
    found = []
    for name in names:
        value: Any = model
        for part in name.split("."):
            value = getattr(value, part, None)
        if not isinstance(value, Tensor):
            raise KernelArgumentError(f"expected a model with a parameter {name}, got {value}")
        found.append(value)
    return found


def length(tensor: Tensor | None, dimension: int = 0) -> Count:
    """Size of a batch, from a tensor that may not even have that dimension."""
    if tensor is None:
        raise KernelArgumentError("expected a tensor with a batch of images or codes, got None")
    return tensor.shape[dimension] if tensor.ndim > dimension else 1


def check(sizes: Sizes, batch: Count, like: Tensor, expected: Sequence[Requirement]) -> None:
    """Compare tensors with their shapes, and with the type and the device of one of them.

    Args:
        sizes: sizes of the model.
        batch: number of images, which may be none.
        like: tensor of float32 or float64, whose type and device all others must have.
        expected: tensors with their names and shapes, `like` among them.

    Raises:
        KernelArgumentError: naming the first tensor that does not fit or has a tangent
            (`torch.autograd.forward_ad`), or if no memory could hold them.
    """
    for name, tensor, _ in expected:
        if tensor is None:
            raise KernelArgumentError(f"expected a tensor {name}, got None")
    dtype, device, strided = like.dtype, like.device, torch.strided
    if dtype not in (torch.float32, torch.float64):
        raise KernelArgumentError(f"expected tensors of float32 or float64, got {dtype}")
    for name, tensor, shape in expected:
        if tensor is not None and (
            tensor.shape != shape
            or tensor.dtype != dtype
            or tensor.device != device
            or tensor.layout != strided
        ):
            raise KernelArgumentError(
                f"expected {name} of shape {list(shape)}, {dtype} on {device}, got "
                f"{list(tensor.shape)}, {tensor.dtype} on {tensor.device}, {tensor.layout}"
            )
        if tensor is not None and unpack_dual(tensor).tangent is not None:  # type: ignore[no-untyped-call]
            raise KernelArgumentError(
                f"expected {name} without a tangent, got one: the operator has no forward-mode "
                "derivative; the backend reference has"
            )
    _check_extent(sizes, batch)


def refuse_second_derivative(*_: Any) -> NoReturn:
    """Stand in the place of the gradient of an operator's gradient.

    Raises:
        KernelArgumentError: always.
    """
    raise KernelArgumentError(
        "expected a first derivative, got a derivative of one (create_graph=True), which this "
        "kernel does not compute; set model.backend = 'reference', which does"
    )


def check_saved_bytes(kept: Tensor | None, size: int, device: torch.device) -> None:
    """Compare what a forward pass saved with what the backward pass will read.

    Args:
        kept: tensor that the forward pass saved.
        size: number of bytes that the backward pass reads.
        device: device of the other tensors.

    Raises:
        KernelArgumentError: if the tensor is not so many bytes on that device.
    """
    if kept is None:
        raise KernelArgumentError("expected a tensor kept, got None")
    if kept.shape != (size,) or kept.dtype != torch.uint8 or kept.device != device:
        raise KernelArgumentError(
            f"expected kept to be the {size} bytes on {device} that the forward pass returned "
            f"(with keep=True, from the same shapes), got {list(kept.shape)}, {kept.dtype} on "
            f"{kept.device}"
        )


def check_longest(longest: float) -> None:
    """Refuse a limit of a gradient's length that is none.

    Args:
        longest: limit of a gradient's length (L2).

    Raises:
        KernelArgumentError: if the limit is not above 0; infinity is no limit.
    """
    if not longest > 0:
        raise KernelArgumentError(f"expected a longest gradient above 0, got {longest}")


def _check_extent(sizes: Sizes, batch: Count) -> None:
    """Refuse sizes whose products could overflow; on `meta`, tensors of any size are there."""
    n = sizes
    placing = n.controls_to_read + n.controls_to_write
    of_windows = n.patches_to_read + n.patches_to_write + placing if n.filters else 0
    width = 2 * (sizes.pixels + of_windows) + 16 * (sizes.hidden + sizes.latent + 32)
    largest = max(width**2, (sizes.glimpses + 1) * (batch + 16) * width)
    if largest > LARGEST:
        raise KernelArgumentError(
            f"expected a pass that some machine's memory can hold, got {batch} images of {sizes}"
        )


def readable(*tensors: Tensor) -> list[Tensor]:
    """Make tensors as the compiled functions read them: contiguous, aligned, their memory present.

    Raises:
        KernelArgumentError: if a tensor's memory was freed.
    """
    return [_readable(tensor) for tensor in tensors]


def _readable(tensor: Tensor) -> Tensor:
    size = tensor.element_size()
    if tensor.is_contiguous():
        last = tensor.numel()
    else:
        steps = zip(tensor.shape, tensor.stride(), strict=True)
        last = 1 + sum((count - 1) * stride for count, stride in steps)
    if last > 0 and (tensor.storage_offset() + last) * size > tensor.untyped_storage().nbytes():
        raise KernelArgumentError(
            f"expected a tensor of shape {list(tensor.shape)} with its numbers, got one whose "
            "memory was freed, as sharded training does with weights; gather them first"
        )
    tensor = tensor.contiguous()
    return tensor if tensor.data_ptr() % size == 0 else tensor.clone()


def align(kept: Tensor) -> Tensor:
    """Move what a forward pass saved to an even address, as it may have moved meanwhile."""
    (kept,) = readable(kept)
    return kept if kept.data_ptr() % 64 == 0 else kept.clone()
