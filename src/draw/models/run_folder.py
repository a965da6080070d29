"""A run folder in Python: its config, numbers, weights and pictures."""

import base64
import os
from functools import cached_property
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from draw.config.run import Config, Weights
from draw.errors import DrawError
from draw.model.pretrained import Model
from draw.models.kinds import run_config, task_for
from draw.models.loader import load
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import Line, best_evaluation, read_metrics


class Run:
    """A run that `draw.train` or `draw train` made, finished or not; in a notebook, its curves.

    Args:
        folder: the run folder.

    Raises:
        DrawError: if the folder is no run, or its file is damaged.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike):
            raise DrawError(f"expected the path of a run folder, got {folder!r:.80}")
        self.folder = Path(folder)
        run_config(self.folder)

    @property
    def config(self) -> Config:
        """Config of the run, as it is now: a resumption may change it."""
        return run_config(self.folder)

    @property
    def metrics(self) -> list[Line]:
        """Lines of metrics.jsonl: losses, evaluations and the test, as far as the run is."""
        return read_metrics(self.folder / METRICS_FILE)

    @property
    def test(self) -> dict[str, Any] | None:
        """Numbers of the test of the best weights; None as long as there was none."""
        return next((line for line in reversed(self.metrics) if line["kind"] == "test"), None)

    @property
    def step(self) -> int:
        """Step of the last line of the metrics; 0 before the first."""
        return max((line["step"] for line in self.metrics), default=0)

    @cached_property
    def model(self) -> Model:
        """The model with its best weights, as `draw.load` has it."""
        return self.load()

    def load(self, weights: Weights = "best") -> Model:
        """Load the model with its best weights, or the last; see `draw.load`.

        Args:
            weights: "best" or "last".
        """
        return load(self.folder, weights=weights)

    @property
    def pictures(self) -> list[Path]:
        """Files of the pictures that the finished run left."""
        names = task_for(self.config).picture_names
        return [path for name in names if (path := self.folder / name).is_file()]

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}: {self._words()})"

    def _words(self) -> str:
        config, lines = self.config, self.metrics
        task = task_for(config)
        told = f"{task.what}; step {self.step:,} of {config.train.steps:,}"
        best = best_evaluation(lines)
        for kind, line in (("validation", best), ("test", self.test)):
            score = None if line is None else line.get(task.score)
            if score is not None:
                told += f"; {kind} {task.format_score(float(score))}"
        return told

    def _repr_html_(self) -> str:
        words, lines = f"<p>{escape(repr(self))}</p>", self.metrics
        if not any(line["kind"] in ("train", "validation") for line in lines):
            return words
        with TemporaryDirectory() as folder:
            path = Path(folder) / "curves.png"
            task_for(self.config).plot(lines, path, title=str(self.folder))
            content = base64.b64encode(path.read_bytes()).decode()
        return f'{words}<img alt="curves" src="data:image/png;base64,{content}">'
