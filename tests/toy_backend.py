"""A backend that is not the package's, as somebody else would write one."""

from collections import Counter
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.kernels.contract import Backend
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput


class Toy(Backend):
    """Computes as the model does, and counts; knows nothing of classifiers."""

    name: ClassVar = "toy"
    description: ClassVar = "counts what it computes"
    configs: ClassVar = (DRAWConfig,)

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.in_the_way: str | None = None

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        return self.in_the_way

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        self.calls["unroll"] += 1
        return super().unroll(model, images, noise, context, unit_mask)

    def trajectory(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        self.calls["trajectory"] += 1
        return super().trajectory(model, images, noise, context)
