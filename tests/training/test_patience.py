"""Training that ends early: when, with which weights, and that it resumes as if never stopped."""

from pathlib import Path

import pytest
import torch

from draw.config.run import Config
from draw.errors import DrawError
from draw.json_files import read_json
from draw.models.storage import load_model
from draw.runs.checkpoint import checkpoints, load_tensors, save_tensors
from draw.runs.metrics import read_metrics
from draw.training.finish import finish
from draw.training.patience import is_complete
from draw.training.start import resume, resumed_config, start
from draw.training.trainer import Trainer
from running import TINY, image_set, train_until, with_train

TRAINING, VALIDATION, TEST = image_set(10), image_set(7, "validation", seed=1), image_set(5, "test")
WORSENING = with_train(
    TINY, learning_rate=0.5, final_learning_rate=0.5, evaluate_every=2, warmup_steps=0,
    ema_decay=0.0, steps=60, patience=3,
)  # fmt: skip
"""A run whose validation bound soon rises."""


def fresh(run: Path, config: Config = WORSENING) -> Trainer:
    return start(config, run, TRAINING, VALIDATION)


def again(run: Path, config: Config | None = None) -> Trainer:
    return resume(resumed_config(run, config), run, TRAINING, VALIDATION)


def bounds(run: Path) -> dict[int, float]:
    lines = read_metrics(run / "metrics.jsonl")
    return {line["step"]: line["bound"] for line in lines if line["kind"] == "validation"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("patience") / "run"
    fresh(run).fit()
    return run


def test_training_ends_after_evaluations_that_were_no_better(ended: Path) -> None:
    found = bounds(ended)
    best = min(found, key=found.__getitem__)
    assert max(found) == best + 2 * 3 < WORSENING.train.steps
    assert load_model(str(ended)).state["step"] == best
    assert checkpoints(ended)[-1].stem == f"step-{max(found):08d}"


def test_without_patience_it_trains_to_its_last_step(tmp_path: Path, ended: Path) -> None:
    config = with_train(WORSENING, patience=None, steps=max(bounds(ended)) + 2)
    fresh(tmp_path / "run", config).fit()
    assert max(bounds(tmp_path / "run")) == config.train.steps


def test_stopped_on_the_way_it_ends_at_the_same_step_with_the_same_bits(
    tmp_path: Path, ended: Path
) -> None:
    run, last = tmp_path / "run", max(bounds(ended))
    train_until(fresh(run), last - 3)
    trainer = again(run)
    assert trainer.selection.stale > 0
    trainer.fit()
    assert bounds(run) == bounds(ended)
    states = [load_tensors(checkpoints(folder)[-1])[0] for folder in (run, ended)]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_an_ended_run_is_refused_and_goes_on_with_more_patience(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], plain_pictures: None
) -> None:
    run = tmp_path / "run"
    fresh(run).fit()
    assert not is_complete(WORSENING, run)
    result = finish(again(run), TEST)  # its test was missing
    assert result is not None
    assert result["best"]["step"] < max(bounds(run))
    told = capsys.readouterr().out
    assert "the best on validation images" in told
    assert "3 evaluations were no better" in told
    assert f"draw train --resume {run} --train.patience 6" in told
    assert is_complete(WORSENING, run)
    with pytest.raises(DrawError, match=r"after 3 evaluations .*pass --train\.patience 6"):
        again(run)
    with pytest.raises(DrawError, match=r"after 3 evaluations .*pass --train\.patience 6"):
        again(run, with_train(WORSENING, minutes=9.0))
    last = max(bounds(run))
    again(run, with_train(WORSENING, patience=5)).fit()
    assert max(bounds(run)) >= last + 4
    assert read_json(run / "run.json")["config"]["train"]["patience"] == 5


def test_a_checkpoint_of_before_patience_is_read(tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_until(fresh(run), 5)
    tensors, state = load_tensors(checkpoints(run)[-1])
    del state["stale"]
    save_tensors(checkpoints(run)[-1], tensors, state)
    assert again(run).selection.stale == 0
