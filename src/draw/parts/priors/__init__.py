"""The priors over z_t: P(z_t), or P(z_t | what is drawn so far).

To add a prior, write a class with the methods of `Prior` in a file of its own and name it in
`PRIORS`.
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
    """A module made from a `DRAWConfig` that computes the prior over z_t.

    One that begins as another does, with weights of its own beside that one's, may name it as its
    `extends`: a model with that prior can then be trained on with this one (train.start_from).
    """

    description: ClassVar[str]
    """The distribution of z_t, in words for model cards."""

    def __call__(self, h_dec: Float[Tensor, "batch hidden"]) -> Gaussian:
        """Compute the prior P(z_t | h_dec_{t-1}), each field [batch, latent].

        Args:
            h_dec: decoder output h_dec_{t-1}, [batch, hidden], which depends on all that is drawn
                so far.
        """


PRIORS: dict[str, type[nn.Module]] = {
    "standard": StandardPrior,
    "learned": LearnedPrior,
}
"""The priors by their names in `DRAWConfig.prior`."""


def make_prior(config: DRAWConfig) -> nn.Module:
    """Build the prior that a config names."""
    return part_of(PRIORS, "prior", config.prior)(config)
