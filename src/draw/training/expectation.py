"""What to expect of a run before it begins, and what to do with it when it is over, in words."""

import shlex

from draw.config.run import Config
from draw.data import ImageSet
from draw.models.kinds import kind_of
from draw.program import program
from draw.training.pace import Pace
from draw.training.trainer import Trainer

ENOUGH = 2000
"""Pictures from which more of them help less than more training does."""
HELPER = "chars74k"
"""Model that comes with the package from which runs on colour pictures can start."""


def estimate(config: Config, training: ImageSet, pace: Pace) -> str:
    """Say how long a run takes, as far as some timed steps tell.

    Args:
        config: config of the run.
        training: training images of the run.
        pace: what its work takes on this machine.
    """
    train = config.train
    most = "" if train.patience is None else "at most "
    text = (
        f"{training.count:,} pictures, {most}about {_duration(pace.seconds(train))}: "
        f"{train.steps:,} steps of {train.batch_size}, looked at every {train.evaluate_every:,}"
    )
    if train.patience is None:
        return text
    return f"{text}, over after {train.patience} looks without a better one"


def expectation(config: Config, training: ImageSet) -> list[str]:
    """Say what a model can make of somebody's own pictures, and what would do better.

    Args:
        config: config of the run.
        training: training images of the run.
    """
    better = []
    if training.count < ENOUGH:
        better.append(f"{ENOUGH:,} pictures would do better")
    if config.model.channels == 3 and config.train.start_from is None:
        better.append(f"starting from {HELPER} helps (--train.start-from {HELPER})")
    soft = "soft shapes" if training.count < ENOUGH else "shapes with soft edges"
    return [f"expect {soft}" + "".join(f"; {one}" for one in better)]


def next_commands(trainer: Trainer) -> list[str]:
    """List commands that do something with a run that is over.

    Args:
        trainer: the trainer of the run.
    """
    draw, run, config = program(), shlex.quote(str(trainer.run)), trainer.config.train
    kind = kind_of(trainer.config.model)
    show = [f"{draw} sample {run} --nearest", f"{draw} animate {run} --out drawing.gif"]
    if not kind.draws:
        show = [f"{draw} glimpses {run}"] if kind.looks else [f"{draw} evaluate {run}"]
    if trainer.out_of_patience:
        more = f"--train.patience {2 * (config.patience or 0)}"
    elif config.minutes is not None:
        more = f"--train.minutes {2 * config.minutes:g}"
    else:
        more = f"--train.steps {2 * max(trainer.step, config.steps)}"
    return [*show, f"{draw} train --resume {run} {more}"]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
