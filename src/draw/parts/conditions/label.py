"""Class-conditional drawing: P(x | class)."""

from typing import ClassVar

from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.parts.conditions.nothing import Unconditional
from draw.parts.state import Context


class ClassCondition(nn.Module):
    """P(x | class): a learned vector for each class is added to the gates of both LSTMs.

    # Differs from the paper, whose model is told nothing. # ours: an addend to the gates at every
    # step, as a one-hot input would make it. All vectors start at zero, so that training begins
    # exactly at the paper's model.

    Args:
        config: the model's config, of which `classes` and `hidden_size` are used.
    """

    takes_labels: ClassVar = True
    description: ClassVar = "the class of what it is to show"
    extends: ClassVar = Unconditional

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.enc = nn.Embedding(config.classes, 4 * config.hidden_size)
        self.dec = nn.Embedding(config.classes, 4 * config.hidden_size)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, labels: Int[Tensor, " batch"]) -> Context:
        """Look up the gate addends of drawings with these classes, whole numbers from 0."""
        return Context(enc=self.enc(labels), dec=self.dec(labels))
