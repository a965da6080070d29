"""A drawing is told the class of what it is to show."""

from typing import ClassVar

import torch
from jaxtyping import Int
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.parts.state import Told


class ClassCondition(nn.Module):
    """P(x | class): a learned vector for each class is added to the gates of both LSTMs.

    # Differs from the paper, whose model is told nothing. # ours: an addend to the gates at every
    # step, as a one-hot input would make it. All vectors start at zero, so that training begins
    # exactly at the paper's model.

    Args:
        config: of the model; its `classes` and `hidden_size` are used.
    """

    takes_labels: ClassVar = True

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.classes = config.classes
        self.enc = nn.Embedding(config.classes, 4 * config.hidden_size)
        self.dec = nn.Embedding(config.classes, 4 * config.hidden_size)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, labels: Int[Tensor, " batch"] | None, n: int) -> Told:
        """What n drawings are told.

        Args:
            labels: whole numbers from 0, one a drawing; if left out, each class in turn.
            n: number of drawings.

        Raises:
            DrawError: if the labels are of another number, kind or range.
        """
        if labels is None:
            labels = torch.arange(n, device=self.enc.weight.device) % self.classes
        if labels.shape != (n,) or labels.is_floating_point() or labels.dtype == torch.bool:
            raise DrawError(
                f"expected {n} labels, whole numbers of shape [{n}], got {labels.dtype} of shape "
                f"{list(labels.shape)}"
            )
        wrong = labels[(labels < 0) | (labels >= self.classes)]
        if len(wrong):
            raise DrawError(
                f"expected labels from 0 to {self.classes - 1}, got {int(wrong[0])}; the model "
                f"knows {self.classes} classes (model.classes)"
            )
        return Told(enc=self.enc(labels), dec=self.dec(labels))
