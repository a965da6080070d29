"""The start of a run, and its resumption."""

import logging
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from draw.config.data import Augment
from draw.config.run import SECTIONS, Config
from draw.config.train import TrainConfig
from draw.data import ImageSet
from draw.data.advice import advice
from draw.errors import DrawError, did_you_mean
from draw.files import is_temporary, make_folder, paths_beside, remove_file, remove_leftovers
from draw.launch import launches
from draw.model.pretrained import Model
from draw.models.kinds import run_config, task_for
from draw.models.storage import load_model
from draw.program import program
from draw.runs.checkpoint import (
    BEST_FILE,
    METRICS_FILE,
    checkpoint_path,
    checkpoints,
    is_blank,
    load_checkpoint,
)
from draw.runs.fingerprints import fingerprints_of
from draw.runs.lock import LOCK_FILE, RunLock
from draw.runs.metrics import DAMAGED_FILE, forget_metrics_after
from draw.runs.paths import RUN_FILE, note_resumption, write_run_file
from draw.runs.provenance import provenance
from draw.training.image_check import check_images
from draw.training.journal import TENSORBOARD
from draw.training.origin import check_sizes
from draw.training.pace import fit_to_minutes
from draw.training.patience import is_out_of_patience, lacks_results, way_on
from draw.training.selection import images_of_evaluation
from draw.training.timing import measure_pace
from draw.training.trainer import Trainer

logger = logging.getLogger("draw")

FILES = RUN_FILE, METRICS_FILE, DAMAGED_FILE, "best/config.json", str(BEST_FILE)
FOLDERS = "best", "checkpoints", "samples", "glimpses", TENSORBOARD
"""Folders that a run writes besides its pictures."""
FREE_ON_RESUME = frozenset(
    {
        "compute.device", "compute.backend", "compute.precision", "data.path", "data.cache_dir",
        "train.steps", "train.minutes", "train.patience", "train.learning_rate",
        "train.warmup_steps", "train.final_learning_rate",
        "train.window_share", "train.clip_norm", "train.weight_decay", "train.evaluate_every",
        "train.evaluate_images", "train.log_every", "train.checkpoint_minutes",
        "train.keep_checkpoints",
    }
)  # fmt: skip
"""Fields that may change when a run is resumed; the rest decides what has been learned."""


def refuse_existing(run: Path) -> None:
    """Make sure that a run folder is new; half-written files of draw and its lock are nothing.

    Raises:
        DrawError: if the folder holds something already.
    """
    if os.path.lexists(run) and (not run.is_dir() or not all(map(_is_nothing, run.iterdir()))):
        raise DrawError(
            f"{run} exists already and is left as it is; go on with it by {program()} train "
            f"--resume {shlex.quote(str(run))}, or name another folder with --out"
        )


def refuse_links_out(run: Path) -> None:
    """Make sure that what is written into a run folder, and removed from it, lies in it.

    Raises:
        DrawError: if something in the folder is a link to something outside of it.
    """
    root = os.path.realpath(run)
    for path in sorted(run.iterdir()):
        target = os.path.realpath(path)
        if not Path(target).is_relative_to(root):
            raise DrawError(
                f"expected {path} in the run folder itself, got a link to {target}, which is left "
                "as it is; put what it leads to in its place, or link the whole run folder"
            )


def _is_nothing(path: Path) -> bool:
    return path.name == LOCK_FILE or is_temporary(path)


def start(
    config: Config,
    run: Path,
    training: ImageSet,
    validation: ImageSet,
    *,
    timed: bool = False,
) -> Trainer:
    """Start a new run in a folder of its own, which is locked until the run ends.

    The run's file says what was decided at the start: steps that fit into train.minutes, and
    changes of the images that suit them.

    Args:
        config: config of the run.
        run: the run folder, which must be new.
        training: images to learn from.
        validation: images to choose the best weights by.
        timed: whether to time some steps, so as to say how long the run will take; where there are
            train.minutes this is done in any case.

    Raises:
        DrawError: if the folder holds something already or is in use, the images do not fit the
            model or its likelihood, or the weights to start from do not fit it.
    """
    trainer = at_the_start(config, run, training, validation, timed=timed)
    if trainer.main:
        make_folder(run)
    with _kept(trainer.lock):
        if trainer.main:
            refuse_existing(run)  # again, now that nobody else can write there
            remove_leftovers(run)
            write_run_file(run, trainer.config, {**_made(trainer), **_classes(trainer)})
        trainer.accelerator.wait_for_everyone()
    return trainer


def at_the_start(
    config: Config,
    run: Path,
    training: ImageSet,
    validation: ImageSet,
    *,
    timed: bool = False,
) -> Trainer:
    """Make the trainer of a new run, ready for its first step; nothing is written yet.

    Args:
        config: config of the run.
        run: the run folder, which must be new.
        training: images to learn from.
        validation: images to choose the best weights by.
        timed: whether to time some steps, as for `start`.

    Raises:
        DrawError: if the folder holds something already, the images do not fit the model or its
            likelihood, or the weights to start from do not fit it.
    """
    refuse_existing(run)
    check_images(config, training, validation)
    check_sizes(config)
    augment = cast(tuple[Augment, ...], training.augment)
    data = replace(config.data.with_absolute_places(), augment=augment)
    config, pace = replace(config, data=data), None
    for line in advice(config.data, training):
        logger.warning("%s", line)
    before = _weights_to_start_from(config)
    if before is not None:
        _warn_of_pictures_seen_before(before, config, training)
    if timed or config.train.minutes is not None:
        pace = measure_pace(config, run, training, validation)
    if pace is not None and config.train.minutes is not None:
        config = fit_to_minutes(config, pace)
    _warn_of_schedule(config.train)
    trainer = Trainer(config, run, training, validation)
    trainer.pace = pace
    trainer.start(before)
    return trainer


def _made(trainer: Trainer) -> dict[str, Any]:
    """How a run comes about: on which images, computed with what, and by which launch."""
    compute = trainer.choices()
    launch = {"launch": names} if (names := launches()) else {}
    images = {"images": dict(found)} if (found := trainer.training.fingerprints) else {}
    return {**provenance(trainer.accelerator.device), "compute": compute, **launch, **images}


def _classes(trainer: Trainer) -> dict[str, Any]:
    """Names of the classes by number, where the model is told them and they are known."""
    told = trainer.task.needs(trainer.training).labels
    names = (told and trainer.training.classes) or ()
    return {"classes": {str(k): name for k, name in enumerate(names)}} if names else {}


@contextmanager
def _kept(lock: RunLock) -> Iterator[RunLock]:
    """Take a lock for whoever goes on; given back if it comes to nothing."""
    lock.acquire()
    try:
        yield lock
    except BaseException:
        lock.release()
        raise


def _weights_to_start_from(config: Config) -> Model | None:
    source = config.train.start_from
    return None if source is None else load_model(source).model


def _warn_of_pictures_seen_before(before: Model, config: Config, training: ImageSet) -> None:
    """Tell that a folder was changed since the run that weights are from: its splits are others."""
    was = before.data
    if was is None or was.without_treatment() != config.data.without_treatment():
        return
    for split in ("validation", "test"):
        changed = training.change_since(before.fingerprints, config.train.start_from, split)
        if changed:
            logger.warning("%s", changed)


def resumed_config(run: Path, after: Config | None = None) -> Config:
    """Read the config of a run to go on with, and check the user's changes of it.

    Args:
        run: the run folder.
        after: config that the user wants; by default the run's as it is.

    Raises:
        DrawError: if a change does not fit what the checkpoint holds.
    """
    before = run_config(run)
    after = after or before
    changes = [
        f"{name} is {old!r} in {run}, got {new!r}"
        for name, (old, new) in changes_between(before, after).items()
        if name not in FREE_ON_RESUME
    ]
    if changes:
        raise DrawError(
            f"this does not fit the checkpoint: {'; '.join(changes)}. Leave it out, or start a "
            "new run"
        )
    return after


def changes_between(before: Config, after: Config) -> dict[str, tuple[Any, Any]]:
    """List fields that differ, by names such as `train.steps`: their values before and after."""
    was, now = before.to_dict(), after.to_dict()
    return {
        f"{section}.{name}": (old, new)
        for section in SECTIONS
        for name, old in was[section].items()
        if (new := now[section].get(name)) != old
    }


def resume(
    config: Config,
    checkpoint: Path,
    training: ImageSet,
    validation: ImageSet,
    *,
    test_again: bool = False,
) -> Trainer:
    """Go on with a run; its file tells from then on what it goes by, and what was changed when.

    A run that was stopped before its first checkpoint begins at step 0, and one that was stopped
    while it was tested or its pictures were made has these left to do. Half-written files of
    processes that are no more are removed.

    Args:
        config: config that `resumed_config` returned.
        checkpoint: a run folder, for its newest checkpoint, or one of its checkpoint files.
        training: training images of the run, the same as before.
        validation: validation images of the run, the same as before.
        test_again: a run that is complete is tested once more, rather than refused.

    Raises:
        DrawError: if the checkpoint is missing, damaged, complete, or does not fit, or another
            process trains in the folder.
    """
    run = run_of(checkpoint)
    config = replace(config, data=config.data.with_absolute_places())
    with _kept(RunLock(run)) as lock:
        refuse_links_out(run)
        begins = checkpoint.is_dir() and not checkpoints(run) and is_blank(run)
        tensors, state = ({}, {"step": 0}) if begins else load_checkpoint(checkpoint)
        was = run_config(run)
        more = config.train.minutes not in (None, was.train.minutes)
        step, stale = state["step"], state.get("stale", 0)
        anew = images_of_evaluation(was, validation) != images_of_evaluation(config, validation)
        if anew:
            stale = 0  # none of these evaluations counts any more
        patient = not is_out_of_patience(config.train, stale)
        complete = not (patient and (more or step < config.train.steps))
        if complete and not test_again and not lacks_results(config, run, step):
            raise DrawError(f"{run} {way_on(config.train, step)}")
        _refuse_misplaced(config, run)
        check_images(config, training, validation)
        if more:
            pace = measure_pace(config, run, training, validation)
            config = fit_to_minutes(config, pace, step, state.get("seconds", 0.0))
        if config.train.steps != was.train.steps:
            _warn_of_schedule(config.train)
        before = _weights_to_start_from(config) if begins else None
        trainer = Trainer(config, run, training, validation, lock)
        if begins:
            trainer.start(before)
        else:
            trainer.restore(tensors, state)
            _warn_of_change(run, validation)
        trainer.selection.set_back(trainer.step, config if complete else was)
        if trainer.main:
            _set_back(trainer, complete)
            if anew and not complete:
                trainer.save()  # without the score that counts no more, before the config says so
            changes = changes_between(was, config)
            resumed = {"step": trainer.step, "changes": changes, **_made(trainer)}
            note_resumption(run, config, resumed)
        trainer.accelerator.wait_for_everyone()
    return trainer


def _warn_of_change(run: Path, validation: ImageSet) -> None:
    """Tell of a held-out split that is another than before; other training images are refused."""
    expected = fingerprints_of(run)
    for split in ("validation", "test"):
        changed = validation.change_since(expected, run, split)
        if changed:
            logger.warning("%s", changed)


def _warn_of_schedule(train: TrainConfig) -> None:
    """Tell of a warm-up that ends after the run, which passes over two learning rates."""
    if train.warmup_steps >= train.steps:
        logger.warning(
            "the learning rate rises for %s steps, and the run has %s: it never comes to %g nor "
            "falls to %g; pass --train.warmup-steps %d, or more --train.steps",
            f"{train.warmup_steps:,}", f"{train.steps:,}", train.learning_rate,
            train.final_learning_rate, train.steps // 10,
        )  # fmt: skip


def _refuse_misplaced(config: Config, run: Path) -> None:
    """Find out before the training, rather than after it, what could not be written."""
    names = *FILES, *task_for(config).picture_names
    for path in (*(run / name for name in names), *checkpoints(run)):
        if path.exists() and not path.is_file():
            raise DrawError(
                f"expected a regular file at {path}, got a folder, pipe or device; move it away, "
                "then go on"
            )
    for path in (run / name for name in FOLDERS):
        if os.path.lexists(path) and not path.is_dir():
            raise DrawError(f"expected a folder at {path}, got none; move it away, then go on")


def _set_back(trainer: Trainer, complete: bool) -> None:
    """Make a run folder what it was at the step of the trainer, who makes all else again."""
    run = trainer.run
    remove_leftovers(run)
    for later in checkpoints(run):
        if later.name > checkpoint_path(run, trainer.step).name:
            remove_file(later)
    trainer.remove_old_checkpoints()
    forget_metrics_after(run / METRICS_FILE, trainer.step, tests=complete)


def run_of(checkpoint: Path) -> Path:
    """Find the run folder of a checkpoint file, or the folder itself.

    Raises:
        DrawError: if the path is neither.
    """
    if checkpoint.is_dir():
        return checkpoint
    if not checkpoint.exists() or checkpoint.parent.name != "checkpoints":
        what = "another file" if checkpoint.exists() else "nothing"
        near = did_you_mean(str(checkpoint), paths_beside(checkpoint, folders=True))
        raise DrawError(
            f"expected a run folder (runs/NAME), or a file of its checkpoints, got {checkpoint}: "
            f"{what} is there{near}"
        )
    return checkpoint.parent.parent
