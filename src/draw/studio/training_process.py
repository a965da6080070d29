"""A training started from the page: the command line in a process of its own, one at a time."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from draw.config.compute import PLAIN, ComputeConfig
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.data import DataError
from draw.data.load import at_hand, view_of
from draw.errors import WORDS_OF_A_STOP, DrawError
from draw.runs.paths import RUN_FILE
from draw.studio.given_images import GivenImages
from draw.studio.pictures import DIGIT_SIDE
from draw.terminal import say

COMMAND = (sys.executable, "-m", "draw")
PATIENCE = 120.0
"""Seconds that the end of the studio waits for a training to save."""
LONGEST_TAIL = 2000
"""Bytes of the end of what a training says that are looked at."""
CODE_OF_A_STOP = 130
"""Exit status of a training that was asked to stop; what it says last is whether it has saved."""
OWN_PICTURES = "images"
"""The preset that asks about somebody's own pictures, in a terminal."""


@dataclass(frozen=True)
class Order:
    """What is to be trained; what is None is as the preset has it."""

    preset: str
    seed: int = 0
    steps: int | None = None
    minutes: float | None = None
    images: GivenImages | None = None
    """The images; those of another shape than the model's are made to fit it."""

    def config(self) -> Config:
        """The config of the run, checked as the command line checks it.

        Raises:
            DrawError: if there is no such preset, a number does not fit, or the images are not on
                this computer.
        """
        if self.preset not in PRESETS or self.preset == OWN_PICTURES:
            raise DrawError(f"expected a preset ({', '.join(presets(True))}), got {self.preset!r}")
        if self.steps is not None and self.minutes is not None:
            raise DrawError("expected steps or minutes, got both; leave one of them empty")
        config = PRESETS[self.preset]().with_changes(self._changes())
        if not at_hand(config.data):
            raise DrawError(
                f"expected the images of {config.data.name} on this computer, but they are not; "
                "choose others, or start the studio with their folder (draw studio --data.path "
                "FOLDER)"
            )
        return config

    def arguments(self, run: Path) -> list[str]:
        """The arguments of the command line that trains it.

        Args:
            run: folder of the run.
        """
        words = ["train", self.preset, "--out", str(run)]
        for name, value in self._changes().items():
            words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
        return words

    def _changes(self) -> dict[str, Any]:
        """Values other than the preset's, by the names of fields."""
        asked = {
            "train.seed": self.seed, "train.steps": self.steps, "train.minutes": self.minutes,
            "data.path": None if self.images is None else self.images.path, **self._conversion(),
        }  # fmt: skip
        return {name: value for name, value in asked.items() if value is not None}

    def _conversion(self) -> dict[str, Any]:
        """What makes images fit the preset's model, as far as the preset does not say itself."""
        config = PRESETS[self.preset]()
        if self.images is None or _fits(self.images, config):
            return {}
        channels, *sides = config.model.image_shape
        if view_of(config.data) is not None:  # it puts images of any size on a canvas
            sides = [DIGIT_SIDE]
        size = tuple(dict.fromkeys(sides))
        fitting = {"size": size, "mode": "grey" if channels == 1 else "colour", "fit": "crop"}
        return {
            f"data.{name}": value for name, value in fitting.items()
            if getattr(config.data, name) is None
        }  # fmt: skip


def _fits(images: GivenImages, config: Config) -> bool:
    """Whether a model can see images as they are."""
    if images.shape is None:
        return False
    view = view_of(config.data)
    try:
        seen = images.shape if view is None else view.image_shape(images.shape)
    except DataError:
        return False
    return seen == config.model.image_shape


def presets(any_images: bool) -> list[str]:
    """Names of the presets that can be trained here.

    Args:
        any_images: whether to list those too whose own images are not on this computer.
    """
    names = [name for name in PRESETS if name != OWN_PICTURES]
    return [name for name in names if any_images or at_hand(PRESETS[name]().data)]


@dataclass(frozen=True)
class Status:
    """What a training is at."""

    run: Path
    running: bool
    words: str


class TrainingProcess:
    """The right to train, and the process that does.

    A training is stopped as a terminal stops it, by a signal after which it saves; so it is when
    the studio ends.

    Args:
        runs: folder of the runs.
        compute: how to run them, where the studio was told.
        command: the command line.
    """

    def __init__(
        self, runs: Path, compute: ComputeConfig = PLAIN, command: Sequence[str] = COMMAND
    ) -> None:
        self.runs, self.compute, self.command = runs, compute, tuple(command)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        self._run: Path | None = None

    def start(self, order: Order) -> Path:
        """Start a training, and return the folder of its run.

        Raises:
            DrawError: if one is at work, or the order cannot be carried out.
        """
        order.config()
        with self._lock:
            run = self._free_folder(order.preset)
            return self._begin(run, order.arguments(run.absolute()))

    def resume(self, run: Path) -> Path:
        """Go on with a run that was stopped.

        Raises:
            DrawError: if one is at work, or there is no such run.
        """
        if not (run / RUN_FILE).exists():
            raise DrawError(f"expected a run folder with a {RUN_FILE}, got {run.name}")
        with self._lock:
            return self._begin(run, ["train", "--resume", str(run.absolute())])

    def stop(self) -> None:
        """Ask the training to save and end, if there is one."""
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.send_signal(signal.SIGTERM)

    def status(self) -> Status | None:
        """What the last training is at; None before the first."""
        process, run = self._process, self._run
        if process is None or run is None:
            return None
        code = process.poll()
        said = self._said()
        if code is None:
            return Status(run, True, f"{run.name} is training. {said[-1] if said else 'It starts'}")
        if code == 0:
            return Status(run, False, f"{run.name} is finished.")
        if code == CODE_OF_A_STOP and WORDS_OF_A_STOP in " ".join(said[-1:]):
            return Status(run, False, f"{run.name} was stopped, and {WORDS_OF_A_STOP}.")
        if code == -signal.SIGTERM:
            at = "after its training" if run.exists() else "before it began"
            return Status(run, False, f"{run.name} was stopped {at}.")
        reason = " ".join(said[-3:]) or f"its process ended with status {code}"
        return Status(run, False, f"{run.name} ended: {reason}")

    def close(self) -> None:
        """Stop the training with the studio, and wait until it has saved."""
        self.stop()
        process = self._process
        if process is not None and process.poll() is None:
            say(f"draw studio: {self._run} is saved before this ends", error=True)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                say(f"draw studio: {self._run} still saves, and ends by itself", error=True)
        if process is not None and process.poll() == CODE_OF_A_STOP:
            say(f"draw studio: go on with: draw train --resume {self._run}", error=True)
        self._forget()

    def _begin(self, run: Path, arguments: list[str]) -> Path:
        if self._process is not None and self._process.poll() is None:
            raise DrawError(
                f"expected no training at work, but {self._run} is; stop it, or wait for its end"
            )
        how = {name: getattr(self.compute, name) for name in ("device", "backend", "precision")}
        flags = [
            word for name, value in how.items() if value != getattr(PLAIN, name)
            for word in (f"--{name}", str(value))
        ]  # fmt: skip
        self._forget()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  (the process writes into it)
        # A session of its own: Ctrl-C in the studio's terminal comes to it from the studio alone.
        self._process = subprocess.Popen(
            [*self.command, *arguments, *flags], stdin=subprocess.DEVNULL, stdout=self._log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self._run = run
        return run

    def _forget(self) -> None:
        """Let go of what the last training said."""
        if self._log is not None:
            self._log.close()
        self._log = None

    def _free_folder(self, preset: str) -> Path:
        number, run = 1, self.runs / preset
        while run.exists() or run.is_symlink():
            number += 1
            run = self.runs / f"{preset}-{number}"
        return run

    def _said(self) -> list[str]:
        """The last lines that the training said."""
        if self._log is None:
            return []
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), LONGEST_TAIL, max(0, size - LONGEST_TAIL))
        lines = tail.decode(errors="replace").replace("\r", "\n").splitlines()
        return [line.strip() for line in lines if line.strip()]
