"""Mistakes and mishaps that a user can put right; the command line prints them without a trace."""

from pathlib import Path


class DrawError(ValueError):
    """Says what was expected, what came, and what to do."""


class Interrupted(Exception):  # noqa: N818  (an event, not an error)
    """The user asked to stop; everything is saved."""

    def __init__(self, run: Path, step: int) -> None:
        self.run, self.step = run, step
        super().__init__(
            f"stopped at step {step}; everything is saved. Go on with: draw train --resume {run}"
        )
