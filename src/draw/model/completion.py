"""Completion of images of which only a part is known."""

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from draw.errors import DrawError
from draw.fields import Count, Natural, whole
from draw.kernels import BACKENDS
from draw.model.checks import check_images, check_tensor, check_weights
from draw.parts.conditions.known import KnownPixels, refuse_parts
from draw.parts.likelihood import loss_of
from draw.randomness import COMPLETION, COMPLETION_CHOICE, generator, image_noise
from draw.tensors import by_shapes, check_unit_interval, in_full

if TYPE_CHECKING:
    from draw.model.draw import DRAW

AT_ONCE = 256
"""Most particles in a batch."""
PARTICLES, ROUNDS = 16, 10
"""Particles of each answer and rounds of better proposals, where nothing else is asked for."""


@dataclass(frozen=True)
class Completion:
    """Answers to images of which a part is known, several for each."""

    images: Float[Tensor, "answers batch channels rows columns"]
    """Answers: pixels that are known as they were given, means of D for the others."""
    hidden_nats: Float[Tensor, " batch"]
    """What the hidden pixels, as the images have them, cost under the answers, in nats. Of a model
    that is told what is known, the bound of eq 12 on -log p(x_hidden | x_known). Of any other, the
    cost by the mixture of its particles: what a code made by the model and these particles would
    take, but no bound on the model's own -log p(x_hidden | x_known). NaN for an image with hidden
    pixels that are no numbers in [0, 1]. Of use where the images were known after all."""
    known_nats: Float[Tensor, " batch"] | None
    """Importance-weighted estimate of -log p(x_known), in nats: on average not below it; None for
    a model that is told what is known, and has no opinion of it."""
    effective_samples: Float[Tensor, "answers batch"] | None
    """Effective sample size (sum w)^2 / sum w^2 among the particles of an answer: 1 where one of
    them has all the weight, the number of particles where all weigh the same; None likewise."""

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
    particles: int | None = None,
    rounds: int | None = None,
) -> Completion:
    """Draw what is not known of images, several answers each.

    A model that is told what is known (`draw.parts.conditions.known`) draws each answer from
    P(x_hidden | x_known), and no more is needed. With any other, answers are chosen by importance
    resampling: an answer is one of K particles, the codes z_1 .. z_T of a drawing. They are
    proposed by the encoder, which has to see a whole image: x~ has the known pixels of x, and y
    elsewhere. Whatever y is, as long as it is settled before z is drawn,

        w(z) = P(x_known | z) P(z) / Q(z | x~)

    has the mean p(x_known) under Q, so that a particle chosen with a chance in proportion to w is,
    as K grows, a sample of P(z | x_known), and -log of the mean of w estimates -log p(x_known) as
    in Burda et al. 2015. P(x_known | z) is D(x | c_T) over the known pixels alone.

    y decides how good the proposals are. Each particle begins with a new image of the model's, and
    for some rounds draws z ~ Q(. | x~) and takes the means of D(. | c_T) for y: the chain by which
    Rezende et al. 2014 (arXiv 1401.4082) fill in missing data, whose bias w corrects.

    # ours: y are means rather than samples; the answers are independent runs, of K particles each,
    # so that none of them is a copy of another's particle.

    The hidden pixels are priced as a code would be: by eq 12 of the told model, the mean over the
    answers; by the mixture sum w D(x_hidden | z) / sum w of all particles otherwise.

    Args:
        model: a DRAW; a class-conditional one is told the labels.
        images: images in [0, 1]; what they hold where nothing is known (NaN, say) has no effect
            but on `hidden_nats`.
        mask: true where a pixel is known, for all images or for each.
        n: answers for each image.
        seed: whole number of at least 0; image i and answer j do not depend on how many there are.
        labels: class of each image, for a class-conditional model.
        particles: K, 16 by default; with 1 the weights have no say.
        rounds: rounds of the chain before the particles are weighed, 10 by default; 0 for none.

    Raises:
        DrawError: if images, mask or labels do not fit the model, n or particles are below 1, or
            the likelihood is no sum over pixels; or particles or rounds are asked for of a model
            that is told what is known.
    """
    check_weights(model.state_dict().items(), "the model")
    check_images(model.config, model.canvas_0, images)
    model.context(labels, len(images))  # refuses labels
    masks = _check_mask(mask, images)
    hidden = ~masks[:, None].expand_as(images)
    priced = ((images >= 0) & (images <= 1) | ~hidden).flatten(1).all(1)
    images = images.where(~hidden | priced[:, None, None, None], 0)
    check_unit_interval(images)
    n = whole("n", Count, n)
    if isinstance(model.condition, KnownPixels):
        for name, value in (("particles", particles), ("rounds", rounds)):
            if value is not None:
                raise DrawError(
                    f"expected no {name} for a model that is told what is known, and draws each "
                    f"answer at once, got {value}; leave {name} out"
                )
        drawn = _told_answers(model, images, masks, n, seed)
    else:
        particles = whole("particles", Count, PARTICLES if particles is None else particles)
        rounds = whole("rounds", Natural, ROUNDS if rounds is None else rounds)
        drawn = _chosen_answers(model, images, masks, n, seed, labels, particles, rounds)
    nats = drawn.hidden_nats.where(priced, math.nan)
    return dataclasses.replace(drawn, hidden_nats=nats)


def _chosen_answers(
    model: "DRAW",
    images: Tensor,
    masks: Tensor,
    n: int,
    seed: int,
    labels: Tensor | None,
    particles: int,
    rounds: int,
) -> Completion:
    """Answers chosen by importance resampling."""
    shape = model.config.glimpses, model.config.latent_size
    at_once = max(1, AT_ONCE // particles)
    answers, nats, hidden, effective = [], [], [], []
    for i, (x, known) in enumerate(zip(images, masks, strict=True)):
        log_weights, log_hidden, drawn = [], [], []
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
            cost, rest = _costs(model, output.canvas, whole, known)
            log_weights.append((log_ratio - cost).view(-1, particles))
            log_hidden.append(-rest.view(-1, particles))
            drawn.append(whole.where(known, y).view(-1, particles, *x.shape))
        weights, candidates = torch.cat(log_weights).double().cpu(), torch.cat(drawn)
        chosen = _choose(weights, seed, i).to(x.device)
        answers.append(candidates[torch.arange(n, device=x.device), chosen])
        total = weights.flatten().logsumexp(0)
        nats.append(math.log(n * particles) - total)
        both = weights + torch.cat(log_hidden).double().cpu()
        hidden.append(total - both.flatten().logsumexp(0))
        effective.append((2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp())
    none = in_full(images.new_zeros(0))
    return Completion(
        torch.stack(answers, 1) if answers else images.new_zeros(n, *images.shape),
        torch.stack(hidden).to(none) if hidden else none,
        torch.stack(nats).to(none) if nats else none,
        torch.stack(effective, 1).to(none) if effective else none.expand(n, 0),
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


def _told_answers(model: "DRAW", images: Tensor, masks: Tensor, n: int, seed: int) -> Completion:
    """Answers of a model that is told what is known, each a drawing (eqs 13-16)."""
    shape = model.config.glimpses, model.config.latent_size
    answers = images.new_zeros(n, *images.shape)
    hidden = in_full(images.new_zeros(n, len(images)))
    for i, known in enumerate(masks):
        for start in range(0, n, AT_ONCE):
            numbers = range(start, min(n, start + AT_ONCE))
            x = images[i].expand(len(numbers), -1, -1, -1)
            whole = known.expand(len(numbers), -1, -1)
            noise, other = (
                image_noise(seed, COMPLETION, numbers, shape, 2 * i + k).to(x) for k in (0, 1)
            )
            backend, context = BACKENDS[model.choice.name], model.known_context(x, whole)
            drawn = backend.trajectory(model, None, noise, context).images[-1]
            answers[numbers.start : numbers.stop, i] = x.where(known, drawn)
            hidden[numbers.start : numbers.stop, i] = model(x, other, known=whole).bound
    return Completion(answers, hidden.mean(0), None, None)


def _costs(
    model: "DRAW",
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
    known: Bool[Tensor, "rows columns"],
) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    """-log D(x_known | c_T) and that of the rest, by the likelihood of images of no others."""
    cost, rest = (
        loss_of(
            model.likelihood, canvas[:, :, pixels][:, :, None], images[:, :, pixels][:, :, None]
        )
        for pixels in (known, ~known)
    )
    whole = loss_of(model.likelihood, canvas, images)
    if not torch.allclose(cost + rest, whole, rtol=1e-3, atol=1e-2):
        refuse_parts(model.likelihood)
    return cost, rest


def _check_mask(mask: Tensor, images: Tensor) -> Tensor:
    """A mask for each image."""
    check_tensor("mask", mask)
    batch, _, rows, columns = images.shape
    if mask.dtype != torch.bool or mask.shape not in ((rows, columns), (batch, rows, columns)):
        raise DrawError(
            f"expected a mask of torch.bool, true where a pixel is known, of shape [{rows}, "
            f"{columns}] or [{batch}, {rows}, {columns}], got {mask.dtype} of {list(mask.shape)}"
        )
    return mask.to(images.device).expand(batch, rows, columns)
