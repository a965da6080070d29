"""What is expected of z_t before the image is seen: P(z_t), or P(z_t | what is drawn so far).

To add one, write a class with the methods of `Prior` in a file of its own and name it in `PRIORS`.
"""

from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.fields import part_of
from draw.parts.distribution import Gaussian
from draw.parts.priors.learned import LearnedPrior
from draw.parts.priors.standard import StandardPrior


@runtime_checkable
class Prior(Protocol):
    """A module, made from a `DRAWConfig`, that says what is expected of z_t."""

    description: ClassVar[str]
    """What is expected of z_t, for model cards."""

    def __call__(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        """P(z_t | h_dec_{t-1}), each field [batch, latent].

        Args:
            h_dec: h_dec_{t-1}, which knows all that is drawn so far.
        """


PRIORS: dict[str, type[nn.Module]] = {
    "standard": StandardPrior,
    "learned": LearnedPrior,
}
"""The priors by their names in `DRAWConfig.prior`."""


def make_prior(config: DRAWConfig) -> nn.Module:
    """The prior that a config names."""
    return part_of(PRIORS, "prior", config.prior)(config)
