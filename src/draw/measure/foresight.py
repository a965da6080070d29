"""What a prior foresees of each step: the learned prior against what no step before it tells."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

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
    least. It has their moments, m = E mu_i and s^2 = E (mu_i^2 + sigma_i^2) - m^2, so that

        E KL(Q_i || N(m, s^2)) = sum over latent variables of  log s - E log sigma_i,

    and what is foreseen of step t is E KL(Q_i || N(m, s^2)) - E KL(Q_i || P(z_t | h_dec_t-1)), in
    nats: below 0 where the learned prior does worse than one that does not look. # ours.

    Args:
        model: a DRAW, whose own loop runs whatever its backend is.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        labels: class of each image, for a class-conditional model.
        batch_size: images at a time; only speed and memory depend on it.
    """
    glimpses, batch, latent = noise.shape
    kl = torch.zeros(2, glimpses, dtype=torch.float64)
    sums = torch.zeros(3, glimpses, latent, dtype=torch.float64)
    for start in range(0, batch, batch_size):
        some = slice(start, start + batch_size)
        x, told = images[some], None if labels is None else labels[some]
        state, context = model.initial_state(len(x)), model.context(told, len(x))
        for t in range(glimpses):
            state, step = model.step(x, noise[t, some], state, context)
            posterior = step.posterior
            of_both = kl_divergence(posterior, step.prior), kl_divergence(posterior)
            kl[:, t] += torch.stack([one.double().sum() for one in of_both]).cpu()
            mu, log_sigma = posterior.mu.double(), posterior.log_sigma.double()
            parts = mu, mu.square() + (2 * log_sigma).exp(), log_sigma
            sums[:, t] += torch.stack([part.sum(0) for part in parts]).cpu()
    mean, square, log_sigma = sums / batch
    fixed = ((square - mean.square()).log() / 2 - log_sigma).sum(-1)
    learned, standard = (kl / batch).tolist()
    return Foresight(tuple(learned), tuple(fixed.tolist()), tuple(standard))
