"""Which implementation of the unroll a model uses, and why."""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import torch
from torch import nn

from draw.errors import KernelUnavailableError
from draw.kernels import allow_list as parts
from draw.kernels import proof
from draw.kernels.contract import Contract
from draw.kernels.cpp.build import library

log = logging.getLogger(__name__)

_known: dict[tuple[type[nn.Module], Hashable], tuple[parts.Layout, Any]] = {}
"""Of a class and what a kernel depends on in a config: the layout, and a miniature's config."""


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


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def kernel_of(
    model: nn.Module, base: type[nn.Module], contract: Contract, *, graph: bool
) -> Kernel:
    """The implementation for a model as it is now, and why.

    Args:
        model: of the class or a subclass of it, with a `config`.
        base: the class that the compiled kernel knows.
        contract: the compiled kernel's.
        graph: whether the loop can be a CUDA graph, which is what 'fused' means on a GPU.

    Raises:
        KernelUnavailableError: if 'fused' is asked for and cannot take this model.
    """
    config: Any = model.config
    weights = getattr(model, contract.parameters(config)[0])

    def changed() -> str | None:
        if (unknown := contract.obstacle(config)) is not None:
            return unknown
        key = base, contract.key(config)
        if key not in _known:
            _known[key] = parts.layout(base, contract, config), contract.miniature(config)
        expected, miniature = _known[key]
        found = parts.difference(expected, contract, model)
        if found is not None:
            return found
        bf16 = multiplies_bf16(weights.device.type)
        return proof.difference(contract, expected, model, miniature, bf16=bf16)

    return for_model(
        choose(config.kernel), config.kernel, changed, weights.device, weights.dtype,
        hooked=(lambda: parts.hook(contract, model)) if graph else None,
    )  # fmt: skip


def for_model(
    kernel: Kernel,
    asked: str,
    changed: Callable[[], str | None],
    device: torch.device,
    dtype: torch.dtype,
    *,
    hooked: Callable[[], str | None] | None,
) -> Kernel:
    """The implementation for a model that is somewhere, in some numbers.

    Args:
        kernel: what `choose` returned.
        asked: `DRAWConfig.kernel`.
        changed: says what the compiled kernel does not know of the model.
        device: where the model is.
        dtype: of its weights.
        hooked: says what a CUDA graph of its loop would pass over; None if it can be none.

    Raises:
        KernelUnavailableError: if 'fused' is asked for and cannot take this model.
    """
    if asked == "reference":
        return kernel
    if device.type == "cuda" and hooked is not None:
        return _on_a_gpu(asked, hooked)
    reason = _obstacle(device.type, dtype)
    if reason is None and kernel.name == "reference":
        reason = kernel.reason
    if reason is None and (found := changed()) is not None:
        reason = f"the fused kernel is for DRAW as it is, {found}"
        if asked == "auto":
            _say_once(f"the reference runs, several times slower: {reason}")
    if reason is None:
        return kernel
    if asked == "fused":
        raise KernelUnavailableError(f"{reason}; choose the kernel 'auto' or 'reference'")
    return Kernel("reference", reason)


def _on_a_gpu(asked: str, hooked: Callable[[], str | None]) -> Kernel:
    if asked == "fused":
        if (found := hooked()) is not None:
            raise KernelUnavailableError(
                f"the loop cannot be captured as a CUDA graph, {found}; choose the kernel 'auto' "
                "or 'reference'"
            )
        return Kernel("graph", "the loop captured as a CUDA graph, as asked")
    return Kernel("reference", "on a GPU; 'fused' captures it as a CUDA graph, not measured yet")


def multiplies_bf16(device: str) -> bool:
    """Whether autocast asks for products of bfloat16."""
    return torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16


def _obstacle(device: str, dtype: torch.dtype) -> str | None:
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
