"""Recordings share memory with those that are alive: that of others is gone, as torch sees to."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
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


class Stream(torch.cuda.Stream):
    """Stands in for torch's stream, which cannot be made without a card."""

    def __new__(cls, device: object) -> "Stream":
        return object.__new__(cls)

    def __init__(self, device: object) -> None:
        self.place = device


GPU = torch.device("cuda", 1)


class Card:
    """Stands in for torch.cuda: the current device and stream, and what was asked of them."""

    def __init__(self) -> None:
        self.device: object = torch.device("cuda", 0)
        self.asked: list[tuple[object, ...]] = []
        self.capturing = [GPU]

    @contextmanager
    def device_of(self, device: object) -> Iterator[None]:
        before, self.device = self.device, device
        yield
        self.device = before

    @contextmanager
    def captured(
        self, graph: Graph, *, pool: object, stream: object, capture_error_mode: str
    ) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        graph.given = pool or object()  # type: ignore[attr-defined]
        self.asked.append(("capture", self.device, stream))
        yield

    def stream(self) -> object:
        return Stream(self.device)

    def on(self, stream: object) -> AbstractContextManager[None]:
        self.asked.append(("stream", self.device, stream))
        return nullcontext()

    def event(self) -> object:
        return SimpleNamespace(
            record=lambda: self.asked.append(("record", self.device)),
            wait=lambda: self.asked.append(("wait", self.device)),
        )


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    for name, stand_in in {
        "CUDAGraph": Graph, "device": card.device_of, "graph": card.captured,
        "Stream": card.stream, "stream": card.on, "Event": card.event,
        "synchronize": lambda: card.asked.append(("synchronize", card.device)),
        "is_current_stream_capturing": lambda: card.device in card.capturing,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return card


@pytest.fixture
def recorder(card: Card) -> CudaRecorder:
    return CudaRecorder(GPU)


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


def test_everything_is_asked_of_the_models_device(recorder: CudaRecorder, card: Card) -> None:
    inside: list[object] = []
    recorder.warm_up(lambda: inside.append(card.device))
    recorder.record(lambda: inside.append(card.device))
    with recorder.in_turn():
        inside.append(card.device)
    assert inside == [GPU, GPU, GPU]
    assert {device for _, device, *_ in card.asked} == {GPU}
    assert card.device == torch.device("cuda", 0)


def test_all_is_warmed_up_and_captured_on_one_stream(recorder: CudaRecorder, card: Card) -> None:
    """Autograd's nodes that outlive a warm-up are of the stream that comes next: no warning."""
    for ask in (recorder.warm_up, recorder.warm_up, recorder.record, recorder.record):
        ask(lambda: None)
    asked = [what for what in card.asked if what[0] in ("stream", "capture")]
    assert [what for what, *_ in asked] == ["stream", "stream", "capture", "capture"]
    (stream,) = {id(stream): stream for *_, stream in asked}.values()
    assert isinstance(stream, Stream)
    assert stream.place == GPU


def test_a_capture_elsewhere_is_no_obstacle(card: Card) -> None:
    assert not CudaRecorder.usable(GPU), "its stream is being captured"
    assert CudaRecorder.usable(torch.device("cuda", 0))
    assert not CudaRecorder.usable(torch.device("cpu"))


def test_each_turn_waits_for_the_one_before(recorder: CudaRecorder, card: Card) -> None:
    for _ in range(2):
        with recorder.in_turn():
            card.asked.append(("replay", card.device))
    assert [what for what, _ in card.asked] == ["replay", "record", "wait", "replay", "record"]
