"""What a function asks of a GPU, recorded as a CUDA graph: one launch in place of thousands."""

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar, runtime_checkable

import torch

T = TypeVar("T")

_capture = threading.Lock()
"""One capture at a time, as torch asks for."""


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

    def in_turn(self) -> AbstractContextManager[None]:
        """A context in which what is asked of a device comes after that of the last such context.

        Of one recorder's recordings, on whatever stream: they have one memory.
        """


class CudaRecorder:
    """A `Recorder` of CUDA graphs.

    Args:
        device: GPU of the tensors, which need not be the current one.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        self._latest: weakref.ref[torch.cuda.CUDAGraph] | None = None
        self._done: torch.cuda.Event | None = None

    @staticmethod
    def usable(device: torch.device) -> bool:
        """Whether graphs can be recorded on a device now."""
        if device.type != "cuda":
            return False
        with torch.cuda.device(device):
            return not torch.cuda.is_current_stream_capturing()

    def warm_up(self, function: Callable[[], object]) -> None:
        """Run a function on the stream on which it is recorded.

        What it leaves in autograd, such as the nodes that sum a parameter's gradient, belongs to
        the stream of its making, and torch warns where another then uses it.
        """
        with torch.cuda.device(self._device):
            torch.cuda.synchronize()
            with torch.cuda.stream(self._own_stream()):
                function()
            torch.cuda.synchronize()

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        """Capture a graph; what other threads do meanwhile, such as pinning memory, is theirs."""
        graph, latest = torch.cuda.CUDAGraph(), self._latest and self._latest()
        pool = latest.pool() if latest else None  # memory lives as long as a graph that has it
        with torch.cuda.device(self._device), _capture:
            stream = self._own_stream()
            with torch.cuda.graph(
                graph, pool=pool, stream=stream, capture_error_mode="thread_local"
            ):
                result = function()
        self._latest = weakref.ref(graph)
        return result, graph.replay

    def _own_stream(self) -> torch.cuda.Stream:
        """The recorder's; torch's own is on the device of the first capture of the process."""
        self._stream = self._stream or torch.cuda.Stream()  # type: ignore[no-untyped-call]
        return self._stream

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Have the current stream wait for the last one that was in turn."""
        with torch.cuda.device(self._device):
            if self._done is not None:
                self._done.wait()
            try:
                yield
            finally:
                self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
                self._done.record()
