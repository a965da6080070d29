"""The compiled kernel as operators of torch: `draw::unroll`, its gradient, and `draw::trajectory`.

What they compute is `DRAW.forward`, `reconstruct` and `generate` of draw/model/draw.py; how, is in
src/. The operators take a model's parameters in the order of `form.drawing_names`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from draw.kernels.cpp import buffers
from draw.kernels.cpp.arguments import (
    Count,
    align,
    check,
    check_saved_bytes,
    drawing_extras,
    drawing_parameters,
    drawing_sizes,
    length,
    readable,
    refuse_second_derivative,
)
from draw.kernels.cpp.binding import Kind, make_call, run, saved_bytes
from draw.kernels.cpp.form import UNROLL


@torch.library.custom_op("draw::unroll", mutates_args=(), device_types="cpu")
def unroll(
    images: Tensor,
    noise: Tensor,
    context_enc: Tensor | None,
    context_dec: Tensor | None,
    unit_mask: Tensor | None,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    bf16: bool,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute all steps of DRAW (eqs 1-8), and the two terms of the loss that depend on the codes.

    Args:
        images: [batch, channels, rows, columns], float32 or float64 as everything here.
        noise: standard normal noise, [glimpses, batch, latent].
        context_enc: addend to the encoder's gates at every step, [batch, 4 hidden], or None.
        context_dec: addend to the decoder's gates at every step, [batch, 4 hidden], or None.
        unit_mask: factors of h_dec, the same at all steps, [batch, hidden], or None; it has no
            gradient.
        parameters: parameters in the order of `form.drawing_names`.
        shape: result of `binding.shape_of` for the model's config.
        bf16: whether to round the operands of matrix products to bfloat16.
        keep: whether to save what the gradient needs.

    Returns:
        The canvas c_T in logits [batch, channels, rows, columns]; the KL in nats
        [batch, glimpses] (eq 10); log p(z) / q(z | x) in nats [batch]; what was kept.

    Raises:
        KernelArgumentError: if a tensor has not the shape that the others call for, nor their type
            and device.
    """
    extras = context_enc, context_dec, unit_mask
    batch = _check_inputs([images], noise, parameters, shape, extras)
    images, noise, *parameters = readable(images, noise, *parameters)
    context_enc, context_dec, unit_mask = _readable_extras(*extras)
    kind = Kind(images.dtype, bf16)
    canvas, kl, log_ratio = _outputs(images, shape)
    kept = buffers.take(saved_bytes(UNROLL, kind, shape, batch) if keep else 0)
    call = make_call(
        UNROLL, shape, batch, parameters=parameters, images=images, noise=noise,
        context_enc=context_enc, context_dec=context_dec, unit_mask=unit_mask, canvas=canvas,
        kl=kl, log_ratio=log_ratio, saved=kept,
    )  # fmt: skip
    run(UNROLL, kind, call, backward=False)
    return canvas, kl, log_ratio, kept


@unroll.register_fake
def _(*inputs: Any) -> tuple[Tensor, ...]:  # torch gives them in order, whatever the call was
    images, noise, *extras, parameters, shape, bf16, keep = inputs
    batch = _check_inputs([images], noise, parameters, shape, extras)
    size = saved_bytes(UNROLL, Kind(images.dtype, bf16), shape, batch) if keep else 0
    return *_outputs(images, shape), images.new_empty(size, dtype=torch.uint8)


@torch.library.custom_op("draw::unroll_backward", mutates_args=(), device_types="cpu")
def unroll_backward(
    dcanvas: Tensor,
    dkl: Tensor,
    dlog_ratio: Tensor,
    images: Tensor,
    noise: Tensor,
    unit_mask: Tensor | None,
    kept: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    bf16: bool,
    for_images: bool,
    for_noise: bool,
    for_context_enc: bool,
    for_context_dec: bool,
) -> list[Tensor]:
    """Compute the gradients of `unroll`, from those of its outputs.

    Returns:
        The gradients of images, noise and both addends (empty where not asked for), then those of
        the parameters.

    Raises:
        KernelArgumentError: if a tensor has not the shape that the others call for, nor their type
            and device.
    """
    slopes = dcanvas, dkl, dlog_ratio
    extras = None, None, unit_mask
    batch = _check_inputs([images], noise, parameters, shape, extras, slopes, [kept], bf16)
    dcanvas, dkl, dlog_ratio, images, noise, *parameters = readable(
        *slopes, images, noise, *parameters
    )
    _, _, unit_mask = _readable_extras(*extras)
    kept = align(kept)
    wanted = for_images, for_noise, for_context_enc, for_context_dec
    found = _gradients(images, noise, parameters, shape, wanted)
    dimages, dnoise, dcontext_enc, dcontext_dec, *gradients = found
    call = make_call(
        UNROLL, shape, batch, parameters=parameters, images=images, noise=noise,
        unit_mask=unit_mask, saved=kept, dcanvas=dcanvas, dkl=dkl, dlog_ratio=dlog_ratio,
        gradients=gradients, dimages=dimages, dnoise=dnoise, dcontext_enc=dcontext_enc,
        dcontext_dec=dcontext_dec,
    )  # fmt: skip
    run(UNROLL, Kind(images.dtype, bf16), call, backward=True)
    return found


@unroll_backward.register_fake
def _(*inputs: Any) -> list[Tensor]:
    *slopes, images, noise, unit_mask, kept, parameters, shape, bf16 = inputs[:-4]
    extras = None, None, unit_mask
    _check_inputs([images], noise, parameters, shape, extras, slopes, [kept], bf16)
    return _gradients(images, noise, parameters, shape, inputs[-4:])


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    images, noise, _, _, unit_mask, parameters, ctx.shape, ctx.bf16, keep = inputs
    ctx.set_materialize_grads(False)  # or `kept` would get a gradient of its own size, all zeros
    if not keep:
        return
    ctx.save_for_backward(images, noise, unit_mask, output[-1], *parameters)


def _backward(
    ctx: Any, dcanvas: Tensor | None, dkl: Tensor | None, dlog_ratio: Tensor | None, _: None
) -> Any:
    saved = ctx.saved_tensors  # read once: checkpointing counts
    if not saved:
        raise RuntimeError("expected draw::unroll to have been called with keep=True")
    images, noise, unit_mask, kept, *parameters = saved
    slopes = [
        like.new_zeros(like.shape) if given is None else given
        for given, like in zip((dcanvas, dkl, dlog_ratio), _outputs(images, ctx.shape), strict=True)
    ]
    wanted = ctx.needs_input_grad[:4]
    found = torch.ops.draw.unroll_backward(
        *slopes, images, noise, unit_mask, kept, parameters, ctx.shape, ctx.bf16, *wanted
    )
    inputs = (slope if want else None for slope, want in zip(found, wanted, strict=False))
    return *inputs, None, found[4:], None, None, None


unroll.register_autograd(_backward, setup_context=_setup_context)
unroll_backward.register_autograd(refuse_second_derivative)


@torch.library.custom_op("draw::trajectory", mutates_args=(), device_types="cpu")
def trajectory(
    images: Tensor | None,
    noise: Tensor,
    context_enc: Tensor | None,
    context_dec: Tensor | None,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    bf16: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute every step of a drawing: of given images, or of new ones from the prior (eqs 13-15).

    Returns:
        Canvases in logits [glimpses, batch, channels, rows, columns], and the controls of the read
        and write windows [glimpses, batch, 5 heads], or 6 heads of windows that turn; empty
        where there are none.

    Raises:
        KernelArgumentError: if a tensor has not the shape that the others call for, nor their type
            and device.
    """
    given = [] if images is None else [images]
    batch = _check_inputs(given, noise, parameters, shape, (context_enc, context_dec))
    context_enc, context_dec = _readable_extras(context_enc, context_dec)
    noise, *rest = readable(noise, *given, *parameters)
    given, parameters = rest[: len(given)], rest[len(given) :]
    canvases, read_controls, write_controls = _steps(noise, shape, reads=bool(given))
    canvas, kl, log_ratio = _outputs(canvases[0], shape)
    call = make_call(
        UNROLL, shape, batch, parameters=parameters, images=given[0] if given else None,
        noise=noise, context_enc=context_enc, context_dec=context_dec, canvas=canvas,
        canvases=canvases, kl=kl, log_ratio=log_ratio, read_controls=read_controls,
        write_controls=write_controls,
    )  # fmt: skip
    run(UNROLL, Kind(noise.dtype, bf16), call, backward=False)
    return canvases, read_controls, write_controls


@trajectory.register_fake
def _(*inputs: Any) -> tuple[Tensor, ...]:
    images, noise, *context, parameters, shape, _ = inputs
    _check_inputs([] if images is None else [images], noise, parameters, shape, context)
    return _steps(noise, shape, reads=images is not None)


def _check_inputs(
    images: Sequence[Tensor],
    noise: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    extras: Sequence[Tensor | None] = (),
    slopes: Sequence[Tensor] = (),
    kept: Sequence[Tensor] = (),
    bf16: bool = False,
) -> Count:
    """Whether everything fits; returns the number of images."""
    n = drawing_sizes(shape)
    batch = length(images[0]) if images else length(noise, 1)
    shapes = (batch, *n.image), (batch, n.glimpses), (batch,)
    expected = [
        *zip(("dcanvas", "dkl", "dlog_ratio"), slopes, shapes, strict=False),
        ("noise", noise, (n.glimpses, batch, n.latent)),
        *drawing_parameters(n, parameters),
        *(("images", given, shapes[0]) for given in images),
        *drawing_extras(n, batch, extras),
    ]
    check(n, batch, noise, expected)
    if kept:
        size = saved_bytes(UNROLL, Kind(noise.dtype, bf16), shape, batch)
        check_saved_bytes(kept[0], size, noise.device)
    return batch


def _readable_extras(*extras: Tensor | None) -> list[Tensor | None]:
    return [None if given is None else readable(given)[0] for given in extras]


def _outputs(images: Tensor, shape: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
    batch = images.shape[0]
    return (
        images.new_empty(images.shape),
        images.new_empty(batch, shape[0]),
        images.new_empty(batch),
    )


def _gradients(
    images: Tensor,
    noise: Tensor,
    parameters: Sequence[Tensor],
    shape: Sequence[int],
    wanted: Sequence[bool],
) -> list[Tensor]:
    make = images.new_empty if len(images) else images.new_zeros  # of no images: no slope
    context = images.shape[0], 4 * drawing_sizes(shape).hidden
    inputs = zip((images.shape, noise.shape, context, context), wanted, strict=True)
    return [
        *(images.new_empty(size if want else 0) for size, want in inputs),
        *(make(parameter.shape) for parameter in parameters),
    ]


def _steps(noise: Tensor, shape: Sequence[int], reads: bool) -> tuple[Tensor, Tensor, Tensor]:
    glimpses, batch, _ = noise.shape
    n = drawing_sizes(shape)
    windows = bool(n.filters)
    return (
        noise.new_empty(glimpses, batch, *shape[1:4]),
        noise.new_empty((glimpses, batch, n.controls_to_read) if windows and reads else 0),
        noise.new_empty((glimpses, batch, n.controls_to_write) if windows else 0),
    )
