"""CUDA graphs without a GPU: a replay computes again, into the memory of the first time."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from draw.kernels import replay
from tape import Tape

T = TypeVar("T")


class FakeRecorder:
    """A `draw.kernels.recorder.Recorder`: results and what autograd saves keep their places.

    So whoever keeps one of them sees the next replay in it, as with a CUDA graph.
    """

    recorded: list[Any]
    """What was recorded; set by `fake_graphs`."""

    def __init__(self, device: torch.device) -> None: ...

    @staticmethod
    def usable(device: torch.device) -> bool:
        return True

    def warm_up(self, function: Callable[[], object]) -> None:
        function()

    def record(self, function: Callable[[], T]) -> tuple[T, Callable[[], None]]:
        saved: list[Tensor] = []
        slopes = torch.is_grad_enabled()
        with saved_tensors_hooks(lambda tensor: _append(saved, tensor), saved.__getitem__):
            result = function()
        self.recorded.append(result)

        def again() -> None:
            places = iter(range(len(saved)))
            hooks = saved_tensors_hooks(
                lambda tensor: _write(saved, next(places), tensor), saved.__getitem__
            )
            with torch.set_grad_enabled(slopes), hooks:
                _overwrite(result, function())

        return result, again

    def in_turn(self) -> AbstractContextManager[None]:
        return nullcontext()


def taped_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on every device has graphs, which know nothing of Python at a replay."""
    monkeypatch.setattr(replay, "CudaRecorder", Tape)


def fake_graphs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """From now on every device has graphs; the list has the results of all that are recorded."""
    recorded: list[Any] = []
    monkeypatch.setattr(FakeRecorder, "recorded", recorded, raising=False)
    monkeypatch.setattr(replay, "CudaRecorder", FakeRecorder)
    return recorded


def _append(saved: list[Tensor], tensor: Tensor) -> int:
    saved.append(tensor)
    return len(saved) - 1


def _write(saved: list[Tensor], place: int, tensor: Tensor) -> int:
    _overwrite(saved[place], tensor)
    return place


@torch.no_grad()
def _overwrite(old: Any, new: Any) -> None:
    """Numbers in their old places; parameters and what is given stand in theirs already."""
    if isinstance(old, Tensor):
        if old.data_ptr() != new.data_ptr():
            once = tuple(slice(0, 1) if stride == 0 else slice(None) for stride in old.stride())
            old.detach()[once].copy_(new[once])
    elif isinstance(old, replay.AbstractWindow):
        _overwrite(tuple(old.numbers.values()), tuple(new.numbers.values()))
    elif isinstance(old, tuple):
        for one, other in zip(old, new, strict=True):
            _overwrite(one, other)
