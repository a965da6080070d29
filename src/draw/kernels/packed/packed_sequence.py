"""All steps with packed weights: `DRAW.unroll` and `DRAW.trajectory`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from draw.attention.window import Window
from draw.kernels.packed.glimpse import (
    Carry,
    Residuals,
    Slopes,
    StepSlopes,
    generate,
    glimpse,
    glimpse_backward,
    start,
)
from draw.kernels.packed.packed_weights import Layout, Weights, cast_weights, pack_weights
from draw.kernels.products import multiply
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput

if TYPE_CHECKING:
    from draw.model.draw import DRAW

Fields = TypeVar("Fields", Carry, Residuals)
Compile = Callable[[Callable[..., Any]], Callable[..., Any]]
"""A function that makes of a function of one step a faster one for tensors of the same shapes."""


def as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as it is, not compiled."""
    return function


@dataclass(frozen=True)
class Way:
    """How a sequence is computed.

    Args:
        layout: sizes of the model.
        operand: type of the operands of products.
        compile: function that makes of a function of one step a faster one.
    """

    layout: Layout
    operand: torch.dtype
    compile: Compile

    def weights(self, x: Tensor | None, exact: Weights) -> Weights:
        """Cast the weights to operands, with the images' own part of the encoder's gates."""
        weights = cast_weights(exact, self.operand)
        if weights.x is None or x is None:
            return weights
        given = multiply(x.flatten(1).to(self.operand), weights.x.mT)
        return weights._replace(enc_bias=given + weights.enc_bias)


def unroll(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    unit_mask: Float[Tensor, "batch hidden"] | None = None,
    compile: Compile = as_it_is,  # noqa: A002
) -> UnrollOutput:
    """Compute `DRAW.unroll` with packed weights and the gradient derived by hand.

    Args:
        model: DRAW as it is, with an attention of `ATTENTIONS` and a prior of the package.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        unit_mask: factors of h_dec, the same at all steps; they have no gradient.
        compile: function that makes of a function of one step a faster one; by default none.
    """
    way, exact, states = _given(model, len(images), images.device.type, context, compile)
    wanted = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (images, noise, *states, *exact)
    )
    images, noise = images.contiguous(), noise.contiguous()
    with torch.autocast(images.device.type, enabled=False):
        if wanted:
            found = _Sequence.apply(way, images, noise, unit_mask, *states, *exact)  # type: ignore[no-untyped-call]
            return UnrollOutput(*found)
        return _forward(way, images, noise, unit_mask, states, exact, [], [])


def trajectory(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"] | None,
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    compile: Compile = as_it_is,  # noqa: A002
) -> Trajectory:
    """Compute `DRAW.trajectory` with packed weights, without gradients.

    Args:
        model: DRAW as it is, with an attention of `ATTENTIONS` and a prior of the package.
        images: images in [0, 1], or None for new ones.
        noise: standard normal noise, [glimpses, batch, latent], times the temperature for new
            images.
        context: conditioning of the drawings.
        compile: function that makes of a function of one step a faster one; by default none.
    """
    with torch.no_grad():
        batch, device = noise.shape[1], noise.device.type
        way, exact, states = _given(model, batch, device, context, compile)
        with torch.autocast(device, enabled=False):
            return _trajectory(way, images, noise.contiguous(), states, exact)


def _trajectory(
    way: Way, images: Tensor | None, noise: Tensor, states: tuple[Tensor, ...], exact: Weights
) -> Trajectory:
    layout = way.layout
    weights = way.weights(images, exact)
    carried = start(layout, weights, states)
    look, draw = way.compile(glimpse), way.compile(generate)
    canvases, read, write = [], [], []
    for noise_t in noise:
        read.append(carried.ahead[:, : layout.controls])
        if images is None:
            carried, controls = draw(layout, noise_t, carried, weights)
        else:
            step = look(layout, False, images.contiguous(), noise_t, None, carried, weights)
            carried, controls = step.carry, step.controls
        canvases.append(carried.canvas)
        write.append(controls)
    return Trajectory(
        torch.stack(canvases),
        write_windows=_windows(layout, write, layout.write_size),
        read_windows=None if images is None else _windows(layout, read, layout.read_size),
    )


def _windows(layout: Layout, controls: Sequence[Tensor], size: int) -> Window | None:
    if layout.window is None:
        return None
    return layout.window.window(torch.stack([*controls]), layout.rows, layout.columns, size)


def _given(
    model: "DRAW",
    batch: int,
    device: str,
    context: Context,
    compile: Compile,  # noqa: A002
) -> tuple[Way, Weights, tuple[Tensor, ...]]:
    """How to compute, the packed weights, and the states to start from."""
    layout = Layout.of(model.config)
    with torch.autocast(device, enabled=False):
        exact = pack_weights(layout, model)
        if context.enc is not None:
            exact = exact._replace(enc_bias=exact.enc_bias + context.enc)
        if context.dec is not None:
            exact = exact._replace(dec_bias=exact.dec_bias + context.dec)
        states = tuple(model.initial_state(batch))
    operand = exact.enc.dtype
    if torch.is_autocast_enabled(device) and operand == torch.float32:
        operand = torch.get_autocast_dtype(device)
    return Way(layout, operand, compile), exact, states


def _forward(
    way: Way,
    images: Tensor,
    noise: Tensor,
    unit_mask: Tensor | None,
    states: tuple[Tensor, ...],
    exact: Weights,
    carried: list[Carry],
    kept: list[Residuals],
    keep: bool = False,
) -> UnrollOutput:
    """All steps; what the gradient needs is appended to the lists."""
    step = way.compile(glimpse)
    weights = way.weights(images, exact)
    now = start(way.layout, weights, states)
    kl, log_ratio = [], []
    for noise_t in noise:
        found = step(way.layout, keep, images, noise_t, unit_mask, now, weights)
        if keep:
            carried.append(now)
            kept.append(found.residuals)
        now = found.carry
        kl.append(found.kl)
        log_ratio.append(found.log_ratio)
    carried.append(now)
    return UnrollOutput(now.canvas, torch.stack(kl, 1), torch.stack(log_ratio).sum(0))


class _Sequence(torch.autograd.Function):
    """The loop, with the gradient of draw/kernels/unroll_backward.py."""

    @staticmethod
    def forward(
        ctx: Any,
        way: Way,
        images: Tensor,
        noise: Tensor,
        unit_mask: Tensor | None,
        *given: Tensor | None,
    ) -> tuple[Tensor, ...]:
        states, exact = given[:5], Weights(*given[5:])  # type: ignore[arg-type]
        carried: list[Carry] = []
        kept: list[Residuals] = []
        found = _forward(way, images, noise, unit_mask, states, exact, carried, kept, keep=True)  # type: ignore[arg-type]
        ctx.way = way
        ctx.save_for_backward(
            images, noise, unit_mask, *exact, *(t for each in (*carried, *kept) for t in each)
        )
        return found.canvas.clone(), found.kl, found.log_ratio

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_results: Tensor) -> tuple[Tensor | None, ...]:
        images, noise, unit_mask, *rest = ctx.saved_tensors
        fields, states = len(Weights._fields), (len(noise) + 1) * len(Carry._fields)
        exact, rest = Weights(*rest[:fields]), rest[fields:]
        carried, kept = _parted(Carry, rest[:states]), _parted(Residuals, rest[states:])
        with torch.autocast(images.device.type, enabled=False):
            found = _backward(
                ctx.way, images, noise, unit_mask, exact, carried, kept, d_results,
                want_images=ctx.needs_input_grad[1],
            )  # fmt: skip
        return None, *found[:2], None, *found[2:]


def _parted(kind: type[Fields], tensors: Sequence[Tensor]) -> list[Fields]:
    """Tensors as the fields of as many tuples of a kind as they fill."""
    size = len(kind._fields)
    return [kind(*tensors[n : n + size]) for n in range(0, len(tensors), size)]


def _backward(
    way: Way,
    images: Tensor,
    noise: Tensor,
    unit_mask: Tensor | None,
    exact: Weights,
    carried: list[Carry],
    kept: list[Residuals],
    d_results: tuple[Tensor, ...],
    *,
    want_images: bool,
) -> list[Tensor | None]:
    """Gradients of images, noise, states and packed weights."""
    scale = None
    if way.operand == torch.float16 and len(images):
        # ours: or the small gradients of a mean would be rounded to zero
        largest = torch.stack([d.abs().amax() for d in d_results]).amax()
        scale = torch.where(largest > 0, largest, 1.0)
        d_results = tuple(d / scale for d in d_results)
    d_canvas, d_kl, d_log_ratio = d_results
    layout, T = way.layout, len(noise)
    weights = way.weights(images, exact)
    step = way.compile(glimpse_backward)
    of_rest = [torch.zeros_like(part, dtype=d_canvas.dtype) for part in carried[-1][1:]]
    of_images = torch.zeros_like(images) if want_images else None
    slopes = Slopes._make([d_canvas.contiguous(), *of_rest, of_images])
    by_step: list[StepSlopes] = []
    of_kl = d_kl.mT.contiguous()
    d_log_ratio = d_log_ratio.contiguous()
    for t in reversed(range(T)):
        slopes, found = step(
            layout, images, noise[t], unit_mask, carried[t], carried[t + 1], kept[t], slopes,
            of_kl[t], d_log_ratio, weights,
        )  # fmt: skip
        by_step.append(found)
    every = StepSlopes(*(torch.stack(each) for each in zip(*reversed(by_step), strict=True)))
    gradients, d_images = _weight_gradients(layout, images, weights, exact, carried, kept, every)
    # The decoder's first state places the first read window, and is what the first prior follows.
    d_ahead = slopes.ahead.to(way.operand)
    ahead, h_dec = layout.ahead, carried[0].h_dec
    gradients.out[ahead:] += multiply(d_ahead.mT, h_dec)
    gradients.out_bias[ahead:] += slopes.ahead.sum(0)
    d_h_dec = slopes.h_dec + multiply(d_ahead, weights.out[ahead:])
    if slopes.images is not None and d_images is not None:
        slopes = slopes._replace(images=slopes.images + d_images)
    states = [slopes.canvas, slopes.h_enc, slopes.c_enc, d_h_dec, slopes.c_dec]
    all_of_them = [slopes.images, every.noise, *states, *gradients]
    return [d if d is None or scale is None else d * scale for d in all_of_them]


def _weight_gradients(
    layout: Layout,
    images: Tensor,
    weights: Weights,
    exact: Weights,
    carried: list[Carry],
    kept: list[Residuals],
    every: StepSlopes,
) -> tuple[Weights, Tensor | None]:
    """One product over all steps and images for each product of a step; and the images' share."""
    wide = exact.enc.dtype

    def weight(slopes: Tensor, operands: list[Tensor]) -> Tensor:
        return multiply(slopes.flatten(0, 1).mT, torch.stack(operands).flatten(0, 1))

    def bias(slopes: Tensor, like: Tensor) -> Tensor:
        of_images = slopes.sum(0, dtype=wide)
        return of_images if like.dim() == 2 else of_images.sum(0)

    x = d_images = None
    if weights.x is not None:
        of_images = every.gates_enc.sum(0, dtype=wide).to(weights.x.dtype)
        x = multiply(of_images.mT, images.flatten(1).to(weights.x.dtype))
        d_images = multiply(of_images, weights.x).view_as(images)
    found = Weights(
        enc=weight(every.gates_enc, [each.enc_operand for each in kept]),
        enc_bias=bias(every.gates_enc, exact.enc_bias),
        post=weight(every.posterior, [each.h_enc for each in carried[1:]]),
        post_bias=bias(every.posterior, exact.post_bias),
        dec=weight(every.gates_dec, [each.dec_operand for each in kept]),
        dec_bias=bias(every.gates_dec, exact.dec_bias),
        out=weight(every.out, [each.h_dec for each in carried[1:]]),
        out_bias=bias(every.out, exact.out_bias),
        x=x,
    )
    return found, d_images
