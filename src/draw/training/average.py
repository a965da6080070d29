"""The running average of the weights, which is evaluated and exported."""

from copy import deepcopy

import torch
from torch import nn


class Average:
    """An exponential moving average of a model's weights, whose memory grows to a decay.

    It starts unbiased: the first update takes the weights as they are. What changes from update to
    update is a tensor, so that a captured graph meets its present value.

    Args:
        model: where the average starts; it is copied.
        decay: what the memory grows to, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.module, self.decay = deepcopy(model).eval(), decay
        self.count = 0
        """Updates so far."""
        first = next(model.parameters())
        self._share = torch.zeros((), dtype=first.dtype, device=first.device)

    def prepare(self) -> None:
        """Set the share of the next update, and count it."""
        n, self.count = self.count, self.count + 1
        share = 1 - min(self.decay, (1 + n) / (10 + n)) if n else 1.0
        self._share.fill_(share)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in a model's weights, after `prepare`."""
        for average, now in zip(self.module.parameters(), model.parameters(), strict=True):
            average.lerp_(now, self._share)
        for buffer, newest in zip(self.module.buffers(), model.buffers(), strict=True):
            buffer.copy_(newest)
