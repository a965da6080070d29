"""A run that is not made: its shapes, and how long it would take, found out in some steps."""

import time
from datetime import timedelta
from typing import Any

from draw.terminal import say
from draw.training.finish import describe_start
from draw.training.trainer import Trainer

LONGEST = 3.0
"""Seconds to measure for, at most, after a first step in which things compile."""
STEPS = 20


def rehearse(trainer: Trainer) -> dict[str, Any] | None:
    """Make a few steps of a run, say what it would be, and write nothing.

    Args:
        trainer: trainer of a run whose folder is not there.

    Returns:
        Shapes and times in plain values; None in all processes but the first.

    Raises:
        DrawError: if a step does not fit into memory, with the batch that would.
    """
    config = trainer.config.train
    if trainer.main:
        say(describe_start(trainer))
    each = _seconds_of_a_step(trainer)
    trainer.accelerator.end_training()
    if not trainer.main:
        return None
    shapes = {name: list(value.shape) for name, value in trainer.bare_model.named_parameters()}
    width = max(map(len, shapes))
    for name, value in trainer.bare_model.named_parameters():
        shape = " x ".join(map(str, value.shape)) or "one number"
        say(f"  {name:{width}}  {shape:>14}  {value.numel():>12,}")
    seconds = each * config.steps
    evaluations = -(-config.steps // config.evaluate_every)
    say(
        f"{1000 * each:,.1f} ms a step of {config.batch_size} images, "
        f"{config.batch_size / each:,.0f} images/s here and now; {config.steps:,} steps take "
        f"{timedelta(seconds=round(seconds))}, besides evaluations ({evaluations:,}) and pictures\n"
        f"nothing was written; without --dry-run the run goes into {trainer.run}"
    )
    return {
        "run": str(trainer.run),
        "images": list(trainer.training.image_shape),
        "shapes": shapes,
        "parameters": sum(value.numel() for value in trainer.bare_model.parameters()),
        "seconds_per_step": each,
        "seconds": seconds,
        "evaluations": evaluations,
    }


def _seconds_of_a_step(trainer: Trainer) -> float:
    """The mean over some steps, the first of which is left out where there are more."""
    with trainer.compute.products(), trainer.feed:
        times = [time.monotonic()]
        while len(times) <= min(STEPS, trainer.config.train.steps):
            trainer.one_step()
            trainer.update_weights.tally.fetch(trainer.accelerator.gather, False)  # it is done
            times.append(time.monotonic())
            if len(times) > 2 and times[-1] - times[1] > LONGEST:
                break
    first = min(1, len(times) - 2)
    return (times[-1] - times[first]) / (len(times) - 1 - first)
