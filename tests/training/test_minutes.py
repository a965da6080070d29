"""train.minutes: how many steps fill it, whatever becomes of the pace; timing leaves no trace."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from draw.config.presets import PRESETS
from draw.data import ImageSet
from draw.errors import DrawError
from draw.models.kinds import run_config
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.paths import write_run_file
from draw.runs.run_file import read_values
from draw.tasks.drawing import Drawing
from draw.training import timing
from draw.training.pace import Pace, choose_length, fit_to_minutes
from draw.training.restart import start_or_go_on
from draw.training.selection import Selection
from draw.training.start import resume, resumed_config, start
from draw.training.step import learning_rate_at
from draw.training.timing import measure_pace
from draw.training.trainer import Trainer
from running import (
    TINY,
    TINY_DIGITS,
    before_each_step,
    draw_command,
    image_set,
    train_until,
    with_train,
)

TRAINING, VALIDATION = image_set(10), image_set(7, "validation")
DIGITS = PRESETS["digits"]().train
MINUTE = with_train(TINY, minutes=1.0, warmup_steps=50)


class Clock:
    """Stands in for a machine's: it moves by what steps and evaluations are said to take."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.now = pace, 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """As on a machine with which twelve steps and their evaluations fill a minute."""
    made = Clock(Pace(step=4.0, evaluation=1.0))
    one_step, evaluate = Trainer._one_step, Selection.evaluate

    def step(trainer: Trainer) -> bool:
        made.now += made.pace.step
        return one_step(trainer)

    def look(selection: Selection, *given: Any) -> None:
        made.now += made.pace.evaluation
        evaluate(selection, *given)

    monkeypatch.setattr("draw.training.start.measure_pace", lambda *asked: made.pace)
    monkeypatch.setattr(Trainer, "clock", made)
    monkeypatch.setattr(Trainer, "_one_step", step)
    monkeypatch.setattr(Selection, "evaluate", look)
    return made


@pytest.mark.parametrize("minutes", [0.5, 10.0, 600.0])
@pytest.mark.parametrize("pace", [Pace(0.1, 1.0), Pace(0.001, 0.1), Pace(2.0, 0.5), Pace(0.1, 5.0)])
def test_steps_and_evaluations_fill_the_minutes(minutes: float, pace: Pace) -> None:
    train = fit_to_minutes(with_train(TINY, minutes=minutes, warmup_steps=500), pace).train
    assert 0.9 * 60 * minutes - pace.step < pace.seconds(train) <= 1.1 * 60 * minutes
    assert train.warmup_steps <= train.steps / 10
    if 20 * pace.evaluation <= 60 * minutes / 4:
        assert train.steps >= 20 * train.evaluate_every
    assert learning_rate_at(train.steps, train) == train.final_learning_rate
    assert learning_rate_at(train.steps // 2, train) > train.learning_rate / 3


def test_minutes_that_are_over_are_refused() -> None:
    with pytest.raises(DrawError, match=r"expected more than 2 for train\.minutes.*got 1"):
        fit_to_minutes(with_train(TINY, minutes=1.0), Pace(0.1, 1.0), done=12, seconds=120.0)


def test_at_one_pace_steps_are_decided_once_and_resumed_with_the_same_bits(
    tmp_path: Path, clock: Clock
) -> None:
    start(MINUTE, tmp_path / "straight", TRAINING, VALIDATION).fit()
    train = run_config(tmp_path / "straight").train
    assert 10 <= train.steps <= 15
    assert train.warmup_steps == 1
    run = tmp_path / "run"
    train_until(start(MINUTE, run, TRAINING, VALIDATION), 5)
    resume(resumed_config(run), run, TRAINING, VALIDATION).fit()
    assert run_config(run).train == train
    states = [load_tensors(checkpoints(tmp_path / name)[-1])[0] for name in ("straight", "run")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


@pytest.fixture
def hollow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps and evaluations that compute nothing, and are only counted."""

    def step(trainer: Trainer) -> bool:
        trainer.step += 1
        trainer.good = trainer.step
        return trainer.stop_asked

    monkeypatch.setattr(Trainer, "_one_step", step)
    monkeypatch.setattr(Trainer, "_log_training", lambda trainer: None)
    monkeypatch.setattr(Selection, "evaluate", lambda *given: None)


@pytest.fixture
def busy(hollow: None, clock: Clock) -> Clock:
    """A machine whose pace changes; `clock` moves what `hollow` counts."""
    clock.pace = Pace(step=0.1, evaluation=0.2)
    return clock


def slower_after(trainer: Trainer, clock: Clock, fraction: float, factor: float) -> None:
    """Have the pace change when some of the minute is over."""
    began, pace = clock.now, clock.pace

    def slow_down() -> None:
        if clock.now - began > 60 * fraction:
            clock.pace = Pace(factor * pace.step, factor * pace.evaluation)

    before_each_step(trainer, slow_down)


def rates_of(trainer: Trainer) -> list[float]:
    """The learning rates of the steps, as they are made."""
    rates: list[float] = []

    def note() -> None:
        rates.append(learning_rate_at(trainer.step, trainer.update_weights.config))

    before_each_step(trainer, note)
    return rates


@pytest.mark.parametrize("fraction", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("factor", [0.2, 1.0, 2.0, 8.0])
def test_the_minutes_hold_when_the_pace_changes(
    tmp_path: Path, busy: Clock, fraction: float, factor: float
) -> None:
    trainer = start(MINUTE, tmp_path / "run", TRAINING, VALIDATION)
    decided, began = trainer.config.train.steps, busy.now
    slower_after(trainer, busy, fraction, factor)
    rates = rates_of(trainer)
    trainer.fit()
    assert busy.now - began == pytest.approx(60, rel=0.05)
    assert (trainer.step == decided) == (factor == 1.0)
    train = run_config(tmp_path / "run").train
    assert train == trainer.config.train
    assert train.steps == trainer.step, "what repeats the run's length"
    assert rates[-1] < 0.15 * max(rates) == 0.15 * train.learning_rate


def test_a_run_that_goes_on_has_the_rest_of_its_minutes(tmp_path: Path, clock: Clock) -> None:
    run, began, clock.pace = tmp_path / "run", clock.now, Pace(step=1.0, evaluation=1.5)
    trainer = start(MINUTE, run, TRAINING, VALIDATION)
    decided = trainer.config.train.steps
    train_until(trainer, 20)
    used, clock.now = clock.now - began, clock.now + 3600
    trainer = resume(resumed_config(run), run, TRAINING, VALIDATION)
    assert trainer.seconds == used
    clock.pace = Pace(step=2.0, evaluation=3.0)
    trainer.fit()
    assert clock.now - began - 3600 == pytest.approx(60, rel=0.05)
    assert run_config(run).train.steps == trainer.step < decided


def test_a_decision_keeps_what_else_the_runs_file_says(tmp_path: Path, busy: Clock) -> None:
    trainer = start(MINUTE, tmp_path / "run", TRAINING, VALIDATION)
    before = read_values(tmp_path / "run" / "run.json")
    slower_after(trainer, busy, 0.5, 3.0)
    trainer.fit()
    config, made, changed = read_values(tmp_path / "run" / "run.json")
    assert (made, changed) == (before[1], False)
    assert config["train"].pop("steps") < before[0]["train"].pop("steps")
    assert config == before[0]


def test_other_minutes_on_resuming_count_those_that_passed(tmp_path: Path, clock: Clock) -> None:
    run = tmp_path / "run"
    train_until(start(MINUTE, run, TRAINING, VALIDATION), 5)
    before = run_config(run)
    trainer = resume(
        resumed_config(run, with_train(before, minutes=2.0)), run, TRAINING, VALIDATION
    )
    assert before.train.steps + 5 < trainer.config.train.steps <= 5 + 30
    assert run_config(run).train.minutes == 2.0
    train_until(trainer, 7)


@pytest.mark.parametrize(
    ("given", "seeds", "minutes"),
    [
        ((), None, 1.0),
        (("train.minutes",), None, 1.0),
        (("train.steps",), None, None),
        (("train.steps",), 2, None),
    ],
)
def test_what_was_given_decides_how_long_it_trains(
    given: tuple[str, ...], seeds: int | None, minutes: float | None
) -> None:
    assert choose_length(MINUTE, given, seeds) == with_train(MINUTE, minutes=minutes)


@pytest.mark.parametrize(
    ("given", "seeds"), [(("train.minutes", "train.steps"), None), ((), 2), (("train.minutes",), 2)]
)
def test_what_would_contradict_itself_is_refused(given: tuple[str, ...], seeds: int | None) -> None:
    with pytest.raises(DrawError, match=r"minutes 1"):
        choose_length(MINUTE, given, seeds)


def test_a_launcher_goes_on_with_what_was_decided(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    train_until(start_or_go_on(MINUTE, tmp_path / "run", TRAINING, VALIDATION), 5)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    trainer = start_or_go_on(MINUTE, tmp_path / "run", TRAINING, VALIDATION)
    assert trainer.step == 5
    assert trainer.config.train == run_config(tmp_path / "run").train


def test_timing_leaves_weights_and_folder_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draw.training.timing.SECONDS", 0.01)
    pace = measure_pace(TINY, tmp_path / "none", TRAINING, VALIDATION)
    assert pace.step > 0
    assert pace.evaluation > 0
    assert not (tmp_path / "none").exists()
    trainers = {
        timed: start(TINY, tmp_path / str(timed), TRAINING, VALIDATION, timed=timed)
        for timed in (True, False)
    }
    assert trainers[True].pace is not None
    assert trainers[False].pace is None
    weights = [trainer.bare_model.state_dict() for trainer in trainers.values()]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert run_config(tmp_path / "True") == run_config(tmp_path / "False") == TINY


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--train.steps", "7"), r"train\.minutes 1 or train\.steps 7, got both"),
        ((f"--train.steps={DIGITS.steps}",), r"train\.minutes 1 or train\.steps \d+, got both"),
        (("--seeds", "2"), r"expected --train\.steps with --seeds"),
    ],
)
@pytest.mark.parametrize("first", [("digits",), ("--resume", "runs/made"), ("--config", "made")])
def test_contradictions_are_refused(
    first: tuple[str, ...], flags: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """In a new run, and in one of which the steps are those of a run that is there."""
    run = tmp_path / "runs" / "made-seed-0"
    write_run_file(run, PRESETS["digits"](), {})
    (tmp_path / "made").symlink_to(run)
    if first[0] == "--resume" and "--seeds" not in flags:
        first = ("--resume", str(run))
    before = sorted(tmp_path.rglob("*"))
    minute = ("--train.minutes", "1")
    done = draw_command("train", *first, *minute, *flags, cwd=tmp_path, check=1)
    assert re.search(message, done.stderr.replace("\n", " "))
    assert sorted(tmp_path.rglob("*")) == before


def test_steps_take_the_place_of_the_minutes_of_another_run(
    tmp_path: Path, plain_pictures: None
) -> None:
    config = PRESETS["digits"]()
    write_run_file(tmp_path / "made", with_train(config, minutes=600.0, steps=2), {})
    command = ("train", "--config", "made", "--train.steps", "2", "--out", "run", *TINY_DIGITS)
    draw_command(*command, cwd=tmp_path)
    train = run_config(tmp_path / "run").train
    assert (train.steps, train.minutes) == (2, None)


def test_an_evaluation_of_all_images_is_estimated_by_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each second of this clock is an image that was measured."""
    now = [0.0]
    trainer = start(TINY, tmp_path / "run", TRAINING, image_set(700, "validation"))

    def evaluate(task: Drawing, model: object, images: ImageSet, *_: object) -> None:
        now[0] += images.count

    monkeypatch.setattr(Drawing, "evaluate", evaluate)
    monkeypatch.setattr(Drawing, "glance", lambda *_: None)
    monkeypatch.setattr("draw.training.timing.time.monotonic", lambda: now[0])
    assert timing._seconds_of_evaluation(trainer) == pytest.approx(700)
    assert now[0] == timing.IMAGES
