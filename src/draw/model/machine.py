"""The device and the precision that a `ComputeConfig` comes to on this computer."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from draw.config.compute import ComputeConfig
from draw.errors import DrawError
from draw.launch import launched_processes
from draw.model.recurrent import Recurrent

TF32_SINCE = 8, 0
"""The first compute capability whose cards have it (Ampere)."""
SMALLEST = torch.finfo(torch.float32).smallest_normal
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Types of products under autocast."""


@dataclass(frozen=True)
class Compute:
    """The device, the backend and the precision by which models run here."""

    device: torch.device
    backend: str
    """The one asked for: "auto", or a name in `draw.kernels.BACKENDS`."""
    precision: str
    """fp32, tf32, bf16 or fp16."""
    reason: str
    """Why in this precision."""

    def place(self, model: nn.Module) -> None:
        """Bring a model to the device, and have it ask for the backend.

        Raises:
            DrawError: if a backend is asked for and the model has none.
        """
        model.to(self.device)
        if isinstance(model, Recurrent):
            model.backend = self.backend
        elif self.backend != "auto":
            raise DrawError(
                f"expected no backend for a {type(model).__name__}, which has no steps for one to "
                f"compute, got {self.backend!r}; leave --backend out"
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Compute products in the precision while the context lasts, without Accelerate."""
        dtype = DTYPES.get(self.precision)
        cast: Any = nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)
        with self.products(), cast:
            yield

    @contextmanager
    def products(self) -> Iterator[None]:
        """On a GPU compute products of fp32 in TF32 or in full; on a CPU, `no_denormals`."""
        if self.device.type != "cuda":
            with no_denormals():
                yield
            return
        with _float32_products("high" if self.precision == "tf32" else "highest"):
            yield

    def choices(self, model: nn.Module, *, look: bool = False) -> dict[str, str]:
        """What a model runs on, in words with the reasons: device, backend, precision.

        Args:
            model: a network; one without steps has no backend.
            look: whether to say it without compiling anything.

        Raises:
            KernelUnavailableError: if the backend that is asked for cannot run.
        """
        found = {"device": name_of(self.device)}
        if isinstance(model, Recurrent):
            with self.running():
                found["backend"] = str(model.forecast if look else model.choice)
        return {**found, "precision": f"{self.precision} ({self.reason})"}


@contextmanager
def evaluation_mode(*models: nn.Module) -> Iterator[None]:
    """Have all parts of models in the mode of evaluation, and afterwards in the mode they were in.

    Args:
        models: models; a part such as dropout does something else in training.
    """
    before = [(module, module.training) for model in models for module in model.modules()]
    for model in models:
        model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


@contextmanager
def _float32_products(precision: str) -> Iterator[None]:
    """Set torch's precision of float32 products and convolutions, for all who ask.

    Torch has two names for each; the older one cannot be asked where the newer one was set
    otherwise. Convolutions are in TF32 by torch's own default.
    """
    backends: Any = torch.backends
    places = backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn
    each_before = [one.fp32_precision for one in places]
    before, convolutions = None, None
    with suppress(RuntimeError):
        before = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        convolutions = backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(precision)
    backends.cudnn.allow_tf32 = precision == "high"
    try:
        yield
    finally:
        if before is not None:
            torch.set_float32_matmul_precision(before)
        if convolutions is not None:
            backends.cudnn.allow_tf32 = convolutions
        for one, value in zip(places, each_before, strict=True):
            one.fp32_precision = value


@contextmanager
def no_denormals() -> Iterator[None]:
    """Count numbers below the smallest normal one, 1.2e-38, as zero while the context lasts.

    Filters of a window that is narrow or far away are full of them, and a processor takes many
    times as long over each. It holds for the thread that enters and for those that it starts; a
    processor without the switch goes on as before.
    """
    before = bool(torch.full((), SMALLEST, device="cpu") / 2 == 0)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def settle(config: ComputeConfig, *, training: bool = False) -> Compute:
    """Settle a config on this computer: find its device, and check the precision.

    Args:
        config: config that is asked for.
        training: whether gradients are wanted.

    Raises:
        DrawError: if the device is not there, or does not compute in the precision.
    """
    device = _device(config.device)
    if config.precision == "auto":
        return Compute(device, config.backend, *_best_precision(device))
    found = _obstacle(config.precision, device, training)
    if found is not None:
        raise DrawError(
            f"expected a precision that {name_of(device)} computes in, got {config.precision}: "
            f"{found}; pass --precision auto, or {_best_precision(device)[0]}"
        )
    return Compute(device, config.backend, config.precision, "as asked")


def name_of(device: torch.device) -> str:
    """Name of a device in torch and, of a GPU, by its maker."""
    if device.type != "cuda":
        return str(device)
    return f"{device} ({torch.cuda.get_device_name(device)})"


def _device(name: str) -> torch.device:
    if name == "auto":
        found = torch.accelerator.current_accelerator(check_available=True)
        return found or torch.device("cpu")
    device = torch.device(name)
    if device.type == "cuda":
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            numbered = ", ".join(f"cuda:{n}" for n in range(there))
            raise DrawError(
                f"expected a GPU that is there ({numbered or 'torch sees none'}), got {name}; "
                "pass --device auto"
            )
        if device.index is not None and launched_processes() > 1:
            raise DrawError(
                f"expected --device cuda for several processes, each of which takes the GPU of "
                f"its own number, got {name}"
            )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DrawError(
            "expected Apple's GPU (mps), which torch does not see here; pass --device auto"
        )
    return device


def _best_precision(device: torch.device) -> tuple[str, str]:
    if device.type == "cuda":
        has = torch.cuda.is_bf16_supported(including_emulation=False)
        return ("bf16", "the GPU multiplies it") if has else ("fp32", "the GPU has no bf16")
    if device.type == "cpu":
        capable = torch.cpu.get_capabilities()
        has = bool(capable.get("avx512_bf16") or capable.get("amx_bf16"))
        found = "the processor multiplies it" if has else "the processor has no products of bf16"
        return ("bf16" if has else "fp32"), found
    return "fp32", f"others were not tried on {device.type}"


def _obstacle(precision: str, device: torch.device, training: bool) -> str | None:
    """Why a device does not compute in a precision; None if it does."""
    if precision == "fp32":
        return None
    if device.type not in ("cpu", "cuda"):
        return f"no precision but fp32 was tried on {device.type}"
    if device.type == "cpu":
        return None if precision == "bf16" else f"{precision} is for GPUs"
    if precision == "tf32" and torch.cuda.get_device_capability(device) < TF32_SINCE:
        return "the GPU has no TF32"
    if precision == "bf16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "the GPU has no bf16"
    if precision == "fp16" and training:
        return "without a scale for the loss gradients fall below its range, which bf16 spares"
    return None
