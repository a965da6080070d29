"""CUDA graphs of a model's sequences: recorded once for each set of shapes, replayed ever after.

A graph computes in memory of its own, the same at every replay. So that nobody sees one replay in
the results of another:

- what it is given is copied in, and results and gradients are copied out;
- what the backward pass needs belongs to one forward pass until that is over: its gradient taken
  without `retain_graph`, or its results forgotten. A second forward pass meanwhile runs uncaptured;
- parameters that were changed in place between a forward pass and its gradient are an error, as
  they are to autograd;
- one thread at a time copies in, replays and copies out, and one stream after the other;
- graphs belong to one model, to the code, the attributes and the addresses of its parameters and
  buffers that they were recorded with (`draw.kernels.graph_state.state_of`); a copy of the model
  starts without.
"""

import logging
import threading
import weakref
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import saved_tensors_hooks

from draw.attention.abstract import AbstractWindow
from draw.kernels.graph_state import replaced_code, state_of
from draw.kernels.package_code import same_code
from draw.kernels.recorder import CudaRecorder, Recorder

Inputs = tuple[Tensor | None, ...]

MOST = 8
"""Graphs that are kept of a model, the latest used; each has memory of its own."""
WARM_UPS = 3
"""Runs before a graph is recorded, in which libraries and compilers set themselves up."""
MOST_CHANGES = 4
"""Calls in a row, each with a model that was changed since the last, after which none is recorded
until there are two alike."""

log = logging.getLogger(__name__)
_capturing: ContextVar[bool] = ContextVar("capturing", default=True)


@contextmanager
def no_graphs() -> Iterator[None]:
    """Record and replay nothing: for code that is itself to be captured as a whole.

    >>> from draw.kernels.replay import no_graphs
    >>> with no_graphs():
    ...     pass  # forward, backward and update, run once before a graph of all of it is recorded
    """
    token = _capturing.set(False)
    try:
        yield
    finally:
        _capturing.reset(token)


class _Turn:
    """The memory of a graph, which one thread and one stream at a time has to itself.

    Nothing that autograd's threads do is waited for within: they may be waiting to get in.
    """

    def __init__(self, recorder: Recorder) -> None:
        self._lock = threading.Lock()
        self._recorder = recorder

    @contextmanager
    def mine(self) -> Iterator[None]:
        with self._lock, self._recorder.in_turn():
            yield


class _InferenceGraph:
    """A function of tensors without gradients."""

    def __init__(self, function: Callable[..., Any], given: Inputs, device: torch.device) -> None:
        recorder = CudaRecorder(device)
        self._turn = _Turn(recorder)
        with torch.inference_mode(False), torch.no_grad():
            self._given = _copies(given)
            _warm_up(recorder, lambda: function(*self._given))
            self._result, self._replay = recorder.record(lambda: function(*self._given))

    def __call__(self, given: Inputs) -> Any:
        with self._turn.mine():
            _copy_in(self._given, given)
            self._replay()
            return _copy(self._result)


class _TrainingGraph:
    """A function of tensors and parameters, and its gradient; for one live pass at a time."""

    def __init__(
        self,
        function: Callable[..., Sequence[Tensor]],
        given: Inputs,
        parameters: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        recorder = CudaRecorder(device)
        self._turn = _Turn(recorder)
        self._lease: weakref.ref[_Lease] | None = None
        self._given = _copies(given)
        wanted = [t for t in (*self._given, *parameters) if t is not None and t.requires_grad]

        def forward() -> tuple[Tensor, ...]:
            return tuple(function(*self._given))

        def backward(outputs: tuple[Tensor, ...], slopes: list[Tensor]) -> Inputs:
            roots = [output for output in outputs if output.requires_grad]
            # retained, or a replay of it would find its operands overwritten by its own results
            return torch.autograd.grad(roots, wanted, slopes, allow_unused=True, retain_graph=True)

        def slopes_of(outputs: tuple[Tensor, ...]) -> list[Tensor]:
            return [torch.zeros_like(output) for output in outputs if output.requires_grad]

        def both() -> None:
            outputs = forward()
            backward(outputs, slopes_of(outputs))

        _warm_up(recorder, both)
        outputs, self._replay_forward = recorder.record(forward)
        self._slopes = slopes_of(outputs)
        self._gradients, self._replay_backward = recorder.record(
            lambda: backward(outputs, self._slopes)
        )
        self._outputs = outputs
        self.differentiable = [output.requires_grad for output in outputs]

    @property
    def live(self) -> bool:
        """Whether the gradient of a forward pass may still be asked for."""
        return self._lease is not None and self._lease() is not None

    def run(self, given: Inputs, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The function's results, with gradients; the graph is `live` from now on."""
        first = next(tensor for tensor in given if tensor is not None)
        lease = _Lease(first)
        self._lease = weakref.ref(lease)
        with saved_tensors_hooks(lambda _: lease, lambda held: held.tensor):
            found = _Pass.apply(self, len(given), *given, *parameters)  # type: ignore[no-untyped-call]
        outputs: tuple[Tensor, ...] = found
        return outputs

    def forward(self, given: Inputs) -> tuple[Tensor, ...]:
        with self._turn.mine():
            _copy_in(self._given, given)
            self._replay_forward()
            return tuple(output.detach().clone() for output in self._outputs)

    def backward(self, slopes: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradients of whatever wants them, in the order of given and parameters."""
        with self._turn.mine():
            for own, slope in zip(self._slopes, slopes, strict=True):
                own.copy_(slope)
            self._replay_backward()
            return [None if d is None else d.clone() for d in self._gradients]


class _Lease:
    """Is alive as long as autograd keeps what a forward pass has saved."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Pass(torch.autograd.Function):
    """A replay of a forward pass, whose gradient is a replay too."""

    @staticmethod
    def forward(
        ctx: Any, graph: _TrainingGraph, count: int, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        given, parameters = tensors[:count], tensors[count:]
        outputs = graph.forward(given)
        ctx.graph, ctx.parameters = graph, parameters
        ctx.versions = _versions(parameters)
        ctx.wanted = [t is not None and t.requires_grad for t in tensors]
        ctx.save_for_backward(next(t for t in given if t is not None))
        pairs = zip(outputs, graph.differentiable, strict=True)
        ctx.mark_non_differentiable(*(output for output, yes in pairs if not yes))
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # an error, where the pass is over and the graph may serve another
        if _versions(ctx.parameters) != ctx.versions:
            raise RuntimeError(
                "a parameter of the model was modified by an inplace operation between a forward "
                "pass and its gradient; take the gradient before the parameters change"
            )
        graph: _TrainingGraph = ctx.graph
        pairs = zip(slopes, graph.differentiable, strict=True)
        found = iter(graph.backward([slope for slope, yes in pairs if yes]))
        return None, None, *(next(found) if wanted else None for wanted in ctx.wanted)


class Graphs:
    """The graphs of one model, by what they compute and the shapes and types of what is given."""

    def __init__(self) -> None:
        self._graphs: OrderedDict[Hashable, _InferenceGraph | _TrainingGraph] = OrderedDict()
        self._seen: Counter[Hashable] = Counter()
        self._state: list[Any] = []
        self._replaced: str | None = None
        self._changes = 0
        self._lock = threading.RLock()

    def run(self, model: nn.Module, name: str, function: Callable[..., Any], given: Inputs) -> Any:
        """Run a function, from a graph where one is worth it.

        With gradients a graph is recorded at the first call with some shapes; without, at the
        second, since many come once.

        Args:
            model: model of which the function uses the parameters.
            name: name of the function; it computes the same whenever it has this name.
            function: function of a bool, whether the call is one of many alike, and of the tensors.
                With gradients it returns a tuple of tensors; without, tuples, tensors and windows.
            given: tensors of the function; None for what there is not.
        """
        parameters = [value for value in model.parameters() if value.requires_grad]
        present = [tensor for tensor in given if tensor is not None]
        wanted = torch.is_grad_enabled() and (
            bool(parameters) or any(tensor.requires_grad for tensor in present)
        )
        device = present[0].device
        key = name, wanted, _kind_of(given), _modes(device.type)
        usable = (
            _capturing.get() and CudaRecorder.usable(device) and all(t.numel() for t in present)
        )

        def alike(*tensors: Tensor | None) -> Any:
            return function(True, *tensors)

        with self._lock:
            again = self._again(key, model, wanted)
            if usable and again:
                graph = self._graphs.get(key)
                if graph is None:
                    graph = self._record(alike, given, parameters if wanted else None, device)
                    self._graphs[key] = graph
                    while len(self._graphs) > MOST:
                        self._graphs.popitem(last=False)
                self._graphs.move_to_end(key)
                if isinstance(graph, _InferenceGraph):
                    return graph(given)
                if not graph.live:
                    return graph.run(given, parameters)
        return function(again, *given)

    def _again(self, key: Hashable, model: nn.Module, wanted: bool) -> bool:
        """Whether a call is one of many alike, of the same code, attributes and parameters."""
        state = state_of(model)
        if same_code(state, self._state):
            self._changes = 0
        else:  # a graph knows nothing of it
            self._changes += 1
            self._graphs.clear()
            self._seen.clear()
            self._state, self._replaced = state, replaced_code(model)
            if self._replaced is not None:
                log.warning("the loop runs as it is, several times slower: %s", self._replaced)
        if self._replaced is not None:
            return False
        self._seen[key] += 1
        if self._changes <= MOST_CHANGES:
            return wanted or self._seen[key] > 1
        if self._changes == MOST_CHANGES + 1:
            log.warning(
                "the loop runs as it is, several times slower: the model's attributes are others "
                "at each call, and a graph of it knows those of one"
            )
        return False

    @staticmethod
    def _record(
        function: Callable[..., Any],
        given: Inputs,
        parameters: Sequence[Tensor] | None,
        device: torch.device,
    ) -> _InferenceGraph | _TrainingGraph:
        kind, dtype = device.type, torch.get_autocast_dtype(device.type)
        enabled = torch.is_autocast_enabled(kind)
        with torch.autocast(kind, dtype, enabled=enabled, cache_enabled=False):
            if parameters is None:
                return _InferenceGraph(function, given, device)
            return _TrainingGraph(function, given, parameters, device)


def _warm_up(recorder: Recorder, function: Callable[[], object]) -> None:
    for _ in range(WARM_UPS):
        recorder.warm_up(function)


def _kind_of(given: Inputs) -> Hashable:
    return tuple(
        None if t is None else (t.shape, t.dtype, t.device, t.requires_grad) for t in given
    )


def _modes(device: str) -> Hashable:
    """Torch's modes that a recorded graph does not look at again."""
    backends: Any = torch.backends
    return (
        torch.is_autocast_enabled(device),
        torch.get_autocast_dtype(device),
        backends.cuda.matmul.fp32_precision,  # the older name of it raises where this is set
        backends.cudnn.conv.fp32_precision,
        torch.are_deterministic_algorithms_enabled(),
    )


def _versions(parameters: Sequence[Tensor | None]) -> list[int]:
    return [parameter._version for parameter in parameters if parameter is not None]


def _copies(given: Inputs) -> Inputs:
    return tuple(
        None if t is None else t.detach().clone().requires_grad_(t.requires_grad) for t in given
    )


@torch.no_grad()
def _copy_in(own: Inputs, given: Inputs) -> None:
    for mine, tensor in zip(own, given, strict=True):
        if mine is not None and tensor is not None:
            mine.copy_(tensor)


def _copy(value: Any) -> Any:
    """A copy of tensors, windows and tuples of them."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, AbstractWindow):
        return value.map(Tensor.clone)
    if isinstance(value, tuple):
        copies = [_copy(part) for part in value]
        return value._make(copies) if hasattr(value, "_make") else tuple(copies)
    return value
