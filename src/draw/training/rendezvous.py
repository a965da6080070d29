"""Where the processes of one start of a launch meet, apart from those of the starts before it.

torchrun's store of addresses outlives the workers that it starts again (pytorch/pytorch#135712).
The first of the new ones would find the address of a process that is dead, and fail to connect to
it, or wait for it to connect, and neither would end.
"""

import functools
import hashlib
import secrets
import time
from collections.abc import Iterator
from datetime import timedelta

from torch.distributed import DistStoreError
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import register_rendezvous_handler, rendezvous

from draw.errors import DrawError

SECONDS_BETWEEN_LOOKS = 0.05


@functools.cache
def init_method() -> str:
    """`init_method` of torch's process group, for one of this start's processes alone."""
    register_rendezvous_handler("draw", _meet)  # type: ignore[no-untyped-call]
    return "draw://"


def name_of_start(store: Store, rank: int, processes: int, timeout: timedelta) -> str:
    """Agree with the other processes of this start on a name that no earlier start had.

    Each writes a number that nobody had before, and the digest of all numbers as it reads them,
    until all digests are the same. Since every one is then of everybody's own number, none is of a
    number from an earlier start; the launcher's count of restarts would not do, since it may differ
    between computers.

    Args:
        store: the store that all processes see.
        rank: number of this process, from 0.
        processes: number of processes.
        timeout: time after which to give up.

    Raises:
        DrawError: if they do not all come in time.
    """
    numbers, digests = (
        [f"draw/{what}/{other}" for other in range(processes)] for what in ("number", "digest")
    )
    store.set(numbers[rank], secrets.token_hex(16))
    deadline = time.monotonic() + timeout.total_seconds()
    while time.monotonic() < deadline:
        try:
            digest = hashlib.sha256(b"".join(store.multi_get(numbers))).hexdigest()
            store.set(digests[rank], digest)
            if {digest.encode()} == {*store.multi_get(digests)}:
                return digest
        except DistStoreError:  # a key that nobody has written in the store's own time
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    raise DrawError(
        f"expected {processes} processes to meet within {timeout}, not all of them came (this is "
        f"number {rank}); look for one that ended, and start all of them again"
    )


def _meet(url: str, timeout: timedelta, **options: object) -> Iterator[tuple[Store, int, int]]:
    for store, rank, processes in rendezvous("env://", timeout=timeout):
        name = name_of_start(store, rank, processes, timeout)
        yield PrefixStore(name, store), rank, processes
