"""A pool of memory: the compiled kernel needs the same large blocks at every step.

Fresh memory costs a page fault for each 4 KiB, which is a tenth of a training step. A block belongs
to the tensor that was made on it until nobody holds that tensor any more; so two calls that are
alive at the same time never share one.
"""

import mmap
import os
import threading
import weakref
from functools import cache

import numpy as np
import torch
from torch import Tensor

from draw.errors import KernelArgumentError

POOL_SIZE = 4
"""Most free blocks that are kept for the next call."""

_free: list[mmap.mmap] = []
_lock = threading.Lock()


def take(size: int) -> Tensor:
    """Take an uninitialised tensor of bytes on a block that was used before, if one fits.

    Args:
        size: number of bytes.

    Raises:
        KernelArgumentError: if the machine has not so much memory.
    """
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
    try:
        # some systems grant more than they have, and end the process that uses it
        if size > _memory():
            raise MemoryError(f"the machine has {_memory() / 2**30:.1f} GiB")
        block = mmap.mmap(-1, max(size, 1))
    except (OSError, MemoryError) as error:
        raise KernelArgumentError(
            f"the fast kernel needs {size / 2**30:.1f} GiB at once for so many images and "
            f"glimpses: {error}; give fewer images at a time"
        ) from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    return block


@cache
def _memory() -> int:
    """Bytes of the machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _give_back(block: mmap.mmap) -> None:
    with _lock:
        _free.append(block)
        del _free[:-POOL_SIZE]
