"""The glimpses of a classifier as an operator of torch: `draw::glimpses` and its gradient.

What the operator computes is the loop of `Classifier.forward`, up to the LSTM's outputs.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.attention.several import windows_of
from draw.config.model import ClassifierConfig
from draw.kernels.contract import (
    Contract,
    Trial,
    multiplies_bf16,
    small_heads,
    small_side,
    small_sides,
    unknown_option,
)
from draw.kernels.cpp import buffers
from draw.kernels.cpp.arguments import (
    Count,
    align,
    check,
    check_longest,
    check_saved_bytes,
    classifier_parameters,
    classifier_sizes,
    length,
    parameters_of,
    readable,
    refuse_second_derivative,
)
from draw.kernels.cpp.binding import Kind, make_call, run, saved_bytes, shape_of_classifier
from draw.kernels.cpp.form import FILTERS, GLIMPSES, GLIMPSES_PARAMETERS, placing_of


def glimpses(
    config: ClassifierConfig,
    model: nn.Module,
    images: Float[Tensor, "batch channels rows columns"],
    longest: float,
) -> tuple[Float[Tensor, "glimpses batch hidden"], Float[Tensor, "glimpses batch controls"]]:
    """Compute the LSTM's outputs and the windows' controls (no gradient) of all glimpses.

    Args:
        config: config of the classifier.
        model: the classifier; its numbers are float32 or float64, on the CPU.
        images: images, [batch, channels, rows, columns], in [0, 1].
        longest: greatest length (L2) of the gradient that the controls of one image may get at one
            glimpse.
    """
    parameters = parameters_of(model, GLIMPSES_PARAMETERS)
    bf16 = multiplies_bf16(images.device.type)
    h, controls, _ = look(images, parameters, shape_of_classifier(config), bf16, longest)
    return h, controls


def classifier_look(
    model: nn.Module, images: Float[Tensor, "batch channels rows columns"]
) -> tuple[Float[Tensor, "glimpses batch hidden"], AbstractWindow]:
    """What `Classifier.look` computes: the LSTM's outputs and the windows of all glimpses.

    Args:
        model: the classifier, as in `glimpses`.
        images: images, [batch, channels, rows, columns], in [0, 1].
    """
    classifier: Any = model
    longest = classifier._longest(len(images))
    h, controls = glimpses(classifier.config, model, images, longest)
    return h, windows_of(classifier.reader.window, controls, classifier.config.read_heads)


@torch.library.custom_op("draw::glimpses", mutates_args=(), device_types="cpu")
def look(
    images: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    bf16: bool,
    longest: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute all glimpses of a classifier by the compiled functions.

    Args:
        images: [batch, channels, rows, columns], float32 or float64 as everything here.
        parameters: parameters in the order of `form.GLIMPSES_PARAMETERS`.
        shape: result of `binding.shape_of_classifier` for the model's config.
        bf16: whether to round the operands of matrix products to bfloat16.
        longest: greatest length (L2) of the gradient that the controls of one image may get at one
            glimpse.

    Returns:
        Outputs of the LSTM [glimpses, batch, hidden]; controls of the windows [glimpses, batch,
        5 heads], or 6 heads of windows that turn; what the gradient needs.

    Raises:
        KernelArgumentError: if a tensor has not the shape that the others call for, nor their type
            and device.
    """
    batch = _check_inputs(images, parameters, shape, longest)
    images, *parameters = readable(images, *parameters)
    kind = Kind(images.dtype, bf16)
    h, controls = _outputs(images, shape)
    kept = buffers.take(saved_bytes(GLIMPSES, kind, shape, batch))
    call = make_call(
        GLIMPSES, shape, batch, parameters=parameters, images=images, h=h, controls=controls,
        saved=kept,
    )  # fmt: skip
    run(GLIMPSES, kind, call, backward=False)
    return h, controls, kept


@look.register_fake
def _(*inputs: Any) -> tuple[Tensor, ...]:
    images, parameters, shape, bf16, longest = inputs
    batch = _check_inputs(images, parameters, shape, longest)
    size = saved_bytes(GLIMPSES, Kind(images.dtype, bf16), shape, batch)
    return *_outputs(images, shape), images.new_empty(size, dtype=torch.uint8)


@torch.library.custom_op("draw::glimpses_backward", mutates_args=(), device_types="cpu")
def look_backward(
    dh: Tensor,
    images: Tensor,
    kept: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    bf16: bool,
    longest: float,
    for_images: bool,
) -> list[Tensor]:
    """Compute the gradients of `look`, from that of the LSTM's outputs.

    Returns:
        The gradient of the images (empty where not asked for), then those of the parameters.

    Raises:
        KernelArgumentError: if a tensor has not the shape that the others call for, nor their type
            and device.
    """
    batch = _check_inputs(images, parameters, shape, longest, [dh], [kept], bf16)
    dh, images, *parameters = readable(dh, images, *parameters)
    kept = align(kept)
    dimages, *gradients = _gradients(images, parameters, for_images)
    call = make_call(
        GLIMPSES, shape, batch, parameters=parameters, images=images, saved=kept, dh=dh,
        gradients=gradients, dimages=dimages,
    )  # fmt: skip
    setattr(call, "longest", longest if math.isfinite(longest) else 0.0)  # noqa: B010  (mypy sees no fields)
    run(GLIMPSES, Kind(images.dtype, bf16), call, backward=True)
    return [dimages, *gradients]


@look_backward.register_fake
def _(*inputs: Any) -> list[Tensor]:
    dh, images, kept, parameters, shape, bf16, longest, for_images = inputs
    _check_inputs(images, parameters, shape, longest, [dh], [kept], bf16)
    return _gradients(images, parameters, for_images)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    images, parameters, ctx.shape, ctx.bf16, ctx.longest = inputs
    ctx.set_materialize_grads(False)  # or `kept` would get a gradient of its own size, all zeros
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(images, output[2], *parameters)


def _backward(ctx: Any, dh: Tensor | None, *_: Tensor | None) -> Any:
    images, kept, *parameters = ctx.saved_tensors
    if dh is None:
        return None, [None for _ in parameters], None, None, None
    dimages, *gradients = torch.ops.draw.glimpses_backward(
        dh, images, kept, parameters, ctx.shape, ctx.bf16, ctx.longest, ctx.needs_input_grad[0]
    )
    return dimages if ctx.needs_input_grad[0] else None, gradients, None, None, None


look.register_autograd(_backward, setup_context=_setup_context)
look_backward.register_autograd(refuse_second_derivative)


def _check_inputs(
    images: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    longest: float,
    slopes: Sequence[Tensor] = (),
    kept: Sequence[Tensor] = (),
    bf16: bool = False,
) -> Count:
    """Whether everything fits; returns the number of images."""
    n, batch = classifier_sizes(shape), length(images)
    expected = [
        ("images", images, (batch, *n.image)),
        *classifier_parameters(n, parameters),
        *(("dh", dh, (n.glimpses, batch, n.hidden)) for dh in slopes),
    ]
    check(n, batch, images, expected)
    check_longest(longest)
    if kept:
        size = saved_bytes(GLIMPSES, Kind(images.dtype, bf16), shape, batch)
        check_saved_bytes(kept[0], size, images.device)
    return batch


def _outputs(images: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    n, batch = classifier_sizes(shape), images.shape[0]
    return (
        images.new_empty(n.glimpses, batch, n.hidden),
        images.new_empty(n.glimpses, batch, n.controls_to_read),
    )


def _gradients(images: Tensor, parameters: Sequence[Tensor], for_images: bool) -> list[Tensor]:
    make = images.new_empty if len(images) else images.new_zeros  # of no images: no slope
    return [
        images.new_empty(images.shape if for_images else 0),
        *(make(parameter.shape) for parameter in parameters),
    ]


def _miniature(config: ClassifierConfig) -> ClassifierConfig:
    rows, columns = small_sides(config)
    return ClassifierConfig(
        rows=rows,
        columns=columns,
        channels=config.channels,
        glimpses=min(config.glimpses, 2),
        hidden_size=18,
        read_size=small_side(config.read_size),
        read_heads=small_heads(config.read_heads),
        attention=config.attention,
        window_clip=None if config.window_clip is None else 0.5,
    )


def _inputs(config: ClassifierConfig, random: torch.Generator, batch: int = 3) -> list[Tensor]:
    return [torch.rand(batch, *config.image_shape, generator=random, dtype=torch.float64)]


def _compiled(model: Any, images: Tensor) -> Trial:
    h, windows = classifier_look(model, images)
    return Trial({"h": h}, windows.numbers)


def _reference(model: Any, images: Tensor) -> Trial:
    h, windows = model.look(images)
    return Trial({"h": h}, windows.numbers)


_ANY = (
    "rows", "columns", "channels", "glimpses", "hidden_size", "read_size", "read_heads", "classes",
    "window_clip", "early_loss",
)  # fmt: skip
"""Options of which it takes every value."""


def _obstacle(config: ClassifierConfig) -> str | None:
    return unknown_option(config, {**dict.fromkeys(_ANY), "attention": FILTERS[1:]})


CONTRACT = Contract(
    obstacle=_obstacle,
    parameters=lambda config: GLIMPSES_PARAMETERS,
    free=frozenset(("__init__", "forward", "backend", "choice", "forecast", "_longest")),
    outside=frozenset(("", "logits")),
    key=lambda config: (*shape_of_classifier(config), config.window_clip is None),
    miniature=_miniature,
    inputs=_inputs,
    kernel=_compiled,
    reference=_reference,
    has_kinks=lambda config: config.attention == "laplace",
    placing=lambda config: placing_of(config.attention),
)
"""The contract of `glimpses`: the part of a Classifier that it computes."""
