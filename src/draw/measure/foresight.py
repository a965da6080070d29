"""What a prior foresees of each step: the learned prior against what no step before it tells."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.parts.objective import kl_divergence

MOST_IMAGES = 500
"""Most images of a split that it is measured on, evenly from all: the model's own loop runs."""


@dataclass(frozen=True)
class Foresight:
    """KL divergence of each step's posterior from three priors, means over images in nats."""

    learned: tuple[float, ...]
    """From the model's own prior P(z_t | h_dec_t-1): what the codes cost, eq 10."""
    constant: tuple[float, ...]
    """From the best normal of the step that is the same for all drawings."""
    standard: tuple[float, ...]
    """From the paper's N(0, 1)."""

    @property
    def foreseen(self) -> tuple[float, ...]:
        """Nats of each step that the drawing so far tells: `constant` less `learned`."""
        return tuple(np.subtract(self.constant, self.learned).tolist())


@torch.no_grad()
def foresight(
    model: DRAW,
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    labels: Int[Tensor, " batch"] | None = None,
    *,
    batch_size: int = 250,
) -> Foresight:
    """Measure what the prior foresees of each step's code.

    A learned prior makes codes cheaper in two ways. It may be another normal than N(0, 1), which
    says little: the decoder's first map could undo it. And it may depend on what is drawn so far.
    To tell the second from the first, the posteriors Q_i = N(mu_i, sigma_i^2) of the images i at
    step t are compared with that one normal N(m, s^2) for which the mean of KL(Q_i || N(m, s^2)) is
    least: that of their moments, m = E mu_j and s^2 = E (mu_j^2 + sigma_j^2) - m^2. Fitted to the
    very images that it is measured on it seems to cost too little, and fitted for each image to the
    others, so that it is of one image fewer, too much by as much to first order: the mean of the
    two is taken. What is foreseen of step t is

        E KL(Q_i || N(m, s^2)) - E KL(Q_i || P(z_t | h_dec_t-1)),

    in nats: below 0 where the learned prior does worse than one that does not look. # ours.

    Args:
        model: a DRAW, whose own loop runs whatever its backend is.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        labels: class of each image, for a class-conditional model.
        batch_size: images at a time; only speed and memory depend on it.

    Raises:
        DrawError: if there are fewer than two images.
    """
    glimpses, batch, latent = noise.shape
    if batch < 2:
        raise DrawError(f"expected two images or more, to tell one from the others, got {batch}")
    kl = torch.zeros(2, glimpses, dtype=torch.float64)
    mu, variance = torch.zeros(2, glimpses, batch, latent, dtype=torch.float64)
    for start in range(0, batch, batch_size):
        some = slice(start, start + batch_size)
        x, told = images[some], None if labels is None else labels[some]
        state, context = model.initial_state(len(x)), model.context(told, len(x))
        for t in range(glimpses):
            state, step = model.step(x, noise[t, some], state, context)
            posterior = step.posterior
            of_both = kl_divergence(posterior, step.prior), kl_divergence(posterior)
            kl[:, t] += torch.stack([one.double().sum() for one in of_both]).cpu()
            mu[t, some] = posterior.mu.double().cpu()
            variance[t, some] = (2 * posterior.log_sigma.double()).exp().cpu()
    constant = (_cost(mu, variance, 0) + _cost(mu, variance, 1)) / 2
    learned, standard = (kl / batch).tolist()
    return Foresight(tuple(learned), tuple(constant.tolist()), tuple(standard))


def _cost(
    mu: Float[Tensor, "glimpses batch latent"],
    variance: Float[Tensor, "glimpses batch latent"],
    left_out: int,
) -> Float[Tensor, " glimpses"]:
    """Mean KL from the best normal of each step: of all images, or (1) of all the others."""
    square, n = mu.square() + variance, mu.shape[1] - left_out
    m = (mu.sum(1, keepdim=True) - left_out * mu) / n
    s_square = (square.sum(1, keepdim=True) - left_out * square) / n - m.square()
    kl = ((variance + (mu - m).square()) / s_square - 1 + (s_square / variance).log()) / 2
    return kl.sum(2).mean(1)
