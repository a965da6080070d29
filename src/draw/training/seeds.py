"""Runs that differ in the seed alone, trained one after another: NAME-seed-0, NAME-seed-1, ..."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from draw.config.run import Config
from draw.data import Splits
from draw.errors import CutShort, DrawError, Interruption
from draw.launch import launched_processes
from draw.measure.paired_difference import standard_error
from draw.models.kinds import task_for
from draw.program import program
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import read_metrics
from draw.runs.paths import RUN_FILE
from draw.terminal import say
from draw.training.finish import finish
from draw.training.patience import is_complete, last_step, way_on
from draw.training.restart import is_restart, start_or_go_on
from draw.training.start import refuse_existing, resume, resumed_config


class SeedRun(NamedTuple):
    """One of the runs that differ in the seed alone."""

    config: Config
    run: Path
    """Run folder, new or one to go on with."""


def check_alone(count: int) -> None:
    """Make sure that no launcher started several processes, which share the work of one run.

    Args:
        count: number of seeds that are asked for.

    Raises:
        DrawError: if there are several processes.
    """
    if (launched := launched_processes()) > 1:
        raise DrawError(
            f"expected one process for --seeds {count}, got {launched} (WORLD_SIZE); start this "
            "without a launcher, or start each seed by itself with --train.seed and --out"
        )


def runs_with_seeds(config: Config, base: Path, count: int) -> list[SeedRun]:
    """List the runs of the seed of a config and of those after it.

    Args:
        config: config of the run of the first seed.
        base: path whose last part is the runs' name, to which -seed-0 and so on is added.
        count: number of runs.

    Raises:
        DrawError: if the path does not end in a name, or a seed is too large.
    """
    if base.name in ("", ".."):
        raise DrawError(
            f"expected a path that ends in the name of the runs, such as runs/mnist, got {base}"
        )
    first = config.train.seed
    return [
        SeedRun(
            replace(config, train=replace(config.train, seed=seed)),
            base.parent / f"{base.name}-seed-{seed}",
        )
        for seed in range(first, first + count)
    ]


def check_new(runs: Iterable[SeedRun]) -> None:
    """Make sure that every run is new, or one that its launcher starts again.

    Raises:
        DrawError: if one of the folders holds something else.
    """
    for one in runs:
        if not is_restart(one.run):
            refuse_existing(one.run)


def first_run(base: Path) -> Path:
    """Find the run folder of the lowest seed there is.

    Args:
        base: path without the -seed-0 that ends the runs' names.

    Raises:
        DrawError: if there is none.
    """
    pattern = re.compile(rf"{re.escape(base.name)}-seed-(\d+)")
    folders = base.parent.iterdir() if base.parent.is_dir() else ()
    found = {
        int(match[1]): path
        for path in folders
        if (match := pattern.fullmatch(path.name)) and (path / RUN_FILE).exists()
    }
    if not found:
        raise DrawError(
            f"expected run folders {base}-seed-0, {base}-seed-1, ..., which draw train PRESET "
            "--seeds leaves, got none; give --resume their name without -seed-0"
        )
    return found[min(found)]


def check_fit(runs: Iterable[SeedRun]) -> None:
    """Make sure that every run that is there can go on with its config.

    Raises:
        DrawError: if one has another config.
    """
    for one in runs:
        if (one.run / RUN_FILE).exists():
            resumed_config(one.run, one.config)
        else:
            refuse_existing(one.run)


def train_seeds(
    runs: Sequence[SeedRun], splits: Splits, base: Path, *, going_on: bool = False
) -> dict[str, Any]:
    """Train runs one after another to their end, and say how far apart their tests are.

    Args:
        runs: runs as `runs_with_seeds` lists them.
        splits: images of them all.
        base: path that their names begin with.
        going_on: whether runs that are there already are resumed, and those that are complete left
            as they are.

    Returns:
        The runs, their tests, and mean and spread of these, in plain values.

    Raises:
        Interruption: after Ctrl-C or SIGTERM, when everything is saved.
        CutShort: after a second Ctrl-C, which did not wait for that.
        DrawError: as a single run does.
    """
    again = f"{program()} train --resume {shlex.quote(str(base))} --seeds {len(runs)}"
    for number, one in enumerate(runs, 1):
        seed = one.config.train.seed
        say(f"run {number} of {len(runs)}, seed {seed}: {one.run}")
        if going_on and is_complete(one.config, one.run):
            say(f"it {way_on(one.config.train, last_step(one.run))}\n")
            continue
        try:
            if _train(one, splits, going_on) and number < len(runs):
                raise Interruption(one.run, one.config.train.steps)
        except Interruption as stopped:
            raise Interruption(stopped.run, stopped.step, again) from None
        except CutShort as stopped:
            raise CutShort(stopped.run, stopped.step, stopped.saved, again) from None
        say("")
    return _summarize(runs)


def _train(one: SeedRun, splits: Splits, going_on: bool) -> bool:
    """Train one run to its end; say whether it was asked to stop when there was no step left."""
    if going_on and (one.run / RUN_FILE).exists():
        trainer = resume(one.config, one.run, splits.train, splits.validation)
    else:
        trainer = start_or_go_on(one.config, one.run, splits.train, splits.validation)
    finish(trainer, splits.test)
    return trainer.stop_asked


def _summarize(runs: Sequence[SeedRun]) -> dict[str, Any]:
    task = task_for(runs[0].config)
    tests = [
        [line for line in read_metrics(one.run / METRICS_FILE) if line["kind"] == "test"][-1]
        for one in runs
    ]
    scores = np.array([float(test[task.score]) for test in tests])
    apart = float(scores.std(ddof=1)) if len(scores) > 1 else None
    spread = (
        ""
        if apart is None
        else f" +- {standard_error(scores):.3f}, standard deviation between seeds {apart:.3f}"
    )
    say(f"{len(runs)} run(s), one for each seed: test {task.score} {scores.mean():.3f}{spread}")
    say(f"{program()} compare {shlex.join(str(one.run) for one in runs)} OTHERS")
    return {
        "runs": [
            {"run": str(one.run), "seed": one.config.train.seed, "test": test}
            for one, test in zip(runs, tests, strict=True)
        ],
        "score": task.score,
        "mean": float(scores.mean()),
        "standard_error": standard_error(scores) if len(scores) > 1 else None,
        "standard_deviation": apart,
    }
