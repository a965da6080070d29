"""Recordings share memory with those that are alive: that of others is gone, as torch sees to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from draw.kernels.recorder import CudaRecorder, Recorder
from tape import Tape


class Graph:
    """Stands in for torch's CUDA graph: knows the pool of memory that it was given."""

    def replay(self) -> None: ...

    def pool(self) -> object:
        return self.given


@contextmanager
def captured(graph: Graph, *, pool: object, capture_error_mode: str) -> Iterator[None]:
    assert capture_error_mode == "thread_local"
    graph.given = pool or object()  # type: ignore[attr-defined]
    yield


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> CudaRecorder:
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", captured)
    return CudaRecorder()


def pool_of(replay: Any) -> object:
    return replay.__self__.pool()


def test_recordings_share_the_memory_of_one_that_is_alive(recorder: CudaRecorder) -> None:
    results, forward = recorder.record(lambda: "results")
    _, backward = recorder.record(lambda: None)
    assert results == "results"
    assert pool_of(forward) is pool_of(backward)
    gone = pool_of(forward)
    del forward, backward
    _, anew = recorder.record(lambda: None)
    assert pool_of(anew) is not gone


def test_whoever_records_is_a_recorder(recorder: CudaRecorder) -> None:
    assert isinstance(recorder, Recorder)
    assert isinstance(Tape(), Recorder)
