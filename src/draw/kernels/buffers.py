"""Memory that is used again: the fast unroll needs the same large blocks at every step.

Fresh memory costs a page fault for each 4 KiB, which is a tenth of a training step. A block belongs
to the tensor that was made on it until nobody holds that tensor any more; so two calls that are
alive at the same time never share one.
"""

import mmap
import threading
import weakref

import numpy as np
import torch
from torch import Tensor

KEPT = 4
"""Blocks that nobody holds and that are kept for the next call."""

_free: list[mmap.mmap] = []
_lock = threading.Lock()


def take(size: int) -> Tensor:
    """An uninitialised tensor of bytes on a block that was used before, if one fits."""
    block = _reuse(size) or _allocate(size)
    numbers = np.frombuffer(block, np.uint8)[:size]
    weakref.finalize(numbers, _give_back, block).atexit = False
    return torch.from_numpy(numbers)


def _reuse(size: int) -> mmap.mmap | None:
    with _lock:
        fitting = [block for block in _free if size <= len(block) <= 2 * size]
        if not fitting:
            return None
        best = min(fitting, key=len)
        _free.remove(best)
        return best


def _allocate(size: int) -> mmap.mmap:
    block = mmap.mmap(-1, max(size, 1))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _give_back(block: mmap.mmap) -> None:
    with _lock:
        _free.append(block)
        del _free[:-KEPT]
