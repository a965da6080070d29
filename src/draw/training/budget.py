"""train.minutes as a run uses them up: the steps that fit are decided anew as its pace changes."""

from draw.config.run import Config
from draw.training.pace import Pace, fit_to_minutes

TOLERANCE = 0.02
"""Fraction of train.minutes by which a run may be expected to end early or late, before its steps
are decided anew: on a machine that keeps its pace they never are."""


class Budget:
    """The part of train.minutes that is left, and the steps that fit into it.

    Args:
        step: steps that were made before.
        seconds: seconds that they took.
        evaluation: seconds of an evaluation; None if they are not known.
    """

    def __init__(self, step: int, seconds: float, evaluation: float | None = None) -> None:
        self.evaluation = evaluation
        self._since, self._evaluating = (step, seconds), 0.0

    def note_evaluation(self, seconds: float) -> None:
        """Take into account how long an evaluation took."""
        self.evaluation = seconds
        self._evaluating += seconds

    def steps(self, config: Config, step: int, seconds: float) -> int:
        """Decide how many steps a run has: anew at evaluations, and when its minutes are over.

        Args:
            config: config of the run, with train.minutes and the steps decided so far.
            step: steps that were made, of which an evaluation may be due.
            seconds: seconds that they took.
        """
        train, budget = config.train, 60 * (config.train.minutes or 0)
        due = self.evaluation or 0.0
        left = budget - seconds - due
        if left <= 0:
            return step
        if step % train.evaluate_every and step < train.steps:
            return train.steps
        (before, then), evaluating = self._since, self._evaluating
        self._since, self._evaluating = (step, seconds), 0.0
        pace = Pace((seconds - then - evaluating) / (step - before), due)
        known = self.evaluation is not None
        if not known or abs(pace.seconds(train, step) - left) <= TOLERANCE * budget:
            return train.steps
        return fit_to_minutes(config, pace, step, seconds + due).train.steps
