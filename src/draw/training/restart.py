"""Runs that their launcher starts again: torchrun --max-restarts, a job that SLURM puts back.

A launcher repeats the command that began a run, whose folder is there by then. It goes on only
where the folder says that this very launch began or resumed it, and only after a restart.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from draw.config.run import Config
from draw.data import ImageSet
from draw.errors import DrawError
from draw.launch import is_first_process, restarts
from draw.models.kinds import run_config
from draw.runs.paths import RUN_FILE
from draw.runs.run_file import read_values
from draw.terminal import say
from draw.training.start import changes_between, resume, start
from draw.training.trainer import Trainer


def is_restart(run: Path) -> bool:
    """Whether a launcher starts a run again that it has begun, or gone on with, before.

    Raises:
        DrawError: if the folder is a run whose file is damaged.
    """
    now = restarts().items()
    if not now or not (run / RUN_FILE).exists():
        return False
    made = read_values(run / RUN_FILE)[1]
    before: list[dict[str, Any]] = [made, *made.get("resumed", [])]
    return any(now & one.get("launch", {}).items() for one in before)


def start_or_go_on(
    config: Config,
    run: Path,
    training: ImageSet,
    validation: ImageSet,
    *,
    timed: bool = False,
) -> Trainer:
    """A new run, or after a restart by its launcher the one that is there, from its last step.

    Args:
        config: config of the run.
        run: the run folder.
        training: images to learn from.
        validation: images to choose the best weights by.
        timed: whether a new run is timed first; see `draw.training.start.start`.

    Raises:
        DrawError: as `start` and `resume` do, or if the run that is there has another config.
    """
    if not is_restart(run):
        return start(config, run, training, validation, timed=timed)
    before = run_config(run)
    config = _as_decided(config, before)
    changes = changes_between(before, config)
    if changes:
        told = "; ".join(f"{name} is {was!r}, got {now!r}" for name, (was, now) in changes.items())
        raise DrawError(
            f"expected the launcher to start the run in {run} again as it was, got another: {told}."
            " Name another folder with --out, and give every job a --rdzv-id of its own"
        )
    return go_on(config, run, training, validation)


def _as_decided(config: Config, before: Config) -> Config:
    """A config as the run's file has it: full paths, and what was decided where that was open."""
    train, data = config.train, config.data.with_absolute_places()
    if train.minutes is not None and train.minutes == before.train.minutes:
        was = before.train
        train = replace(
            train,
            steps=was.steps,
            warmup_steps=was.warmup_steps,
            evaluate_every=was.evaluate_every,
        )
    if data.augment is None:
        data = replace(data, augment=before.data.augment)
    return replace(config, train=train, data=data)


def go_on(config: Config, run: Path, training: ImageSet, validation: ImageSet) -> Trainer:
    """A run from its last step, after a restart by its launcher; its test is made once more."""
    if is_first_process():
        say(f"started again by the launcher: going on with {run}")
    return resume(config, run, training, validation, test_again=True)
