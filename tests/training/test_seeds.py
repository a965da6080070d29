"""Several seeds of one config: each is an ordinary run; they stop and go on together."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from draw.config.run import Config
from draw.data import Splits
from draw.errors import CutShort, DrawError, Interruption
from draw.json_files import read_json
from draw.models.kinds import run_config
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.training import finish as finishing
from draw.training.seeds import check_fit, check_new, first_run, runs_with_seeds, train_seeds
from draw.training.start import start
from draw.training.trainer import Trainer
from running import TINY, TINY_DIGITS, draw_command, image_set, with_train

SPLITS = Splits(image_set(10), image_set(7, "validation", seed=1), image_set(9, "test", seed=2))
STEPS = 4
CONFIG = with_train(TINY, steps=STEPS, warmup_steps=1, evaluate_every=STEPS, seed=5)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of a finished run take longer than its training."""
    monkeypatch.setattr("draw.tasks.drawing.drawing_pictures", lambda *_, **__: [])
    monkeypatch.setattr("draw.tasks.drawing.Drawing.picture_names", ())


def trained(base: Path, config: Config = CONFIG, count: int = 3, *, going_on: bool = False) -> dict:
    return train_seeds(runs_with_seeds(config, base, count), SPLITS, base, going_on=going_on)


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(checkpoints(run)[-1])[0]


def same(run: Path, other: Path) -> bool:
    one, another = weights(run), weights(other)
    return all(torch.equal(value, another[name]) for name, value in one.items())


def stopping(patch: pytest.MonkeyPatch, *at: int) -> list[int]:
    """Stop at these steps, counted over all runs; the list of steps that were made."""
    made: list[int] = []
    one_step: Callable[[Trainer], bool] = Trainer._one_step

    def step(trainer: Trainer) -> bool:
        made.append(trainer.step)
        trainer.stop_asked = len(made) in at
        return one_step(trainer)

    patch.setattr(Trainer, "_one_step", step)
    return made


def test_each_seed_is_the_run_that_it_would_be_alone(tmp_path: Path) -> None:
    found = trained(tmp_path / "runs" / "tiny")
    names = [f"tiny-seed-{seed}" for seed in (5, 6, 7)]
    assert [Path(one["run"]).name for one in found["runs"]] == names
    for seed, one in zip((5, 6, 7), found["runs"], strict=True):
        assert one["seed"] == seed
        alone = start(
            with_train(CONFIG, seed=seed), tmp_path / str(seed), SPLITS.train, SPLITS.validation
        )
        finishing.finish(alone, SPLITS.test)
        assert same(Path(one["run"]), tmp_path / str(seed))
    scores = np.array([one["test"]["bound"] for one in found["runs"]])
    assert len(set(scores)) == 3
    assert found["mean"] == pytest.approx(scores.mean())
    assert found["standard_deviation"] == pytest.approx(scores.std(ddof=1))
    assert found["standard_error"] == pytest.approx(scores.std(ddof=1) / 3**0.5)


@pytest.mark.parametrize("at", [2, STEPS, STEPS + 3], ids=["first", "between", "second"])
def test_a_stop_goes_on_with_all_of_them(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between two runs too: asked in the last step of one, the next does not begin."""
    base = tmp_path / "tiny"
    made = stopping(monkeypatch, at)
    command = re.escape(f"draw train --resume {base} --seeds 3")
    with pytest.raises(Interruption, match=f"everything is saved. Go on with: {command}$"):
        trained(base)
    assert len(made) == at
    first = first_run(base)
    assert first == tmp_path / "tiny-seed-5"
    found = trained(base, run_config(first), going_on=True)
    assert len(made) == 3 * STEPS, "no step is made twice"
    assert ("it has all of its 4 steps; for more" in capsys.readouterr().out) == (at >= STEPS)
    assert [one["seed"] for one in found["runs"]] == [5, 6, 7]
    monkeypatch.undo()
    alone = start(with_train(CONFIG, seed=6), tmp_path / "alone", SPLITS.train, SPLITS.validation)
    alone.fit()
    assert same(tmp_path / "tiny-seed-6", tmp_path / "alone")


def test_a_second_ctrl_c_goes_on_with_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(self: Trainer) -> None:
        raise CutShort(self.run, 3, 2)

    base = tmp_path / "tiny"
    monkeypatch.setattr(Trainer, "fit", cut_short)
    command = re.escape(f"draw train --resume {base} --seeds 3")
    with pytest.raises(CutShort, match=f"saved is step 2. Go on from there with: {command}$"):
        trained(base)


def test_a_launcher_that_starts_them_again_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tmp_path / "tiny"
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    made = stopping(monkeypatch, STEPS + 3)
    with pytest.raises(Interruption):
        trained(base, count=3)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    check_new(runs_with_seeds(CONFIG, base, 3))
    assert [one["seed"] for one in trained(base)["runs"]] == [5, 6, 7]
    assert len(made) == 3 * STEPS, "no step is made twice"
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    with pytest.raises(DrawError, match="tiny-seed-5 exists already"):
        check_new(runs_with_seeds(CONFIG, base, 3))


def test_a_run_that_patience_ended_is_said_to_be_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    worsening = with_train(
        CONFIG, learning_rate=0.5, final_learning_rate=0.5, warmup_steps=0, ema_decay=0.0,
        evaluate_every=2, steps=60, patience=1,
    )  # fmt: skip
    base = tmp_path / "tiny"
    trained(base, worsening, count=1)
    trained(base, worsening, count=1, going_on=True)
    step = int(checkpoints(first_run(base))[-1].stem[5:])
    assert step < 60
    told = capsys.readouterr().out
    assert f"it ended at step {step} of 60, after 1 evaluations without a better one" in told


def test_one_folder_that_is_there_is_enough_to_refuse(tmp_path: Path) -> None:
    taken = tmp_path / "tiny-seed-7"
    taken.mkdir()
    (taken / "mine").write_text("")
    with pytest.raises(DrawError, match=f"{taken} exists already .*--out"):
        check_new(runs_with_seeds(CONFIG, tmp_path / "tiny", 3))
    assert [path.name for path in tmp_path.iterdir()] == ["tiny-seed-7"]


def test_runs_of_another_config_are_refused_before_any_goes_on(tmp_path: Path) -> None:
    trained(tmp_path / "tiny", count=2)
    other = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, glimpses=5))
    with pytest.raises(DrawError, match=r"model\.glimpses is 3 in .*tiny-seed-5, got 5"):
        check_fit(runs_with_seeds(other, tmp_path / "tiny", 2))
    check_fit(runs_with_seeds(with_train(CONFIG, steps=9), tmp_path / "tiny", 3))
    with pytest.raises(DrawError, match=r"ends in the name of the runs.*got \.\."):
        runs_with_seeds(CONFIG, Path(".."), 2)
    with pytest.raises(DrawError, match=r"train\.seed"):
        runs_with_seeds(with_train(CONFIG, seed=2**63 - 1), tmp_path / "tiny", 2)


@pytest.mark.usefixtures("without_shape_checks")
def test_the_verb_trains_resumes_and_compares_them(tmp_path: Path) -> None:
    tiny = (*TINY_DIGITS, "--train.steps", "2", "--data.cache-dir", str(tmp_path / "cache"))
    begun = draw_command("train", "digits", "--seeds", "2", *tiny, cwd=tmp_path)
    assert "run 2 of 2, seed 1: runs/digits-seed-1" in begun.stdout
    assert "draw compare runs/digits-seed-0 runs/digits-seed-1" in begun.stdout
    more = ("train", "--resume", "runs/digits", "--seeds", "3", "--json", "found.json")
    draw_command(*more, cwd=tmp_path)
    found = read_json(tmp_path / "found.json")
    assert [one["run"] for one in found["runs"]] == [f"runs/digits-seed-{k}" for k in range(3)]
    runs = [one["run"] for one in found["runs"]]
    draw_command("compare", *runs, "--json", "compared.json", cwd=tmp_path)
    (pooled,) = read_json(tmp_path / "compared.json")["candidates"]
    assert pooled["models"] == runs
    assert pooled["score"] == pytest.approx(found["mean"])
    again = draw_command("train", "digits", "--seeds", "2", *tiny, cwd=tmp_path, check=1)
    assert "runs/digits-seed-0 exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("digits", "--seeds", "0"), r"--seeds to be None or a whole number of at least 1, got 0"),
        (("--resume", "runs/no", "--seeds", "2"), r"run folders runs/no-seed-0.* got none"),
    ],
)
def test_mistakes_are_told(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = draw_command("train", *arguments, cwd=tmp_path, check=1)
    assert re.search(message, done.stderr), done.stderr


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(tmp_path / "tiny", count=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for command in (("digits",), ("--resume", "tiny")):
        done = draw_command("train", *command, "--seeds", "2", cwd=tmp_path, check=1)
        assert "expected one process for --seeds 2, got 2" in done.stderr
    assert json.loads((tmp_path / "tiny-seed-5" / "run.json").read_text())
