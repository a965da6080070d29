"""What a CUDA graph does, on any device: operations are recorded, and done again without Python."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

T = TypeVar("T")

SYNCHRONIZE = {
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::nonzero", "aten::equal",
    "aten::masked_select", "aten::_unique2", "aten::allclose", "aten::lift_fresh",
}  # fmt: skip
"""Operations whose result the host waits for, or that take numbers from the host."""


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


class _Record(TorchDispatchMode):
    """Operations in order, and what the tensors that they write to held before."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, list[Tensor]]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        for tensor in _written(func, args, kwargs):
            if id(tensor) not in self.before:
                self.before[id(tensor)] = tensor, tensor.detach().clone()
        out = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, _tensors(out)))
        return out


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> Iterator[Tensor]:
    for place, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            given = args[place] if place < len(args) else kwargs.get(argument.name)
            yield from _tensors(given)


class Tape:
    """A `draw.kernels.recorder.Recorder` that leaves Python out of a replay, as a graph does.

    A recording computes nothing: whatever it wrote to gets back what it held.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        self.warm, self.recordings, self.replays = 0, 0, 0

    @staticmethod
    def usable(device: torch.device) -> bool:
        return True

    def in_turn(self) -> AbstractContextManager[None]:
        return nullcontext()

    def warm_up(self, function: Callable[[], object]) -> None:
        self.warm += 1
        function()

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        self.recordings += 1
        with _Record() as record:
            result = function()
        with torch.no_grad():
            for tensor, before in record.before.values():
                tensor.detach().copy_(before)
        return result, lambda: self._replay(record)

    @torch.no_grad()
    def _replay(self, record: _Record) -> None:
        self.replays += 1
        for func, args, kwargs, outs in record.operations:
            for held, now in zip(outs, _tensors(func(*args, **kwargs)), strict=True):
                if held.untyped_storage().data_ptr() != now.untyped_storage().data_ptr():
                    held.detach().copy_(now)


class NoWaiting(TorchDispatchMode):
    """Refuses what would make the host wait for a device."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert func._schema.name not in SYNCHRONIZE, f"the host waits for {func}"
        return func(*args, **(kwargs or {}))
