"""What a function asks of a GPU, recorded as a CUDA graph: one launch in place of thousands."""

import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

import torch

T = TypeVar("T")


@runtime_checkable
class Recorder(Protocol):
    """Records what functions on fixed tensors ask of a device, to have it done without Python.

    The recordings of one recorder share memory: they are replayed in the order of their recording.
    """

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function as is needed some times before it is recorded."""

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Record a function, without computing it.

        Returns:
            Its results, to be computed yet, and what computes them, each time into the same memory.
        """


class CudaRecorder:
    """A `Recorder` of CUDA graphs."""

    def __init__(self) -> None:
        self._latest: weakref.ref[torch.cuda.CUDAGraph] | None = None

    @staticmethod
    def usable(device: torch.device) -> bool:
        """Whether graphs can be recorded on a device now."""
        return device.type == "cuda" and not torch.cuda.is_current_stream_capturing()

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function beside the current stream, as recording does."""
        torch.cuda.synchronize()
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            function()
        torch.cuda.synchronize()

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Capture a graph; what other threads do meanwhile, such as pinning memory, is theirs."""
        graph, latest = torch.cuda.CUDAGraph(), self._latest and self._latest()
        pool = latest.pool() if latest else None  # memory lives as long as a graph that has it
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = function()
        self._latest = weakref.ref(graph)
        return result, graph.replay
