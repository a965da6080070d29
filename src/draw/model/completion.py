"""Completion of images of which only a part is known."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from draw.errors import DrawError
from draw.randomness import COMPLETION, COMPLETION_CHOICE, generator, image_noise
from draw.tensors import by_shapes

if TYPE_CHECKING:
    from draw.model.draw import DRAW

AT_ONCE = 256
"""Most particles in a batch."""


@dataclass(frozen=True)
class Completion:
    """Answers to images of which a part is known, several for each."""

    images: Float[Tensor, "answers batch channels rows columns"]
    """Answers: pixels that are known as they were given, means of D for the others."""
    known_nats: Float[Tensor, " batch"]
    """Importance-weighted estimate of -log p(x_known), in nats: on average not below it."""
    effective_samples: Float[Tensor, "answers batch"]
    """Effective sample size (sum w)^2 / sum w^2 among the particles of an answer: 1 where one of
    them has all the weight, the number of particles where all weigh the same."""

    __repr__ = by_shapes


@torch.no_grad()
def complete(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    mask: Bool[Tensor, "rows columns"] | Bool[Tensor, "batch rows columns"],
    n: int,
    *,
    seed: int = 0,
    labels: Int[Tensor, " batch"] | None = None,
    particles: int = 16,
    rounds: int = 10,
) -> Completion:
    """Draw what is not known of images, several answers each, by importance resampling.

    An answer is one of K particles, the codes z_1 .. z_T of a drawing. They are proposed by the
    encoder, which has to see a whole image: x~ has the known pixels of x, and y elsewhere. Whatever
    y is, as long as it is settled before z is drawn,

        w(z) = P(x_known | z) P(z) / Q(z | x~)

    has the mean p(x_known) under Q, so that a particle chosen with a chance in proportion to w is,
    as K grows, a sample of P(z | x_known), and -log of the mean of w estimates -log p(x_known) as
    in Burda et al. 2015. P(x_known | z) is D(x | c_T) over the known pixels alone.

    y decides how good the proposals are. Each particle begins with a new image of the model's, and
    for some rounds draws z ~ Q(. | x~) and takes the means of D(. | c_T) for y: the chain by which
    Rezende et al. 2014 (arXiv 1401.4082) fill in missing data, whose bias w corrects.

    # ours: y are means rather than samples; the answers are independent runs, of K particles each,
    # so that none of them is a copy of another's particle.

    Args:
        model: a DRAW; a class-conditional one is told the labels.
        images: images in [0, 1]; what they hold where nothing is known has no effect.
        mask: true where a pixel is known, for all images or for each.
        n: answers for each image.
        seed: whole number of at least 0; image i and answer j do not depend on how many there are.
        labels: class of each image, for a class-conditional model.
        particles: K; with 1 the weights have no say.
        rounds: rounds of the chain before the particles are weighed; 0 for none.

    Raises:
        DrawError: if images, mask or labels do not fit the model, n or particles are below 1, or
            the likelihood is no sum over pixels.
    """
    for name, value, least in (("n", n, 1), ("particles", particles, 1), ("rounds", rounds, 0)):
        if value < least:
            raise DrawError(f"expected {name} of at least {least}, got {value}")
    masks = _check_mask(mask, images)
    shape = model.config.glimpses, model.config.latent_size
    at_once = max(1, AT_ONCE // particles)
    answers, nats, effective = [], [], []
    for i, (x, known) in enumerate(zip(images, masks, strict=True)):
        log_weights, drawn = [], []
        for start in range(0, n, at_once):
            numbers = range(start * particles, min(n, start + at_once) * particles)
            told = None if labels is None else labels[i].expand(len(numbers))
            whole = x.expand(len(numbers), -1, -1, -1)
            noise = image_noise(seed, COMPLETION, numbers, shape, i * (rounds + 2))
            y = model.generate(len(numbers), noise=noise.to(x), labels=told).images[-1]
            for turn in range(rounds + 1):
                filled = whole.where(known, y)
                sample = i * (rounds + 2) + turn + 1
                noise = image_noise(seed, COMPLETION, numbers, shape, sample).to(x)
                output = model(filled, noise, told)
                y = output.canvas.sigmoid()
            log_ratio = output.log_weight + output.reconstruction
            cost = _cost_of_known(model, output.canvas, filled, output.reconstruction, known)
            log_weights.append((log_ratio - cost).view(-1, particles))
            drawn.append(whole.where(known, y).view(-1, particles, *x.shape))
        weights, candidates = torch.cat(log_weights).double().cpu(), torch.cat(drawn)
        chosen = _choose(weights, seed, i).to(x.device)
        answers.append(candidates[torch.arange(n, device=x.device), chosen])
        nats.append(math.log(n * particles) - weights.flatten().logsumexp(0))
        effective.append((2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp())
    none = images.new_zeros(0)
    return Completion(
        torch.stack(answers, 1) if answers else images.new_zeros(n, *images.shape),
        torch.stack(nats).to(none) if nats else none,
        torch.stack(effective, 1).to(none) if effective else images.new_zeros(n, 0),
    )


def _choose(
    log_weights: Float[Tensor, "answers particles"], seed: int, image: int
) -> Int[Tensor, " answers"]:
    """A particle of each answer, by chances in proportion to the weights (the Gumbel trick)."""
    gumbel = [
        generator(seed, COMPLETION_CHOICE, image, answer).gumbel(size=log_weights.shape[1])
        for answer in range(len(log_weights))
    ]
    return (log_weights + torch.from_numpy(np.stack(gumbel))).argmax(1)


def _cost_of_known(
    model: "DRAW",
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
    whole: Float[Tensor, " batch"],
    known: Bool[Tensor, "rows columns"],
) -> Float[Tensor, " batch"]:
    """-log D(x_known | c_T), by the likelihood of images that have no other pixels."""
    cost, rest = (
        model.likelihood(canvas[:, :, pixels][:, :, None], images[:, :, pixels][:, :, None])
        for pixels in (known, ~known)
    )
    if not torch.allclose(cost + rest, whole, rtol=1e-3, atol=1e-2):
        raise DrawError(
            "expected a likelihood that is a sum over pixels and the same at all of them, got "
            f"{type(model.likelihood).__name__}, whose parts do not add up to the whole; a part of "
            "an image has no likelihood of its own then"
        )
    costs: Tensor = cost
    return costs


def _check_mask(mask: Tensor, images: Tensor) -> Tensor:
    """A mask for each image."""
    batch, _, rows, columns = images.shape
    if mask.dtype != torch.bool or mask.shape not in ((rows, columns), (batch, rows, columns)):
        raise DrawError(
            f"expected a mask of torch.bool, true where a pixel is known, of shape [{rows}, "
            f"{columns}] or [{batch}, {rows}, {columns}], got {mask.dtype} of {list(mask.shape)}"
        )
    return mask.to(images.device).expand(batch, rows, columns)
