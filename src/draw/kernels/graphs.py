"""The loop on a GPU, captured as a CUDA graph: one launch instead of thousands.

Forward and backward of `DRAW.unroll` are captured at the first training step with a batch of some
shape and replayed at all later ones. A replay overwrites the outputs of the one before, so a second
forward pass must wait for the backward pass of the first; that is why it comes after the reference
in the table, and runs only where it is asked for.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.kernels.allow_list import hook, state_of
from draw.kernels.contract import OUTSIDE, Backend
from draw.parts.state import NOTHING, Context, UnrollOutput


class Graph(Backend):
    """The loop of a DRAW as a CUDA graph where gradients are wanted; drawings run in Python."""

    name: ClassVar = "graph"
    description: ClassVar = "the loop captured as a CUDA graph"
    devices: ClassVar = frozenset(("cuda",))
    configs: ClassVar = (DRAWConfig,)

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """A model of another kind, or a hook, which a replay would not call."""
        return hook(model, outside=OUTSIDE)

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> UnrollOutput:
        """`model.unroll(images, noise, context)`, from a graph where its gradients are wanted."""
        graphs: Graphs = model.execution.kept.setdefault(self.name, Graphs())  # type: ignore[union-attr, operator, unused-ignore]
        return graphs.unroll(model, images, noise, context)


class _Loop(nn.Module):
    """A model whose forward is the loop; its outputs are a tuple, as graphs want them."""

    def __init__(self, model: nn.Module, addends: tuple[str, ...]) -> None:
        super().__init__()
        self.model, self.addends = model, addends

    def forward(self, images: Tensor, noise: Tensor, *addends: Tensor) -> tuple[Tensor, ...]:
        context = NOTHING._replace(**dict(zip(self.addends, addends, strict=True)))
        return tuple(self.model.unroll(images, noise, context))  # type: ignore[operator]


class Graphs:
    """The graphs of one model, by the shapes and types of what it is given."""

    def __init__(self) -> None:
        self._captured: dict[Any, Callable[..., Any]] = {}
        self._state: list[Any] = []

    def unroll(
        self, model: nn.Module, images: Tensor, noise: Tensor, context: Context = NOTHING
    ) -> UnrollOutput:
        """`model.unroll(images, noise, context)`, from a graph where its gradients are wanted.

        Args:
            model: a DRAW on a GPU.
            images: [batch, channels, rows, columns].
            noise: [glimpses, batch, latent].
            context: what the drawings are told, each field [batch, 4 hidden] or None.
        """
        if not torch.is_grad_enabled() or len(images) == 0:
            return UnrollOutput(*model.unroll(images, noise, context))  # type: ignore[operator]
        device = images.device.type
        bf16, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
        addends = {name: given for name, given in context._asdict().items() if given is not None}
        given = images, noise, *addends.values()
        needs = tuple(tensor.requires_grad for tensor in given)
        state = state_of(model)
        if state != self._state:  # a graph knows neither new code nor other parameters
            self._captured, self._state = {}, state
        key = images.shape, images.dtype, *addends, *needs, bf16, dtype
        if key not in self._captured:
            samples = tuple(
                tensor.detach().clone().requires_grad_(need)
                for tensor, need in zip(given, needs, strict=True)
            )
            with torch.autocast(device, dtype, enabled=bf16, cache_enabled=False):
                self._captured[key] = torch.cuda.make_graphed_callables(
                    _Loop(model, tuple(addends)), samples, allow_unused_input=True
                )
        return UnrollOutput(*self._captured[key](*given))
