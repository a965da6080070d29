"""The paper's case: a drawing is told nothing."""

from typing import ClassVar

from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.parts.state import NOTHING, Context


class Unconditional(nn.Module):
    """Nothing is known of a drawing beforehand, as in the paper.

    Args:
        config: of the model; nothing of it is used.
    """

    takes_labels: ClassVar = False
    description: ClassVar = "nothing, as in the paper"

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()

    def forward(self, labels: Int[Tensor, " batch"] | None = None) -> Context:
        """Nothing; there are no labels."""
        return NOTHING
