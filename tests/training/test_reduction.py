"""Several processes, as threads that meet at each collective, make the updates that one makes."""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from draw.config.run import Config
from draw.errors import DrawError
from draw.runs.checkpoint import add_prefix
from draw.training.moments import named_moments
from draw.training.reduction import Reduction
from draw.training.start import start
from draw.training.step import WARM_UP
from draw.training.trainer import Trainer
from running import TINY, image_set, with_compute, with_train
from tape import Tape

TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)
CONFIG = with_train(with_compute(TINY, backend="reference"), steps=5)


class Meeting:
    """A collective of threads: each adds its number in the order of their ranks."""

    def __init__(self, processes: int) -> None:
        self.barrier = threading.Barrier(processes, timeout=60)
        self.given: list[Tensor | None] = [None] * processes
        self.calls = 0

    def all_reduce(self, rank: int) -> Callable[[Tensor], None]:
        def add(tensor: Tensor) -> None:
            self.given[rank] = tensor.clone()
            self.barrier.wait()
            first, *others = self.given
            assert first is not None
            total = first.clone()
            for other in others:
                assert other is not None
                total += other
            self.calls += rank == 0
            self.barrier.wait()
            tensor.copy_(total)

        return add


def trainers(folder: Path, processes: int, meeting: Meeting, config: Config) -> list[Trainer]:
    """One for each process, with its share of the batch."""
    share, made = config.train.batch_size // processes, []
    for rank in range(processes):
        trainer = start(config, folder / str(rank), TRAINING, VALIDATION)
        step, own = trainer.update_weights, slice(rank * share, (rank + 1) * share)
        step.batcher = dataclasses.replace(step.batcher, own=own)
        step.reduction = Reduction(processes, meeting.all_reduce(rank))
        made.append(trainer)
    return made


def train(together: Sequence[Trainer], meeting: Meeting | None = None) -> list[dict[str, float]]:
    """Make all steps, every trainer in a thread of its own; return the sums of each."""

    def steps(trainer: Trainer) -> dict[str, float]:
        try:
            for number in range(CONFIG.train.steps):
                trainer.update_weights(number, trainer.feed(number))
        except BaseException:
            if meeting is not None:
                meeting.barrier.abort()
            raise
        return trainer.update_weights.tally.fetch(lambda row: row, False).sums

    with ThreadPoolExecutor(len(together)) as threads:
        return list(threads.map(steps, together))


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {
        **add_prefix("model", trainer.bare_model.state_dict()),
        **add_prefix("average", trainer.average.module.state_dict()),
        **named_moments(trainer.optimizer.state_dict()["state"]),
    }


def reduce_each(trainer: Trainer, all_reduce: Callable[[Tensor], None], processes: int) -> None:
    """The same updates without a buffer or parts: each gradient by itself."""
    step = trainer.update_weights
    step.reduction, differentiate = None, step._differentiate

    def with_means() -> dict[str, Tensor]:
        losses = differentiate()
        for parameter in trainer.bare_model.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(1 / processes)
            all_reduce(parameter.grad)
        return losses

    step._differentiate = with_means  # type: ignore[method-assign]


def test_processes_make_the_updates_of_one_with_one_collective_a_step(tmp_path: Path) -> None:
    alone, meeting = start(CONFIG, tmp_path / "alone", TRAINING, VALIDATION), Meeting(4)
    (expected,) = train([alone])
    together = trainers(tmp_path / "together", 4, meeting, CONFIG)
    for sums in train(together, meeting):
        assert sums == pytest.approx(expected, rel=1e-5)
    assert meeting.calls == CONFIG.train.steps
    first, *others = [weights(trainer) for trainer in together]
    for name, value in weights(alone).items():
        torch.testing.assert_close(first[name], value, rtol=1e-4, atol=1e-6, msg=name)
        assert all(torch.equal(first[name], other[name]) for other in others), name


@pytest.mark.parametrize("way", ["taped", "each"])
def test_the_buffer_and_its_recordings_move_no_bit(tmp_path: Path, way: str) -> None:
    plain, other = Meeting(2), Meeting(2)
    together = trainers(tmp_path / "together", 2, plain, CONFIG)
    others = trainers(tmp_path / way, 2, other, CONFIG)
    tapes = [Tape() for _ in others]
    for rank, (trainer, tape) in enumerate(zip(others, tapes, strict=True)):
        if way == "taped":
            trainer.update_weights.recorder = tape
        else:
            reduce_each(trainer, other.all_reduce(rank), 2)
    train(together, plain)
    train(others, other)
    first, *same = [weights(trainer) for trainer in (*together, *others)]
    for name, value in first.items():
        assert all(torch.equal(value, one[name]) for one in same), name
    if way == "taped":
        replays = CONFIG.train.steps - WARM_UP
        for tape in tapes:
            assert (tape.warm, tape.recordings, tape.replays) == (2 * WARM_UP, 2, 2 * replays)
        assert other.calls == CONFIG.train.steps


def test_a_parameter_that_learns_without_a_gradient_is_named() -> None:
    model = nn.Linear(2, 1)
    reduction = Reduction(2, lambda tensor: None)
    model.weight.grad = torch.ones(1, 2)
    with pytest.raises(DrawError, match="got none of bias; use it in the model, let it rest"):
        reduction.gather(model, {"loss": torch.zeros(())})
    model.bias.requires_grad_(False)
    reduction.gather(model, {"loss": torch.full((), 3.0)})
    assert model.weight.grad is None
    reduction.reduce()
    assert reduction.scatter(model) == {"loss": 1.5}
    assert model.bias.grad is None
    assert torch.equal(model.weight.grad, torch.full((1, 2), 0.5))
