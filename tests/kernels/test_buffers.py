"""The pool of memory: a block is one tensor's and one process's, and comes back without waiting."""

import gc
import os
import random
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from draw.kernels.cpp import buffers

SIZE = 1 << 20


def in_a_fork(work: Callable[[], object]) -> None:
    """Whatever it does; what waits for itself is ended."""
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.waitpid(child, 0) == (child, 0)


def test_what_is_alive_is_no_forked_processs() -> None:
    ours = buffers.take(SIZE)
    ours.fill_(1)
    in_a_fork(lambda: ours.fill_(7))
    assert ours.unique().tolist() == [1]


def test_a_free_block_is_taken_by_each_process_for_itself() -> None:
    ours = buffers.take(SIZE)
    ours.fill_(1)
    address = ours.data_ptr()
    del ours

    def write() -> None:
        theirs = buffers.take(SIZE)
        assert theirs.data_ptr() == address
        theirs.fill_(7)

    in_a_fork(write)
    ours = buffers.take(SIZE)
    assert ours.data_ptr() == address
    assert ours.unique().tolist() == [1]


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc")
def test_large_pages_are_asked_for() -> None:
    ours = buffers.take(8 * SIZE)
    ours.fill_(1)
    of_region: list[str] = []
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, _, rest = line.partition(" ")
        if "-" in first:
            start, end = (int(number, 16) for number in first.split("-"))
            here = start <= ours.data_ptr() < end
        elif here and first == "VmFlags:":
            of_region += rest.split()
    assert "hg" in of_region


class Cycle:
    """Holds a tensor until the collector of garbage comes."""


@pytest.mark.usefixtures("without_shape_checks")  # they allocate too
def test_the_collector_gives_memory_back_while_some_is_taken() -> None:
    def work() -> None:
        gc.set_threshold(20)
        rest: list[Cycle] = []
        chance = random.Random(0)  # it comes at every place
        for _ in range(20_000):
            held = Cycle()
            held.tensor, held.itself = buffers.take(64), held
            del held
            rest = [Cycle() for _ in range(chance.randrange(20))]
        assert len(rest) < 20

    in_a_fork(work)


def test_no_more_than_a_few_free_blocks_are_kept() -> None:
    alive = [buffers.take(SIZE) for _ in range(3 * buffers.POOL_SIZE)]
    assert len({tensor.data_ptr() for tensor in alive}) == len(alive)
    alive.clear()
    gc.collect()
    assert len(buffers._free) == buffers.POOL_SIZE


def test_threads_never_share_a_block() -> None:
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(500):
            ours = buffers.take(4096)
            ours.fill_(mark)
            wrong.extend(n for n in ours.unique().tolist() if n != mark)

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
