"""Independent normal variables, of which posterior and prior of a step are made: eqs 1-2 and 6."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Gaussian(NamedTuple):
    """N(mu, sigma^2), one for each latent variable."""

    mu: Float[Tensor, "*batch latent"]
    log_sigma: Float[Tensor, "*batch latent"]

    def sample(self, noise: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """Z = mu + sigma noise (eq 6), a sample where the noise is standard normal."""
        return self.mu + self.log_sigma.exp() * noise

    def noise_of(self, z: Float[Tensor, "*batch latent"]) -> Float[Tensor, "*batch latent"]:
        """The noise that `sample` makes z of: (z - mu) / sigma."""
        return (z - self.mu) * (-self.log_sigma).exp()

    @staticmethod
    def stack(all_steps: "list[Gaussian]") -> "Gaussian":
        """Those of all steps in one, [glimpses, batch, latent]."""
        return Gaussian(*map(torch.stack, zip(*all_steps, strict=True)))


STANDARD_NORMAL = Gaussian(torch.zeros(()), torch.zeros(()))
"""N(0, 1), the paper's prior (eq 10), as one number that serves every shape."""
