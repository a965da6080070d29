"""The paper's case: a drawing is told nothing."""

from typing import ClassVar

from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.parts.state import NOTHING, Told


class Unconditional(nn.Module):
    """Nothing is known of a drawing beforehand, as in the paper.

    Args:
        config: of the model; nothing of it is used.
    """

    takes_labels: ClassVar = False

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()

    def forward(self, labels: Int[Tensor, " batch"] | None, n: int) -> Told:
        """Nothing.

        Raises:
            DrawError: if there are labels.
        """
        if labels is not None:
            raise DrawError(
                "expected no labels for a model that is told nothing (model.condition none), got "
                f"{len(labels)}; leave them out, or train a model with --model.condition class"
            )
        return NOTHING
