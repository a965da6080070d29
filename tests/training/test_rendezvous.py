"""Processes that a launcher starts again meet one another, not those that are dead."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from torch.distributed import HashStore

from draw.errors import DrawError
from draw.training.rendezvous import name_of_start

SOON, LONG = timedelta(seconds=0.2), timedelta(seconds=60)


def names_of_a_start(store: HashStore, processes: int) -> list[str]:
    """What the processes of one start call it; each is a thread, the last comes late."""
    with ThreadPoolExecutor(processes) as threads:
        first = [
            threads.submit(name_of_start, store, rank, processes, LONG)
            for rank in range(processes - 1)
        ]
        store.wait([f"draw/number/{rank}" for rank in range(processes - 1)])
        assert not any(name.done() for name in first)  # not with the numbers of those before
        last = threads.submit(name_of_start, store, processes - 1, processes, LONG)
        return [name.result() for name in (*first, last)]


@pytest.mark.parametrize("processes", [2, 5])
def test_each_start_on_one_store_has_one_name_that_none_had_before(processes: int) -> None:
    store = HashStore()
    starts = [{*names_of_a_start(store, processes)} for _ in range(4)]
    assert [len(names) for names in starts] == [1] * 4
    assert len(set.union(*starts)) == 4


def test_one_that_finds_a_name_of_before_waits_until_its_time_is_up() -> None:
    store = HashStore()
    names_of_a_start(store, 2)
    with pytest.raises(DrawError, match=r"expected 2 processes to meet within 0:00:00.2.*number 0"):
        name_of_start(store, 0, 2, SOON)


def test_processes_that_nobody_joins_say_so() -> None:
    store = HashStore()
    store.set_timeout(SOON)
    with pytest.raises(DrawError, match=r"not all of them came \(this is number 1\)"):
        name_of_start(store, 1, 3, LONG)
