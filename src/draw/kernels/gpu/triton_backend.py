"""The unroll in Triton: forward and backward of all steps in one kernel each, on NVIDIA's cards."""

import logging
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.kernels import allow_list, proof
from draw.kernels.contract import Backend, Trial, own_unroll, unknown_option
from draw.kernels.cpp import unroll as cpp
from draw.kernels.cpp.form import drawing_names
from draw.kernels.gpu import language, triton_unroll
from draw.kernels.gpu.layout import FASTEST
from draw.kernels.packed.packed_backend import PACKED_STEP
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput

log = logging.getLogger(__name__)

LEAST = 8, 0
"""The first compute capability that multiplies bfloat16."""
MEASURED_ROW = DRAWConfig(
    rows=28, columns=28, channels=1, glimpses=64, hidden_size=256, latent_size=100, read_size=2,
    write_size=5,
)  # fmt: skip
"""What was measured: the paper's MNIST row, with attention and without."""
FILTERS = "none", "gaussian", "cauchy", "laplace"
"""Attentions of which the kernels have the filters."""
RATIOS = {
    "gaussian": "43 times the eager loop's training step at batch 128 in bf16",
    "none": "23 times the eager loop's training step at batch 512 in bf16",
}
"""By attention; docs/performance.md has the figures."""


class Triton(Backend):
    """The kernels of `draw.kernels.gpu`, for weights in float32 on an NVIDIA card."""

    name: ClassVar = "triton"
    description: ClassVar = "all steps in one Triton kernel"
    devices: ClassVar = frozenset(("cuda",))
    configs: ClassVar = (DRAWConfig,)

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Name another card, other numbers, or a model that is not as its class makes it."""
        if (found := unfit(device)) is not None:
            return found
        if dtype != torch.float32:
            return f"it takes weights in float32, the model is in {dtype}"
        operands = triton_unroll.operands(device)
        if operands not in proof.TOLERANCES:
            return f"it multiplies float32, bfloat16 or float16, not {operands}"
        if (found := allow_list.obstacle(CONTRACT, model)) is not None:
            return found
        rounds = proof.in_single(device, operands, tf32=triton_unroll.precision() == "tf32")
        return proof.difference(CONTRACT, model, rounds)

    def doubt(self, model: nn.Module, device: torch.device) -> str | None:
        """Doubt a model or a card for which the backend was not measured."""
        config: Any = model.config
        for field in SIZES:
            if getattr(config, field) != getattr(MEASURED_ROW, field):
                return (
                    f"it was measured with {field} {getattr(MEASURED_ROW, field)}, this model has "
                    f"{getattr(config, field)}; ask for it by name"
                )
        if config.attention not in RATIOS:
            return f"it was not measured with attention {config.attention!r}; ask for it by name"
        if language.is_installed() and (card := capability(device)) not in FASTEST:
            return f"it was not measured on compute capability {card}; ask for it by name"
        return None

    def reason(self, model: nn.Module) -> str:
        """Say by what, and where, the backend was measured."""
        config: Any = model.config
        return f"{self.description}: {RATIOS[config.attention]}, measured on one NVIDIA H200"

    def unroll(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"],
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
        unit_mask: Float[Tensor, "batch hidden"] | None = None,
    ) -> UnrollOutput:
        """Compute `DRAW.unroll` by the kernels; with factors of h_dec, by the packed step.

        Where that one has an obstacle, by the model's own code.
        """
        if unit_mask is not None:
            found = PACKED_STEP.obstacle(model, images.device, torch.float32)
            if found is None:
                return PACKED_STEP.unroll(model, images, noise, context, unit_mask)
            _note(found)
            return own_unroll(model, images, noise, context, unit_mask)
        unrolled: UnrollOutput = triton_unroll.unroll(cast(Any, model), images, noise, context)
        return unrolled

    def trajectory(
        self,
        model: nn.Module,
        images: Float[Tensor, "batch channels rows columns"] | None,
        noise: Float[Tensor, "glimpses batch latent"],
        context: Context = NOTHING,
    ) -> Trajectory:
        """Compute `DRAW.trajectory` by the Triton kernels."""
        drawn: Trajectory = triton_unroll.trajectory(cast(Any, model), images, noise, context)
        return drawn


SIZES = (
    "rows", "columns", "channels", "glimpses", "hidden_size", "latent_size", "read_size",
    "write_size", "prior", "condition",
)  # fmt: skip
"""Options that speed depends on, besides the attention."""


@cache
def _note(found: str) -> None:
    """Log, once each, what keeps the packed step from computing with factors of h_dec."""
    log.warning("with decoder dropout the model's own code runs, several times slower: %s", found)


def unfit(device: torch.device) -> str | None:
    """Say why no model runs in Triton here; None where nothing is in the way."""
    if not language.is_installed():
        return "Triton is not installed, which comes with torch for CUDA"
    if torch.version.hip is not None:
        return "it is written for NVIDIA's cards"
    if (card := capability(device)) < LEAST:
        return f"it needs compute capability {LEAST} or later, this card has {card}"
    return None


def capability(device: torch.device) -> tuple[int, int]:
    """Compute capability of a card."""
    return torch.cuda.get_device_capability(device)


@dataclass(frozen=True)
class _InTriton:
    """A model whose two ways through all steps are the kernels."""

    model: Any

    def unroll(self, images: Tensor, noise: Tensor, context: Context) -> UnrollOutput:
        return TRITON.unroll(self.model, images, noise, context)

    def trajectory(self, images: Tensor | None, noise: Tensor, context: Context) -> Trajectory:
        return TRITON.trajectory(self.model, images, noise, context)


TRITON = Triton()


def _computed(model: Any, images: Tensor, noise: Tensor, *addends: Tensor) -> Trial:
    return cpp.unmasked_reference(_InTriton(model), images, noise, *addends)


def _unknown(config: DRAWConfig) -> str | None:
    parts = {
        "attention": FILTERS,
        "prior": ("standard", "learned"),
    }
    return unknown_option(config, {**dict.fromkeys(cpp.ANY), **parts})


CONTRACT = replace(
    cpp.CONTRACT,
    parameters=lambda config: drawing_names(
        windows=config.attention != "none", learned=config.prior == "learned"
    ),
    obstacle=_unknown,
    key=lambda config: (config.attention, cpp.CONTRACT.key(config)),
    kernel=_computed,
    reference=cpp.unmasked_reference,
)
"""What the kernels stand for in a DRAW; with factors of h_dec it is the packed step."""
