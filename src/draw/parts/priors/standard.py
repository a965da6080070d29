"""The paper's prior: N(0, 1) at every step."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.parts.distribution import Gaussian


class StandardPrior(nn.Module):
    """P(z_t) = N(0, 1) for every latent variable of every step (eq 10).

    Args:
        config: the model's config, of which `latent_size` is used.
    """

    description: ClassVar = "N(0, 1) at every step, as in the paper"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.latent_size = config.latent_size

    def forward(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        """Return N(0, 1), whatever h_dec is; each field [batch, latent]."""
        zero = h_dec.new_zeros(()).expand(h_dec.shape[0], self.latent_size)
        return Gaussian(mu=zero, log_sigma=zero)
