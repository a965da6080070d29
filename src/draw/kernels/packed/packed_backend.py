"""The packed step as a backend: what it takes, and how it is proven."""

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.kernels import allow_list, compilation, proof
from draw.kernels.contract import OUTSIDE, Trial, multiplies_bf16, unknown_option
from draw.kernels.cpp import unroll as cpp
from draw.kernels.cpp.form import drawing_names
from draw.kernels.graphs import GraphBackend, doubt_of
from draw.kernels.packed.packed_sequence import Compile, as_it_is, trajectory, unroll
from draw.kernels.packed.packed_weights import ATTENTIONS, Layout
from draw.parts.state import NOTHING, Context, Trajectory, UnrollOutput


class PackedBackend(GraphBackend):
    """Backend of one glimpse of packed weights, compiled and captured on a GPU; plain on a CPU."""

    name: ClassVar = "packed"
    description: ClassVar = "a compiled glimpse of packed weights"
    devices: ClassVar = frozenset(("cuda", "cpu"))

    def obstacle(self, model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
        """Name other numbers, a missing compiler, or a model that is not as its class makes it."""
        if dtype not in (torch.float32, torch.float64):
            return f"it computes in float32 or float64, the model is in {dtype}"
        found = allow_list.obstacle(CONTRACT, model)
        found = found or allow_list.gradient_hook(model, OUTSIDE)
        if found is None and device.type == "cuda":
            found = compilation.obstacle(device)
        bf16 = multiplies_bf16(device.type)
        return found or proof.difference(CONTRACT, model, proof.in_double(bf16=bf16))

    def doubt(self, model: nn.Module, device: torch.device) -> str | None:
        """Doubt that the backend should run by itself on a CPU."""
        return doubt_of(device)

    def reason(self, model: nn.Module) -> str:
        """Say what was measured of the backend."""
        config: Any = model.config
        measured = (
            f"{self.description}: 28 times the eager loop's training step of the MNIST row, 23 "
            "times CIFAR-10's, at batch 128 in bf16, measured on one NVIDIA H200"
        )
        return measured + ("; not of windows that turn" if config.attention == "rotated" else "")

    def compute_unroll(
        self,
        model: Any,
        images: Tensor,
        noise: Tensor,
        context: Context,
        unit_mask: Tensor | None,
        *,
        again: bool,
    ) -> UnrollOutput:
        """Compute `DRAW.unroll` by the packed sequence."""
        way = _compile(model, images, noise, (*context, unit_mask), again)
        return unroll(model, images, noise, context, unit_mask, way)

    def compute_trajectory(
        self, model: Any, images: Tensor | None, noise: Tensor, context: Context, *, again: bool
    ) -> Trajectory:
        """Compute `DRAW.trajectory` by the packed sequence."""
        way = _compile(model, images, noise, (*context, None), again)
        return trajectory(model, images, noise, context, way)


PACKED_STEP = PackedBackend()


def _compile(
    model: Any,
    images: Tensor | None,
    noise: Tensor,
    extras: tuple[Tensor | None, ...],
    again: bool,
) -> Compile:
    """A compiler for these shapes on a GPU, where they come again; on a CPU it is never worth it.

    There the operator in C++ is faster, and this backend is for tests.
    """
    if noise.device.type != "cuda" or not again:
        return as_it_is
    return compilation.compiler_for((
        Layout.of(model.config), noise.shape[1:], noise.dtype, noise.device,
        torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda"),
        torch.is_grad_enabled(), images is not None and images.requires_grad,
        *(extra is not None for extra in extras),
    ))  # fmt: skip


def _obstacle(config: DRAWConfig) -> str | None:
    parts = {"attention": ATTENTIONS, "prior": ("standard", "learned")}
    return unknown_option(config, {**dict.fromkeys(cpp.ANY), **parts})


def _parameters(config: DRAWConfig) -> Sequence[str]:
    windows = config.attention != "none"
    return drawing_names(windows=windows, learned=config.prior == "learned")


def _trial(model: Any, images: Tensor, noise: Tensor, *addends: Tensor) -> Trial:
    context = Context(*addends) if addends else NOTHING
    unrolled = unroll(model, images, noise, context)
    drawn = trajectory(model, images, noise, context)
    trial = cpp.trial_of(unrolled, drawn, trajectory(model, None, noise, context))
    return cpp.with_masks(
        trial,
        lambda factors: unroll(model, images, noise, context, factors),
        cpp.units_of(model, images),
    )


CONTRACT = dataclasses.replace(
    cpp.CONTRACT,
    parameters=_parameters,
    obstacle=_obstacle,
    key=lambda config: (Layout.of(config), config.glimpses, config.condition),
    kernel=_trial,
    modules=("draw.kernels.packed.packed_sequence",),
)
"""What the packed step stands for in a DRAW: the same as the operator in C++."""
