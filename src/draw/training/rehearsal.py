"""A run that is not made: its shapes, and how long it would take."""

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from draw.config.run import Config
from draw.data import ImageSet
from draw.terminal import say
from draw.training.finish import describe_start
from draw.training.pace import Pace
from draw.training.start import at_the_start


def rehearse(
    config: Config, run: Path, training: ImageSet, validation: ImageSet
) -> dict[str, Any] | None:
    """Make and time a few steps of a run, say what it would be, and write nothing.

    Args:
        config: config of the run.
        run: the run folder, which must not be there.
        training: images to learn from.
        validation: images to choose the best weights by.

    Returns:
        Shapes and times in plain values; None in all processes but the first.

    Raises:
        DrawError: if a step does not fit into memory, with the batch that would, or the run could
            not be started.
    """
    trainer = at_the_start(config, run, training, validation, timed=True)
    each, train = cast(Pace, trainer.pace).step, trainer.config.train
    if trainer.main:
        say(describe_start(trainer))
    trainer.accelerator.end_training()
    if not trainer.main:
        return None
    shapes = {name: list(value.shape) for name, value in trainer.bare_model.named_parameters()}
    width = max(map(len, shapes))
    for name, value in trainer.bare_model.named_parameters():
        shape = " x ".join(map(str, value.shape)) or "one number"
        say(f"  {name:{width}}  {shape:>14}  {value.numel():>12,}")
    seconds = each * train.steps
    evaluations = -(-train.steps // train.evaluate_every)
    say(
        f"{1000 * each:,.1f} ms a step of {train.batch_size} images, "
        f"{train.batch_size / each:,.0f} images/s here and now; {train.steps:,} steps take "
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
