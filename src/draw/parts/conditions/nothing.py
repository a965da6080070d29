"""The paper's case: an unconditional drawing."""

from typing import ClassVar

from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.parts.state import NOTHING, Context


class Unconditional(nn.Module):
    """No conditioning, as in the paper: nothing is added to the gates of the LSTMs.

    Args:
        config: the model's config, of which nothing is used.
    """

    takes_labels: ClassVar = False
    description: ClassVar = "nothing, as in the paper"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()

    def forward(self, labels: Int[Tensor, " batch"] | None = None) -> Context:
        """Return the empty context; there are no labels."""
        return NOTHING
