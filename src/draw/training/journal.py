"""The journal of a run: the lines of metrics.jsonl, and the same numbers in TensorBoard."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from accelerate import Accelerator

from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import Line, append_metrics, writing_error

TENSORBOARD = "tensorboard"
"""Folder in the run folder with the curves of TensorBoard."""
FIRST_BYTES = 1024
"""Room that TensorBoard is to find when it begins, for more than its first entries."""


class Journal:
    """What a run says of itself, step by step; the first process alone writes it.

    Args:
        run: the run folder.
        batch_size: images of a step, over all processes together.
        accelerator: has the trackers.
    """

    def __init__(self, run: Path, batch_size: int, accelerator: Accelerator) -> None:
        self.run, self.batch_size, self.accelerator = run, batch_size, accelerator

    def open(self) -> None:
        """Begin with TensorBoard.

        Raises:
            DrawError: if nothing can be written there, as on a full disk.
        """
        with self._curves() as folder:
            folder.mkdir(exist_ok=True)
            with TemporaryFile(dir=folder) as file:  # TensorBoard's thread would print a trace
                file.write(bytes(FIRST_BYTES))
            self.accelerator.init_trackers("")

    def close(self) -> None:
        """End with TensorBoard.

        Raises:
            DrawError: if what it holds back cannot be written.
        """
        with self._curves():
            self.accelerator.end_training()

    def write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Write a line about the weights after some steps, and show it in TensorBoard."""
        if self.accelerator.is_main_process:
            append_metrics(self.run / METRICS_FILE, self.line(kind, step, values))
            self.track(kind, step, values)

    def line(self, kind: str, step: int, values: Mapping[str, Any]) -> Line:
        """Make a line of metrics.jsonl about the weights after some steps."""
        return {"kind": kind, "step": step, "images_seen": step * self.batch_size, **values}

    def track(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Show numbers in TensorBoard."""
        scalars = {f"{kind}/{k}": v for k, v in values.items() if isinstance(v, int | float)}
        with self._curves():
            self.accelerator.log(scalars, step=step)

    @contextmanager
    def _curves(self) -> Iterator[Path]:
        """The folder of TensorBoard, whose mishaps are said in words."""
        folder = self.run / TENSORBOARD
        try:
            yield folder
        except OSError as error:
            raise writing_error(folder, error) from error
