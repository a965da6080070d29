"""Affine maps of a sequence, noted step by step for one product each at its end."""

from collections import defaultdict

import torch
from torch import Tensor


class Products:
    """Operands of every affine map and gradients of its results, of all steps."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = defaultdict(list)

    def add(self, name: str, operand: Tensor, d_result: Tensor, suffix: str = "") -> None:
        """Note one use of `{name}.weight{suffix}` and its bias; both [batch, features]."""
        self._steps[name, suffix].append((operand, d_result))

    def gradients(self) -> dict[str, Tensor]:
        """Gradients of weights and biases: one product over all steps and images for each map."""
        found = {}
        for (name, suffix), uses in self._steps.items():
            operand, d_result = (torch.cat(each) for each in zip(*uses, strict=True))
            found[f"{name}.weight{suffix}"] = d_result.mT @ operand
            found[f"{name}.bias{suffix}"] = d_result.sum(0)
        return found


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Product of two matrices, summed and returned in float32 at least.

    Args:
        a: [rows, inner].
        b: [inner, columns], of the same type.
    """
    if a.dtype not in (torch.bfloat16, torch.float16):
        return a @ b
    if a.device.type == "cuda":
        return torch.mm(a, b, out_dtype=torch.float32)
    return a.float() @ b.float()
