"""A computation on fixed tensors as a CUDA graph: one launch in place of thousands."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch

Computation = Callable[[], None]
"""Reads and writes tensors that stay where they are."""


@runtime_checkable
class Recorder(Protocol):
    """Records what a computation asks of a device, to have it done again without Python."""

    def warm_up(self, computation: Computation) -> None:
        """Compute, as is needed some times before a recording."""

    def record(self, computation: Computation) -> Computation:
        """Return the same computation without its Python; nothing is computed yet."""


class CudaRecorder:
    """A `Recorder` of CUDA graphs."""

    def warm_up(self, computation: Computation) -> None:
        """Compute on a stream of its own, as capturing does."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            computation()
        torch.cuda.current_stream().wait_stream(stream)

    def record(self, computation: Computation) -> Computation:
        """Capture a graph; what other threads do meanwhile, such as pinning memory, is theirs."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            computation()
        replay: Computation = graph.replay
        return replay
