"""Errors that a user can put right; the command line prints them without a trace."""

import difflib
import shlex
from collections.abc import Iterable
from pathlib import Path

from draw.program import program

WORDS_OF_A_STOP = "everything is saved"
"""Words of a training that was stopped and has saved, by which whoever started it knows."""


class DrawError(ValueError):
    """A mistake of the user's: the message says what was expected, what came, and what to do."""


class Interruption(Exception):  # noqa: N818  (an event, not an error)
    """The user asked to stop, and everything is saved.

    Args:
        run: the run folder.
        step: number of steps that were made.
        again: command that goes on; by default that for the run.
    """

    def __init__(self, run: Path, step: int, again: str | None = None) -> None:
        self.run, self.step = run, step
        super().__init__(
            f"stopped at step {step}; {WORDS_OF_A_STOP}. Go on with: {again or _resumption(run)}"
        )


class CutShort(KeyboardInterrupt):
    """The user did not wait for a training to be saved; it goes on from its last checkpoint.

    Args:
        run: the run folder.
        step: number of steps that were made.
        saved: number of steps that are saved.
        again: command that goes on; by default that for the run.
    """

    def __init__(self, run: Path, step: int, saved: int, again: str | None = None) -> None:
        self.run, self.step, self.saved = run, step, saved
        super().__init__(
            f"stopped at once at step {step}; saved is step {saved}. Go on from there with: "
            f"{again or _resumption(run)}"
        )


def _resumption(run: Path) -> str:
    return f"{program()} train --resume {shlex.quote(str(run))}"


class InUseError(DrawError):
    """Another process trains in a run folder; its end, or another folder, puts it right."""


class DataError(DrawError):
    """Images cannot be had as asked: says what was expected, what came and what to do about it."""


class KernelUnavailableError(DrawError):
    """A compiled kernel cannot run here; the message says why."""


class KernelArgumentError(DrawError):
    """An operator's argument is none that it can compute with; the message names it."""


class LibraryError(DrawError):
    """A compiled library, or its folder, is not one to load code from; the message says why."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """Format the nearest of some names as an aside of a message; empty if none is near."""
    near = difflib.get_close_matches(word, list(names), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def listing(bad: list[str], most: int = 10) -> str:
    """Format the first few of many messages, one a line, and how many more there are."""
    more = [f"... and {len(bad) - most:,} more"] if len(bad) > most else []
    return "".join(f"\n  {line}" for line in bad[:most] + more)
