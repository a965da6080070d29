"""The unroll in C++: forward and backward of all steps in one operator."""

from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.config.model import ClassifierConfig, DRAWConfig, ModelConfig
from draw.errors import KernelUnavailableError
from draw.kernels import allow_list, proof
from draw.kernels.contract import Backend, Contract, multiplies_bf16
from draw.kernels.cpp import build, classifier_unroll, speed, unroll
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput

CONTRACTS: dict[type[ModelConfig], Contract] = {
    DRAWConfig: unroll.CONTRACT,
    ClassifierConfig: classifier_unroll.CONTRACT,
}
"""Contracts of the compiled operators by the configs of the models that they compute."""
SLOW = "plain loops in the place of torch's micro-kernels"


class Cpp(Backend):
    """The compiled operators of `draw.kernels.cpp`, in float32 or float64."""

    name: ClassVar = "cpp"
    description: ClassVar = "C++, compiled for this processor"
    devices: ClassVar = frozenset(("cpu", "meta"))
    configs: ClassVar = tuple(CONTRACTS)

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Name other numbers, a missing compiler, or a model that is not as its class makes it."""
        if dtype not in (torch.float32, torch.float64):
            return f"it computes in float32 or float64, the model is in {dtype}"
        bf16 = multiplies_bf16(device.type)
        if torch.is_autocast_enabled(device.type) and not bf16:
            return f"it multiplies bfloat16, not {torch.get_autocast_dtype(device.type)}"
        contract = _contract(model)
        found = allow_list.obstacle(contract, model)
        if found is not None:
            return found
        try:
            build.library()
        except KernelUnavailableError as error:
            return str(error)
        return proof.difference(contract, model, proof.in_double(bf16=bf16))

    def ready(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether the kernel was compiled before, or never can be."""
        return build.is_settled()

    def drawback(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """That it was measured to be slower than the reference, where plain loops multiply."""
        found = self._ratio(model, device, dtype)
        if found is None or found >= 1:
            return None
        return f"{SLOW}, measured here to be {found:.2g} times as fast as the reference"

    def reason(self, model: nn.Module) -> str:
        """That it is compiled; where it was measured, how fast it is."""
        first = next(model.parameters())
        found = self._ratio(model, first.device, first.dtype)
        if found is None:
            return self.description
        return (
            f"{self.description}; {SLOW}, measured here to be {found:.2g} times as fast as the "
            "reference"
        )

    def _ratio(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> float | None:
        """How many times as fast as the reference it is; None where that need not be measured."""
        if device.type != "cpu" or dtype != torch.float32:
            return None
        return speed.ratio(_contract(model), model, bf16=multiplies_bf16(device.type))

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        """Compute `DRAW.unroll` by the compiled operator."""
        config: Any = model.config
        return unroll.unroll(config, model, images, noise, context, unit_mask)

    def trajectory(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        """Compute `DRAW.trajectory` by the compiled operator."""
        config: Any = model.config
        return unroll.trajectory(config, model, images, noise, context)

    def look(
        self, model: nn.Module, images: Float[Tensor, "batch channels rows columns"]
    ) -> tuple[Float[Tensor, "glimpses batch hidden"], AbstractWindow]:
        """Compute `Classifier.look` by the compiled operator."""
        return classifier_unroll.classifier_look(model, images)


def _contract(model: nn.Module) -> Contract:
    return next(each for kind, each in CONTRACTS.items() if isinstance(model.config, kind))
