"""How long training takes, and the number of steps that fills train.minutes."""

from collections.abc import Container
from dataclasses import replace
from typing import NamedTuple

from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.errors import DrawError

EVALUATIONS = 20
"""Evaluations in train.minutes, at least, where they take no more than a quarter of it."""


class Pace(NamedTuple):
    """Seconds that a run's work takes on this machine."""

    step: float
    """Seconds of an update of the weights."""
    evaluation: float
    """Seconds of an evaluation on validation images, with its picture."""

    def seconds(self, config: TrainConfig, done: int = 0) -> float:
        """Seconds of the steps that are left, and of their evaluations.

        Args:
            config: config of the training.
            done: steps that were made.
        """
        left = max(0, config.steps - done)
        return left * (self.step + self.evaluation / config.evaluate_every)


def choose_length(config: Config, given: Container[str], seeds: int | None = None) -> Config:
    """Have train.steps or train.minutes decide how long a training is, whichever was given.

    Args:
        config: config of the training, with what was given.
        given: names of the fields that were given, such as train.steps.
        seeds: number of runs that differ in the seed alone; None for a single run.

    Returns:
        The config, without minutes where steps were given.

    Raises:
        DrawError: if both were given, or there are minutes for runs that differ in the seed alone.
    """
    minutes, steps = config.train.minutes, config.train.steps
    if "train.steps" in given:
        if "train.minutes" in given and minutes is not None:
            raise DrawError(
                f"expected train.minutes {minutes:g} or train.steps {steps}, got both, each of "
                "which decides how long it trains; leave one out"
            )
        config, minutes = replace(config, train=replace(config.train, minutes=None)), None
    if minutes is not None and seeds is not None:
        raise DrawError(
            f"expected --train.steps with --seeds, so that runs differ in the seed alone, got "
            f"train.minutes {minutes:g}; with --dry-run in place of --seeds it is said how many fit"
        )
    return config


def fit_to_minutes(config: Config, pace: Pace, done: int = 0, seconds: float = 0.0) -> Config:
    """Give a run as many steps as fit into its train.minutes, and a schedule for them.

    Args:
        config: config of the run, with train.minutes.
        pace: what its work takes.
        done: steps that were made before, whose schedule stays.
        seconds: seconds that these took.

    Raises:
        DrawError: if the minutes are over.
    """
    train = config.train
    left = 60 * (train.minutes or 0) - seconds
    if left <= 0:
        raise DrawError(
            f"expected more than {seconds / 60:.3g} for train.minutes, which have passed already, "
            f"got {train.minutes:g}"
        )
    count, every = (
        int(left / (pace.step + pace.evaluation / train.evaluate_every)),
        train.evaluate_every,
    )
    if not done and count < EVALUATIONS * every:
        evaluations = max(1, min(EVALUATIONS, int(left / 4 / pace.evaluation)))
        count = int((left - evaluations * pace.evaluation) / pace.step)
        every = max(1, count // evaluations)
    steps = done + max(1, count)
    warmup = train.warmup_steps if done else min(train.warmup_steps, steps // 10)
    fitted = replace(train, steps=steps, evaluate_every=every, warmup_steps=warmup)
    return replace(config, train=fitted)
