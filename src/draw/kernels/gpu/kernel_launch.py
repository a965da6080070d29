"""How a kernel is launched: the grid, the card, and programs that wait for each other."""

from typing import Any

import torch
from torch import Tensor

from draw.kernels.gpu.layout import Tiles


def launch(
    kernel: Any, tiles: Tiles, padded: int, like: Tensor, *arguments: Any, **constants: Any
) -> None:
    """Run a kernel on a tensor's card.

    Programs that wait for each other must all be on the card together: they are launched as a
    cooperative grid, which the card refuses where they do not fit, instead of waiting for ever.

    Args:
        kernel: `unroll_forward` or `unroll_backward`.
        tiles: how the work is cut.
        padded: images, padded to whole tiles.
        like: a tensor on the card.
        arguments: arguments of the kernel.
        constants: what it is compiled for.
    """
    groups = padded // tiles.images
    counters = torch.zeros(groups, dtype=torch.int32, device=like.device)
    together = {"launch_cooperative_grid": True} if tiles.parts > 1 else {}
    with torch.cuda.device_of(like):  # type: ignore[no-untyped-call]
        kernel[groups, tiles.parts](
            counters, *arguments, num_warps=tiles.warps, num_stages=tiles.stages,
            **together, **constants,
        )  # fmt: skip
