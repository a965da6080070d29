"""The bound with a posterior that is fitted to each image: what amortization costs."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from draw.model.draw import DRAW
from draw.parts.distribution import Gaussian
from draw.parts.likelihood import loss_of
from draw.parts.state import UnrollOutput
from draw.randomness import REFINEMENT, image_noise
from draw.tensors import by_shapes

LEARNING_RATE = 0.01
"""Adam's first step size, which falls along half a cosine to 0."""


class RefinedLosses(NamedTuple):
    """Losses of images with a posterior that was fitted to each."""

    bound: Float[Tensor, "samples batch"]
    """Bound of eq 12 with each noise, in nats."""
    log_weight: Float[Tensor, "samples batch"]
    """log p(x, z) / q(z | x) with each noise, for an importance-weighted estimate."""

    def __repr__(self) -> str:
        """The shapes, not the numbers."""
        return by_shapes(self)


@torch.inference_mode(False)
@torch.enable_grad()
def refined_bound(
    model: DRAW,
    images: Float[Tensor, "batch channels rows columns"],
    numbers: Sequence[int],
    noises: Iterable[Float[Tensor, "glimpses batch latent"]],
    steps: int,
    *,
    labels: Int[Tensor, " batch"] | None = None,
    seed: int = 0,
) -> RefinedLosses:
    """Bound on -log p(x) of eq 12 after the posterior was refined for each image.

    The encoder answers for all images at once, and not as well as could be for each. With numbers
    of its own a_t, b_t for each image, step and latent variable, all 0 at first,

        Q(z_t | h_enc_t) = N(mu_t + a_t, (sigma_t exp(b_t))^2),

    and Adam makes the bound of eq 12 small in a and b, with fresh noise at every update and the
    model's weights as they are. Source: semi-amortized inference, Kim et al. 2018 (arXiv
    1802.02550); Cremer et al. 2018 (arXiv 1801.03558) measure amortization gaps so.

    Eq 12 holds for every Q, so this is an upper bound on -log p(x) as well, as long as it is
    measured with noise that a and b were not fitted to: that given here. It says something of the
    model, not of what it would cost to encode an image in one pass. For the same reason samples of
    it make an importance-weighted estimate.

    Args:
        model: a DRAW, whose own loop runs whatever its backend is.
        images: images, [batch, channels, rows, columns], in [0, 1].
        numbers: numbers of the images in their set: the noise of an image's updates depends on them
            alone.
        noises: standard normal noise to measure with, one or several.
        steps: number of updates.
        labels: class of each image, for a class-conditional model.
        seed: seed of the noise of the updates.
    """
    shape = model.config.glimpses, model.config.latent_size
    images = images.clone()  # of a caller's inference mode autograd keeps none
    labels = None if labels is None else labels.clone()
    start = model.mu.weight.new_zeros(shape[0], len(images), shape[1])
    context = model.context(labels, len(images))
    context = type(context)(*(None if one is None else one.detach() for one in context))
    offsets = Gaussian(
        mu=start.clone().requires_grad_(),
        log_sigma=start.clone().requires_grad_(),
    )
    adam = torch.optim.Adam(list(offsets), lr=LEARNING_RATE)
    cosine = torch.optim.lr_scheduler.LambdaLR(
        adam, lambda step: (1 + math.cos(math.pi * step / max(steps, 1))) / 2
    )
    for step in range(steps):
        fresh = image_noise(seed, REFINEMENT, numbers, shape, step).to(start)
        output = model.unroll(images, fresh, context, offsets)
        loss = _bound(model, output, images).sum()  # a sum: each image by itself
        gradients = torch.autograd.grad(loss, list(offsets))
        for offset, gradient in zip(offsets, gradients, strict=True):
            offset.grad = gradient
        adam.step()
        cosine.step()
    with torch.no_grad():
        fitted = Gaussian(*(offset.detach() for offset in offsets))
        found = []
        for noise in noises:
            output = model.unroll(images, noise.to(start), context, fitted)
            reconstruction = loss_of(model.likelihood, output.canvas, images)
            bound = reconstruction + output.kl.sum(-1)
            found.append((bound, output.log_ratio - reconstruction))
        return RefinedLosses(*(torch.stack(each) for each in zip(*found, strict=True)))


def _bound(model: DRAW, output: UnrollOutput, images: Tensor) -> Tensor:
    """Eqs 9-12."""
    reconstruction = loss_of(model.likelihood, output.canvas, images)
    return reconstruction + output.kl.sum(-1)
