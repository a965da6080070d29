"""A pool of memory: the compiled kernel needs the same large blocks at every step.

Fresh memory costs a page fault for each 4 KiB, which is a tenth of a training step. A block belongs
to the tensor that was made on it until nobody holds that tensor any more; so two calls that are
alive at the same time never share one, nor do a process and one that is forked from it.

There is no lock: the collector of garbage may give a block back in the midst of `take`, where the
same thread would hold it, and a process may be forked while another thread does.
"""

import mmap
import os
import weakref
from collections import deque
from contextlib import suppress
from functools import cache

import numpy as np
import torch
from torch import Tensor

from draw.errors import KernelArgumentError

POOL_SIZE = 4
"""Most free blocks that are kept for the next call."""

_free: deque[mmap.mmap] = deque(maxlen=POOL_SIZE)


def take(size: int) -> Tensor:
    """Take an uninitialised tensor of bytes on a block that was used before, if one fits.

    Args:
        size: number of bytes.

    Raises:
        KernelArgumentError: if the machine has not so much memory.
    """
    block = _reuse(size) or _allocate(size)
    numbers = np.frombuffer(block, np.uint8)[:size]
    weakref.finalize(numbers, _free.append, block).atexit = False
    return torch.from_numpy(numbers)


def _reuse(size: int) -> mmap.mmap | None:
    blocks: list[mmap.mmap] = []
    with suppress(IndexError):  # another thread has the rest
        while True:
            blocks.append(_free.popleft())
    fitting = [block for block in blocks if size <= len(block) <= 2 * size]
    best = min(fitting, key=len, default=None)
    for block in blocks:
        if block is not best:
            _free.append(block)
    return best


def _allocate(size: int) -> mmap.mmap:
    try:
        # some systems grant more than they have, and end the process that uses it
        if size > _memory():
            raise MemoryError(f"the machine has {_memory() / 2**30:.1f} GiB")
        # private: what is shared, a forked process would write to as well
        block = mmap.mmap(-1, max(size, 1), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
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
