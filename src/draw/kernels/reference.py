"""The specification itself: a model's own loop under autograd."""

from typing import ClassVar

import torch
from torch import nn

from draw.kernels.contract import Backend


class Reference(Backend):
    """Whatever a model's own code computes, on any device."""

    name: ClassVar = "reference"
    description: ClassVar = "the loop under autograd"

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """None, ever."""
        return None
