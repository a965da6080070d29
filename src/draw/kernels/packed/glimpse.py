"""One glimpse of packed weights, and its gradient: the functions that `torch.compile` is given.

The hidden states go from step to step in the type of the operands, all else in full precision.
What goes from step to step is contiguous, so that one graph serves the first step and all others.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from draw.kernels.packed.packed_weights import Layout, Weights
from draw.kernels.products import multiply
from draw.kernels.unroll_backward import cell_backward, code_backward
from draw.parts.distribution import Gaussian
from draw.parts.objective import kl_divergence, log_prior_over_posterior


class Carry(NamedTuple):
    """State between two steps."""

    canvas: Tensor
    h_enc: Tensor
    c_enc: Tensor
    h_dec: Tensor
    c_dec: Tensor
    ahead: Tensor
    """Outputs of the decoder for the next step: its read window and its prior."""


class Residuals(NamedTuple):
    """Residuals of a step: what its gradient needs beside the states before and after it."""

    enc_operand: Tensor
    """Operand of the encoder, [r | h_dec | h_enc]."""
    gates_enc: Tensor
    posterior: Tensor
    """Moments of the posterior, mu | log sigma."""
    dec_operand: Tensor
    """Operand of the decoder, [z | h_dec]."""
    gates_dec: Tensor
    write_outputs: Tensor
    """Patch to write and the controls of its window; empty without attention."""


class Glimpse(NamedTuple):
    """Results of a step."""

    carry: Carry
    kl: Tensor
    """KL divergence of the step in nats, [batch]."""
    log_ratio: Tensor
    """log p(z) / q(z | x), [batch]."""
    controls: Tensor
    """Controls of the write window, [batch, 5], or 6 of one that turns; empty without attention."""
    residuals: Residuals | None


class Slopes(NamedTuple):
    """Gradients of the state between two steps, and of the images so far."""

    canvas: Tensor
    h_enc: Tensor
    c_enc: Tensor
    h_dec: Tensor
    c_dec: Tensor
    ahead: Tensor
    images: Tensor | None
    """Gradient of the images; None where nobody wants it."""


class StepSlopes(NamedTuple):
    """Gradients of a step's noise, and of the results of its products in the operands' type."""

    noise: Tensor
    gates_enc: Tensor
    posterior: Tensor
    gates_dec: Tensor
    out: Tensor


def start(layout: Layout, weights: Weights, states: tuple[Tensor, ...]) -> Carry:
    """Make the state before the first step.

    Args:
        layout: sizes of the model.
        weights: result of `cast_weights`.
        states: canvas, h_enc, c_enc, h_dec and c_dec of `DRAW.initial_state`.
    """
    canvas, h_enc, c_enc, h_dec, c_dec = (state.contiguous() for state in states)
    h_enc, h_dec = h_enc.to(weights.out.dtype), h_dec.to(weights.out.dtype)
    ahead = layout.ahead
    foreseen = multiply(h_dec, weights.out[ahead:].mT) + weights.out_bias[ahead:]
    return Carry(canvas, h_enc, c_enc, h_dec, c_dec, _dense(foreseen))


def glimpse(
    layout: Layout,
    keep: bool,
    x: Tensor,
    noise: Tensor,
    unit_mask: Tensor | None,
    before: Carry,
    weights: Weights,
) -> Glimpse:
    """Compute one step (eqs 1-8), as `DRAW.step`.

    Args:
        layout: sizes of the model.
        keep: whether to keep what the gradient needs.
        x: images, [batch, channels, rows, columns].
        noise: standard normal noise of the step, [batch, latent].
        unit_mask: factors of h_dec, [batch, hidden], or None.
        before: state before the step.
        weights: result of `cast_weights`; without attention the image's part is in `enc_bias`.
    """
    canvas, h_enc, c_enc, h_dec, c_dec, ahead = before
    operand = h_enc.dtype
    x_hat = x - canvas.sigmoid()  # (3)
    r = _read(layout, x, x_hat, ahead)  # (4)
    seen = torch.cat([r.to(operand), h_dec, h_enc], 1)
    gates_enc = multiply(seen, weights.enc.mT) + weights.enc_bias
    h_enc, c_enc = _cell(gates_enc, c_enc)  # (5)
    h_enc = h_enc.to(operand)
    affine = multiply(h_enc, weights.post.mT) + weights.post_bias
    posterior, prior = Gaussian(*affine.chunk(2, 1)), _prior(layout, affine, ahead)  # (1-2)
    z = posterior.sample(noise)  # (6)
    kl = kl_divergence(posterior, prior)  # (10)
    log_ratio = log_prior_over_posterior(_one(posterior), noise[None], _one(prior))
    h_dec, c_dec, heard, gates_dec = _decode(weights, z, h_dec, c_dec, unit_mask)  # (7)
    canvas, written, ahead = _write(layout, weights, canvas, h_dec)  # (8)
    controls = written[:, layout.content :]
    kept = None
    if keep:
        gates_enc, gates_dec = gates_enc.to(operand), gates_dec.to(operand)
        kept = Residuals(seen, gates_enc, affine, heard, gates_dec, written)
    after = Carry(canvas, h_enc, c_enc, h_dec, c_dec, ahead)
    return Glimpse(after, kl, log_ratio, controls, kept)


def generate(
    layout: Layout, noise: Tensor, before: Carry, weights: Weights
) -> tuple[Carry, Tensor]:
    """Compute one step of a new image, as `DRAW.generate_step`, and its window's controls (13-15).

    Args:
        layout: sizes of the model.
        noise: standard normal noise of the step times the temperature, [batch, latent].
        before: state before the step.
        weights: result of `cast_weights`.
    """
    z = _prior(layout, noise, before.ahead).sample(noise)  # (13)
    h_dec, c_dec, _, _ = _decode(weights, z, before.h_dec, before.c_dec, None)  # (14)
    canvas, written, ahead = _write(layout, weights, before.canvas, h_dec)  # (15)
    after = before._replace(canvas=canvas, h_dec=h_dec, c_dec=c_dec, ahead=ahead)
    return after, written[:, layout.content :]


def glimpse_backward(
    layout: Layout,
    x: Tensor,
    noise: Tensor,
    unit_mask: Tensor | None,
    before: Carry,
    after: Carry,
    kept: Residuals,
    d_after: Slopes,
    d_kl: Tensor,
    d_log_ratio: Tensor,
    weights: Weights,
) -> tuple[Slopes, StepSlopes]:
    """Compute the gradients of one step, the last equation first.

    Args:
        layout: sizes of the model.
        x: images, [batch, channels, rows, columns].
        noise: standard normal noise of the step, [batch, latent].
        unit_mask: factors of h_dec, [batch, hidden], or None.
        before: state before the step.
        after: state after the step.
        kept: residuals of `glimpse`.
        d_after: gradient of the state after the step, from all later steps.
        d_kl: gradient of the step's KL divergence, [batch].
        d_log_ratio: gradient of log p(z) / q(z | x), [batch].
        weights: result of `cast_weights`.
    """
    operand, wide, hidden = after.h_enc.dtype, before.canvas.dtype, layout.hidden
    s = before.canvas.sigmoid()
    # (8)
    d_written = _written_backward(layout, kept.write_outputs, d_after.canvas)
    d_out = torch.cat([*d_written, d_after.ahead], 1).to(operand)
    d_h_dec = d_after.h_dec + multiply(d_out, weights.out)
    # (7)
    if unit_mask is not None:
        d_h_dec = d_h_dec * unit_mask
    gates = kept.gates_dec.to(wide)
    d_gates, d_c_dec = cell_backward(gates, before.c_dec, d_h_dec, d_after.c_dec)
    d_gates_dec = d_gates.to(operand)
    d_heard = multiply(d_gates_dec, weights.dec)
    d_z, d_h_dec = d_heard[:, : layout.latent], d_heard[:, layout.latent :]
    # (6), (10) and log p(z) / q(z | x)
    posterior = Gaussian(*kept.posterior.chunk(2, 1))
    prior = _prior(layout, kept.posterior, before.ahead)
    d_noise, d_posterior, d_prior = code_backward(noise, posterior, prior, d_z, d_kl, d_log_ratio)
    # (1-2)
    d_post = torch.cat(d_posterior, 1).to(operand)
    d_h_enc = d_after.h_enc + multiply(d_post, weights.post)
    # (5)
    gates = kept.gates_enc.to(wide)
    d_gates, d_c_enc = cell_backward(gates, before.c_enc, d_h_enc, d_after.c_enc)
    d_gates_enc = d_gates.to(operand)
    d_seen = multiply(d_gates_enc, weights.enc)
    d_r, d_h_enc = d_seen[:, : layout.features], d_seen[:, -hidden:]
    d_h_dec = d_h_dec + d_seen[:, layout.features : -hidden]
    # (4)
    d_x, d_x_hat, d_ahead = _read_backward(layout, x, x - s, before.ahead, d_r)
    d_ahead += [*d_prior] if layout.learned else []
    # (3)
    d_canvas = d_after.canvas - s * (1 - s) * d_x_hat
    images = d_after.images
    if images is not None:
        images = images + d_x_hat if d_x is None else images + d_x_hat + d_x
    before_slopes = Slopes(
        d_canvas, d_h_enc.contiguous(), d_c_enc, d_h_dec, d_c_dec,
        torch.cat(d_ahead, 1) if d_ahead else torch.zeros_like(before.ahead), images,
    )  # fmt: skip
    return before_slopes, StepSlopes(d_noise, d_gates_enc, d_post, d_gates_dec, d_out)


def _dense(tensor: Tensor) -> Tensor:
    """The same numbers in strides that follow from the shape alone, of no numbers too."""
    return tensor.clone(memory_format=torch.contiguous_format)


def _one(gaussian: Gaussian) -> Gaussian:
    """A step's, as those of all steps are."""
    return Gaussian(gaussian.mu[None], gaussian.log_sigma[None])


def _cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _prior(layout: Layout, like: Tensor, ahead: Tensor) -> Gaussian:
    if layout.learned:
        return Gaussian(*ahead[:, layout.prior :].chunk(2, 1))
    zero = like.new_zeros(())
    return Gaussian(zero, zero)


def _decode(
    weights: Weights, z: Tensor, h_dec: Tensor, c_dec: Tensor, unit_mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(7): the decoder's states after, its operand and its gates."""
    heard = torch.cat([z.to(h_dec.dtype), h_dec], 1)
    gates = multiply(heard, weights.dec.mT) + weights.dec_bias
    h, c = _cell(gates, c_dec)
    if unit_mask is not None:
        h = h * unit_mask
    return h.to(h_dec.dtype), c, heard, gates


def _read(layout: Layout, x: Tensor, x_hat: Tensor, ahead: Tensor) -> Tensor:
    if (kind := layout.window) is None:
        return x_hat.flatten(1)
    controls = ahead[:, : layout.controls]
    window = kind.window(controls, layout.rows, layout.columns, layout.read_size)
    return kind.read(torch.cat([x, x_hat], 1), window).flatten(1)


def _write(
    layout: Layout, weights: Weights, canvas: Tensor, h_dec: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The canvas after, what was written, and what the decoder says of the next step."""
    out = multiply(h_dec, weights.out.mT) + weights.out_bias
    written, ahead = out[:, : layout.ahead], _dense(out[:, layout.ahead :])
    if (kind := layout.window) is None:
        return canvas + written.view_as(canvas), written[:, layout.content :], ahead
    N, sides = layout.write_size, (layout.rows, layout.columns)
    controls = written[:, layout.content :]
    w = written[:, : layout.content].reshape(len(out), layout.channels, N, N)
    image = kind.write(w, kind.window(controls, *sides, N), *sides)
    return canvas + image, written, ahead


def _written_backward(layout: Layout, written: Tensor, d_image: Tensor) -> list[Tensor]:
    """Gradients of patch and window through what is written."""
    if layout.window is None:
        return [d_image.flatten(1)]
    N = layout.write_size
    w = written[:, : layout.content].reshape(len(written), layout.channels, N, N)
    d_w, d_controls = layout.window.write_backward(written[:, layout.content :], w, d_image)
    return [d_w.flatten(1), d_controls]


def _read_backward(
    layout: Layout, x: Tensor, x_hat: Tensor, ahead: Tensor, d_r: Tensor
) -> tuple[Tensor | None, Tensor, list[Tensor]]:
    """Gradients of images (None where there are none), error images and read window."""
    if layout.window is None:
        return None, d_r.reshape(x.shape), []
    images, N = torch.cat([x, x_hat], 1), layout.read_size
    d_patch = d_r.reshape(len(x), 2 * layout.channels, N, N)
    controls = ahead[:, : layout.controls]
    d_images, d_controls = layout.window.read_backward(controls, images, d_patch)
    d_x, d_x_hat = d_images.chunk(2, 1)
    return d_x, d_x_hat, [d_controls]
