"""Measurement of a run's pace before it begins: some steps and an evaluation are timed."""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from accelerate.utils import broadcast_object_list

from draw.config.run import Config
from draw.data import ImageSet
from draw.training.pace import Pace
from draw.training.step import WARM_UP
from draw.training.trainer import Trainer

SECONDS = 2.0
"""Seconds of steps that are timed for an estimate, or a fiftieth of train.minutes if that is
more."""
MOST_AT_ONCE = 64
"""Steps between two looks at the clock, at most: each waits for the device."""
STEPS_OF_SEVERAL = 20
"""Steps that are timed where several processes have to make the same number."""
ENDLESS = 99_999_999
"""Steps, so that none is the last."""
IMAGES = 250
"""Validation images, at most, that an evaluation is timed on."""


def measure_pace(config: Config, run: Path, training: ImageSet, validation: ImageSet) -> Pace:
    """Time some updates and an evaluation of a run, on weights that nobody keeps.

    Args:
        config: config of the run.
        run: the run folder, in which nothing is written.
        training: images to learn from.
        validation: images of the evaluations.

    Returns:
        The pace that the first process found, in all of them.

    Raises:
        DrawError: if the model or a batch does not fit into memory.
    """
    endless = replace(config, train=replace(config.train, steps=ENDLESS))
    trainer = Trainer(endless, run, training, validation)
    trainer.start()
    wanted = max(SECONDS, 60 * (config.train.minutes or 0) / 50)
    with trainer.compute.products(), trainer.feed:
        _seconds_of_steps(trainer, WARM_UP + 1)
        several = trainer.accelerator.num_processes > 1
        at_once = STEPS_OF_SEVERAL if several else 1  # which have to make as many steps as another
        count, seconds = 0, 0.0
        while not count or (seconds < wanted and not several):
            seconds += _seconds_of_steps(trainer, at_once)
            count += at_once
            at_once = min(2 * at_once, MOST_AT_ONCE)
        evaluation = _seconds_of_evaluation(trainer)
    found = [Pace(seconds / count, evaluation)]
    broadcast_object_list(found)
    return found[0]


def _seconds_of_steps(trainer: Trainer, count: int) -> float:
    began = time.monotonic()
    for _ in range(count):
        trainer.one_step()
    trainer.update_weights.tally.fetch(trainer.accelerator.gather, False)  # waits for the device
    return time.monotonic() - began


def _seconds_of_evaluation(trainer: Trainer) -> float:
    images = trainer.validation.some(trainer.selection.count)
    few = images.some(IMAGES)
    began = time.monotonic()
    trainer.task.evaluate(trainer.average.module, few, trainer.accelerator, lambda done, text: None)
    measured = time.monotonic() - began
    with tempfile.TemporaryDirectory() as folder:
        trainer.task.glance(trainer.average.module, few, Path(folder), 0)
    picture = time.monotonic() - began - measured
    return measured * images.count / few.count + picture
