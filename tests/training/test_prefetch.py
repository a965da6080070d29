"""What is made ahead is what would have been made in its turn, errors and ends included."""

import threading
import time
from pathlib import Path

import pytest
import torch

from draw.data import ImageSet
from draw.errors import DrawError, Interruption
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.training.prefetch import Prefetch
from draw.training.start import resume, resumed_config, start
from running import TINY, image_set, with_train

TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [thread for thread in threading.enumerate() if "draw-prefetch" in thread.name]


def test_numbers_are_made_once_each_in_order_in_another_thread() -> None:
    made: list[tuple[int, int]] = []

    def make(number: int) -> int:
        time.sleep(0.01 * (number % 2 == 0))
        made.append((number, threading.get_ident()))
        return number * number

    with Prefetch(make, 6) as ahead:
        assert [ahead(number) for number in range(6)] == [number * number for number in range(6)]
    assert [number for number, _ in made] == list(range(6))
    assert threading.get_ident() not in {thread for _, thread in made}


def test_no_more_is_made_than_asked_for_and_nothing_past_the_end() -> None:
    made: list[int] = []

    def wait_until(count: int) -> None:
        deadline = time.monotonic() + 20
        while len(made) < count and time.monotonic() < deadline:
            time.sleep(0.001)

    with Prefetch(made.append, 5, depth=2) as ahead:
        ahead(0)
        wait_until(3)
        time.sleep(0.02)
        assert made == [0, 1, 2]
        ahead(1)
        wait_until(4)
        assert made == [0, 1, 2, 3]
        for number in (2, 3, 4):
            ahead(number)
    assert made == [0, 1, 2, 3, 4]


def test_an_error_waits_for_its_turn() -> None:
    def make(number: int) -> int:
        if number == 2:
            raise DrawError(f"nothing can be made of {number}")
        return number

    with Prefetch(make, 9) as ahead:
        assert [ahead(0), ahead(1)] == [0, 1]
        with pytest.raises(DrawError, match="nothing can be made of 2"):
            ahead(2)
        assert ahead(3) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_whatever_ends_the_work_ends_the_thread(error: type[BaseException]) -> None:
    began = threading.Event()

    def make(number: int) -> int:
        if number == 1:
            began.set()
            time.sleep(0.05)
        return number

    def work() -> None:
        with Prefetch(make, 9) as ahead:
            ahead(0)
            began.wait(20)
            raise error

    with pytest.raises(error):
        work()


def test_without_the_context_there_is_no_thread() -> None:
    ahead = Prefetch(lambda number: threading.get_ident(), 4)
    assert {ahead(number) for number in (2, 0, 3)} == {threading.get_ident()}


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(checkpoints(run)[-1])[0]


def test_a_run_made_ahead_has_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(TINY, tmp_path / "ahead", TRAINING, VALIDATION).fit()
    with monkeypatch.context() as patch:
        patch.setattr(Prefetch, "__enter__", lambda self: self)
        start(TINY, tmp_path / "in turn", TRAINING, VALIDATION).fit()
    one, other = (weights(tmp_path / name) for name in ("ahead", "in turn"))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def torn(images: ImageSet, step: int) -> ImageSet:
    """Images that can be read up to a step of training."""
    steps = iter(range(step))

    class Torn(ImageSet):
        def batch(self, *arguments):
            if next(steps, None) is None:
                raise OSError("the disk is gone")
            return super().batch(*arguments)

    return Torn(**vars(images))


def test_images_that_cannot_be_read_end_a_run_at_their_step(tmp_path: Path) -> None:
    run = tmp_path / "run"
    config = with_train(TINY, checkpoint_minutes=1e-9)
    trainer = start(config, run, TRAINING, VALIDATION)
    trainer.training = torn(TRAINING, 5)
    with pytest.raises(OSError, match="the disk is gone"):
        trainer.fit()
    assert trainer.step == 5
    assert load_tensors(checkpoints(run)[-1])[1]["step"] == 5
    assert read_metrics(run / "metrics.jsonl")[-1]["step"] == 4
    resume(resumed_config(run), run, TRAINING, VALIDATION).fit()
    straight = tmp_path / "straight"
    start(TINY, straight, TRAINING, VALIDATION).fit()
    assert all(torch.equal(value, weights(run)[name]) for name, value in weights(straight).items())


def test_an_interrupted_run_leaves_no_thread(tmp_path: Path) -> None:
    trainer = start(TINY, tmp_path / "run", TRAINING, VALIDATION)
    trainer.stop_asked = True
    with pytest.raises(Interruption):
        trainer.fit()
    assert trainer.step == 1
    assert load_tensors(checkpoints(tmp_path / "run")[-1])[1]["step"] == 1
