"""Sequences captured as CUDA graphs: one launch instead of thousands, whatever computes them."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.kernels.allow_list import hook
from draw.kernels.contract import OUTSIDE, Backend, own_unroll
from draw.kernels.replay import Graphs
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput


class GraphBackend(Backend):
    """A backend of DRAW whose sequences are captured on a GPU, and run as they are elsewhere.

    Extend it with `compute_unroll` and `compute_trajectory`; see `draw.kernels.replay` for what is
    captured when.
    """

    configs: ClassVar = (DRAWConfig,)

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
        """Compute what `unroll` returns; on a GPU by kernels alone that wait for nobody.

        Args:
            model: a DRAW without an `obstacle`.
            images: images, [batch, channels, rows, columns], in [0, 1].
            noise: standard normal noise, [glimpses, batch, latent].
            context: conditioning of the drawings, from `DRAW.context`.
            unit_mask: factors of h_dec; None for none.
            again: whether the call is one of many with such shapes, so that compiling pays.
        """
        return own_unroll(model, images, noise, context, unit_mask)

    def compute_trajectory(
        self,
        model: nn.Module,
        images: Tensor | None,
        noise: Tensor,
        context: Context,
        *,
        again: bool,
    ) -> Trajectory:
        """Compute what `trajectory` returns; see `compute_unroll`."""
        drawn: Trajectory = model.trajectory(images, noise, context)  # type: ignore[operator]
        return drawn

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        """Replay `compute_unroll` from a captured graph."""

        def compute(
            again: bool,
            images: Tensor,
            noise: Tensor,
            enc: Tensor | None,
            dec: Tensor | None,
            units: Tensor | None,
        ) -> UnrollOutput:
            return self.compute_unroll(model, images, noise, Context(enc, dec), units, again=again)

        given = images, noise, *context, unit_mask
        return UnrollOutput(*self._graphs(model).run(model, "unroll", compute, given))

    def trajectory(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        """Replay `compute_trajectory` from a captured graph."""

        def compute(
            again: bool,
            images: Tensor | None,
            noise: Tensor,
            enc: Tensor | None,
            dec: Tensor | None,
        ) -> Trajectory:
            return self.compute_trajectory(model, images, noise, Context(enc, dec), again=again)

        with torch.no_grad():
            given = images, noise, *context
            drawn: Trajectory = self._graphs(model).run(model, "trajectory", compute, given)
        return drawn

    def _graphs(self, model: Any) -> Graphs:
        graphs: Graphs = model.execution.kept.setdefault(self.name, Graphs())
        return graphs


class Graph(GraphBackend):
    """The loop of any DRAW as a CUDA graph."""

    name: ClassVar = "graph"
    description: ClassVar = "the loop captured as a CUDA graph"
    devices: ClassVar = frozenset(("cuda",))

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Name a hook, which a replay would not call as often as the loop, or a transform."""
        return hook(model, outside=OUTSIDE)

    def reason(self, model: nn.Module) -> str:
        """Say what was measured of the backend."""
        return (
            f"{self.description}: 7 times the eager loop's training step of the MNIST row at batch "
            "128 in bf16, measured on one NVIDIA H200"
        )


def doubt_of(device: torch.device) -> str | None:
    """Say why a backend for GPUs that also runs on a CPU should not do so by itself.

    Args:
        device: device of the model's weights.
    """
    return None if device.type == "cuda" else "it is for GPUs; ask for it by name"
