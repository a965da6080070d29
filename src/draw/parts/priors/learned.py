"""A learned prior, which depends on what is drawn so far."""

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.parts.distribution import Gaussian
from draw.parts.layers import Affine
from draw.parts.priors.standard import StandardPrior


class LearnedPrior(nn.Module):
    """P(z_t | h_dec_{t-1}) = N(mu_p, sigma_p^2), mu_p and log sigma_p affine in h_dec_{t-1}.

    # Differs from the paper, whose prior is N(0, 1) at every step. Source: Chung et al. 2015 (arXiv
    # 1506.02216), and Gregor et al. 2016 (arXiv 1604.08772) for DRAW. Both maps start at zero, so
    # that training begins exactly at the paper's model.

    Args:
        config: the model's config, of which `hidden_size` and `latent_size` are used.
    """

    description: ClassVar = "normal, learned from what is drawn so far, P(z_t | h_dec_{t-1})"
    extends: ClassVar = StandardPrior

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.mu = Affine(config.hidden_size, config.latent_size)
        self.log_sigma = Affine(config.hidden_size, config.latent_size)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        """Compute the prior over z_t from h_dec_{t-1}, each field [batch, latent]."""
        return Gaussian(mu=self.mu(h_dec), log_sigma=self.log_sigma(h_dec))
