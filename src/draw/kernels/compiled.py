"""The backend of any DRAW's own step under `torch.compile`, whatever parts it is made of."""

import threading
from collections.abc import Callable, Hashable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from draw.kernels import compilation
from draw.kernels.allow_list import hook
from draw.kernels.compilation import CompiledFunction
from draw.kernels.contract import OUTSIDE
from draw.kernels.graph_state import state_of
from draw.kernels.graphs import GraphBackend, doubt_of
from draw.kernels.package_code import same_code
from draw.parts.state import Context, Trajectory, UnrollOutput


class CompiledBackend(GraphBackend):
    """The model's loop over a compiled `step` or `generate_step`, captured on a GPU.

    Methods that a subclass replaces are what is compiled, or what calls it.
    """

    name: ClassVar = "compiled"
    description: ClassVar = "the model's own step, compiled"
    devices: ClassVar = frozenset(("cuda", "cpu"))

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Name a hook, which a replay would not call, a transform, or a missing compiler."""
        return hook(model, outside=OUTSIDE) or compilation.obstacle(device)

    def doubt(self, model: nn.Module, device: torch.device) -> str | None:
        """Doubt that the backend should run by itself on a CPU."""
        return doubt_of(device)

    def reason(self, model: nn.Module) -> str:
        """Say what was measured of the backend."""
        return (
            f"{self.description}: 15 times the eager loop's training step of the MNIST row at "
            "batch 128 in bf16, measured on one NVIDIA H200"
        )

    def compute_unroll(
        self,
        model: nn.Module,
        images: Tensor,
        noise: Tensor,
        context: Context,
        unit_mask: Tensor | None,
        *,
        again: bool,
    ) -> UnrollOutput:
        """Compute `DRAW.unroll`, whose step is compiled where its shapes come again."""
        view = _with_steps(self.name, model, (images, noise, *context, unit_mask), again)
        return super().compute_unroll(view, images, noise, context, unit_mask, again=again)

    def compute_trajectory(
        self,
        model: nn.Module,
        images: Tensor | None,
        noise: Tensor,
        context: Context,
        *,
        again: bool,
    ) -> Trajectory:
        """Compute `DRAW.trajectory`, whose step is compiled where its shapes come again."""
        view = _with_steps(self.name, model, (images, noise, *context, None), again)
        return super().compute_trajectory(view, images, noise, context, again=again)


class _Steps:
    """The compiled steps of one model, by what they are given."""

    def __init__(self) -> None:
        self._compiled: dict[Hashable, CompiledFunction] = {}
        self._state: list[Any] = []
        self._lock = threading.Lock()

    def get(self, model: nn.Module, name: str, key: Hashable) -> Callable[..., Any]:
        state = state_of(model)
        with self._lock:
            if not same_code(state, self._state):  # the code, or what it reads, is another
                self._compiled, self._state = {}, state
            if (name, key) not in self._compiled:
                step: Callable[..., Any] = getattr(model, name)
                self._compiled[name, key] = CompiledFunction(step, whole=False)
            return self._compiled[name, key]


def _with_steps(
    name: str, model: nn.Module, given: tuple[Tensor | None, ...], again: bool
) -> nn.Module:
    """The same model, the same parameters, and steps that are compiled."""
    if not again:
        return model
    steps: _Steps = cast(Any, model).execution.kept.setdefault(f"{name} steps", _Steps())
    device = next(tensor.device.type for tensor in given if tensor is not None)
    key = (
        *(None if t is None else (t.shape, t.dtype, t.device, t.requires_grad) for t in given),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled(device),
        torch.get_autocast_dtype(device),
    )
    view = object.__new__(type(model))
    view.__dict__.update(model.__dict__)
    for step in ("step", "generate_step"):
        view.__dict__[step] = steps.get(model, step, key)
    return view
