"""The specification itself: a model's own loop under autograd."""

from typing import ClassVar

import torch
from torch import nn

from draw.kernels.contract import Backend


class Reference(Backend):
    """The backend that runs a model's own code, on any device."""

    name: ClassVar = "reference"
    description: ClassVar = "the loop under autograd"

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Return None: the model's own code always runs."""
        return None
