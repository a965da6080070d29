"""Which implementation of the unroll a model uses, and why."""

import logging
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from draw.kernels.build import library
from draw.kernels.errors import KernelUnavailableError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kernel:
    """An implementation of the unroll."""

    name: Literal["reference", "fused", "graph"]
    """The readable loop, the compiled operator, or the loop as a CUDA graph."""
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose(asked: Literal["auto", "reference", "fused"]) -> Kernel:
    """Resolve `DRAWConfig.kernel` for the CPU of this machine; compiles at the first use ever.

    Raises:
        KernelUnavailableError: if 'fused' is asked for and cannot run.
    """
    if asked == "reference":
        return Kernel("reference", "as asked")
    try:
        library()
    except KernelUnavailableError as error:
        if asked == "fused" and not torch.cuda.is_available():
            raise KernelUnavailableError(
                f"the fused kernel cannot run: {error}. Or pass --model.kernel reference"
            ) from error
        _say_once(f"the fast kernel cannot run, the reference is several times slower: {error}")
        return Kernel("reference", f"the fused one cannot run: {error}")
    return Kernel("fused", "as asked" if asked == "fused" else "compiled for this processor")


def for_model(
    kernel: Kernel,
    asked: str,
    changed: str | None,
    device: torch.device,
    dtype: torch.dtype,
    *,
    graph: bool,
) -> Kernel:
    """The implementation for a model as it is now: the compiled one knows only the paper's.

    Args:
        kernel: what `choose` returned.
        asked: `DRAWConfig.kernel`.
        changed: a part of the model that is not draw's own.
        device: where the model is.
        dtype: of its weights.
        graph: whether its loop can be a CUDA graph, which is what 'fused' means on a GPU.

    Raises:
        KernelUnavailableError: if 'fused' is asked for and cannot take this model.
    """
    if asked == "reference":
        return kernel
    if device.type == "cuda" and graph:
        return _on_a_gpu(asked)
    reason = _obstacle(changed, device.type, dtype)
    if reason is None and kernel.name == "reference":
        reason = kernel.reason
    if reason is None:
        return kernel
    if asked == "fused":
        raise KernelUnavailableError(f"{reason}; choose the kernel 'auto' or 'reference'")
    return Kernel("reference", reason)


def _on_a_gpu(asked: str) -> Kernel:
    if asked == "fused":
        return Kernel("graph", "the loop captured as a CUDA graph, as asked")
    return Kernel("reference", "on a GPU; 'fused' captures it as a CUDA graph, not measured yet")


def multiplies_bf16(device: str) -> bool:
    """Whether autocast asks for products of bfloat16."""
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def _obstacle(changed: str | None, device: str, dtype: torch.dtype) -> str | None:
    if changed is not None:
        return f"the fused kernel is for DRAW as it is, this model has its own {changed}"
    if device not in ("cpu", "meta"):
        return f"the fused kernel runs on CPUs, the model is on {device}"
    if dtype not in (torch.float32, torch.float64):
        return f"the fused kernel computes in float32 or float64, the model is in {dtype}"
    if torch.is_autocast_enabled(device) and not multiplies_bf16(device):
        return f"the fused kernel multiplies bfloat16, not {torch.get_autocast_dtype(device)}"
    return None


@cache
def _say_once(message: str) -> None:
    log.warning(message)
