"""Diagonal Gaussians, of which posterior and prior of a step are made (eqs 1-2 and 6)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from draw.tensors import by_shapes


class Gaussian(NamedTuple):
    """A diagonal Gaussian N(mu, sigma^2) over the latent variables."""

    mu: Float[Tensor, "*batch latent"]
    log_sigma: Float[Tensor, "*batch latent"]

    def __repr__(self) -> str:
        return by_shapes(self)

    def sample(self, noise: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """Reparameterised sample z = mu + sigma noise (eq 6); the noise is standard normal."""
        return self.mu + self.log_sigma.exp() * noise

    def noise_of(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """Recover the noise of which `sample` makes z: (z - mu) / sigma."""
        return (z - self.mu) * (-self.log_sigma).exp()

    def shift(self, by: "Gaussian") -> "Gaussian":
        """Q with other numbers: mu and log sigma plus those of `by`."""
        return Gaussian(self.mu + by.mu, self.log_sigma + by.log_sigma)

    @staticmethod
    def stack(all_steps: "list[Gaussian]") -> "Gaussian":
        """Stack the Gaussians of all steps into one, each field [glimpses, batch, latent]."""
        return Gaussian(*map(torch.stack, zip(*all_steps, strict=True)))


STANDARD_NORMAL = Gaussian(torch.zeros(()), torch.zeros(()))
"""The paper's prior N(0, 1) (eq 10), as one number that broadcasts to every shape."""
