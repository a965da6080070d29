"""Gradients and losses of several processes: one buffer, one collective, the mean of all."""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.errors import DrawError


class Reduction:
    """The mean over processes of gradients and losses, which lie in one buffer.

    What comes before the collective and what comes after it read and write the same memory at every
    step, so that each can be recorded; the collective itself is left to its library.

    Args:
        processes: number of processes.
        all_reduce: adds up a tensor over all processes, in place; all of them call it together.
    """

    def __init__(self, processes: int, all_reduce: Callable[[Tensor], object]) -> None:
        self.processes, self.all_reduce = processes, all_reduce
        self._buffer = torch.empty(0)
        self._names: list[str] = []

    def gather(self, model: nn.Module, losses: Mapping[str, Float[Tensor, ""]]) -> None:
        """Move a process's own gradients and losses into the buffer, divided by the processes.

        Args:
            model: model whose parameters have gradients; they have none afterwards.
            losses: means over the process's share of the batch, by name.

        Raises:
            DrawError: if a parameter that learns has no gradient: processes that differ in which
                have one would wait for each other for ever.
        """
        self._names = list(losses)
        parts = [loss.detach().reshape(1) for loss in losses.values()]
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if parameter.grad is None:
                raise DrawError(
                    f"expected a gradient of every parameter that learns, got none of {name}; "
                    "use it in the model, let it rest with requires_grad_(False), or train in one "
                    "process"
                )
            parts.append(parameter.grad.flatten())
        count = sum(part.numel() for part in parts)
        if self._buffer.numel() != count:
            self._buffer = parts[-1].new_empty(count)
        torch.cat(parts, out=self._buffer)
        self._buffer.mul_(1 / self.processes)
        model.zero_grad()

    def reduce(self) -> None:
        """Add up the buffers of all processes, which call this together."""
        self.all_reduce(self._buffer)

    def scatter(self, model: nn.Module) -> dict[str, Float[Tensor, ""]]:
        """Give the parameters their mean gradients, which are the buffer's; return the losses."""
        count = len(self._names)
        losses = dict(zip(self._names, self._buffer[:count].unbind(), strict=True))
        learning = [one for one in model.parameters() if one.requires_grad]
        sizes = [parameter.numel() for parameter in learning]
        for parameter, part in zip(
            learning, self._buffer[count:].split_with_sizes(sizes), strict=True
        ):
            parameter.grad = part.view_as(parameter)
        return losses
