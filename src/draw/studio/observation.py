"""Observation of runs, finished or in training: read from their folders, never written."""

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from draw.config.run import Config
from draw.errors import DrawError
from draw.files import check_regular_file
from draw.models.kinds import run_config, task_for
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import best_evaluation, scan_metrics, seconds_in
from draw.studio.folders import inside, run_folders
from draw.tasks import Curve, Profile, Task
from draw.visualize.curves import profile, running_mean, series
from draw.visualize.sheet import evenly

MOST_POINTS = 240
"""Most points of a curve: as many as can be distinguished on the page."""
MOST_PICTURE_BYTES = 4_000_000
QUIET = 180.0
"""Seconds without a new line of metrics after which a run counts as stopped."""

Panel = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """A run folder as it is at the moment."""

    name: str
    folder: Path
    config: Config
    metrics: tuple[dict[str, Any], ...]
    age: float
    """Seconds since the last line of metrics."""
    damaged: int = 0
    """Number of damaged lines of metrics, which are left out."""
    going: bool | None = None
    """Whether it is in training, where that is known; None where its age tells."""

    @property
    def task(self) -> Task:
        """The task that the run learns."""
        return task_for(self.config)

    @property
    def step(self) -> int:
        """Number of the run's last step so far."""
        return max((line["step"] for line in self.metrics), default=0)

    @property
    def state(self) -> str:
        """State of the run in words: finished, in training, or neither."""
        if any(line["kind"] == "test" and line["step"] == self.step for line in self.metrics):
            return "finished"
        return "training" if _in_training(self.age, self.going) else "stopped"

    @property
    def best(self) -> dict[str, Any] | None:
        """The line of the best weights on validation images, which are those that are tested."""
        return best_evaluation(self.metrics)


def _in_training(age: float, going: bool | None) -> bool:
    return age < QUIET if going is None else going


def read(root: Path, name: str | None, going: bool | None = None) -> Run:
    """Read a run by its name below a folder.

    Args:
        root: folder of run folders.
        name: name of the run.
        going: whether it is in training, where that is known.

    Raises:
        DrawError: if there is no such run, or no longer, or its files are damaged.
    """
    folder = run_folders(root).get(name or "")
    if folder is None:
        raise DrawError(
            f"expected one of the runs in {root.name}, got {name!r}; it may have been deleted: "
            "choose another"
        )
    try:
        path = folder / METRICS_FILE
        there = path.exists() or path.is_symlink()
        lines, damaged = scan_metrics(inside(folder, METRICS_FILE) if there else path)
        age = time.time() - path.stat().st_mtime if there else math.inf
        config = run_config(folder)
    except OSError as error:
        raise DrawError(f"{name} cannot be read: {error.strerror}; was it deleted?") from error
    return Run(str(name), folder, config, tuple(lines), age, damaged, going)


def stamp(root: Path, name: str | None, going: bool | None = None) -> tuple[int, ...]:
    """Stamp that changes whenever there is something new to see of a run, its state included.

    Args:
        root: folder of run folders.
        name: name of the run.
        going: whether it is in training, where that is known.
    """
    folder = run_folders(root).get(name or "")
    if folder is None:
        return ()
    found = []
    for part in (METRICS_FILE, "samples", "glimpses"):
        try:
            found.append((folder / part).stat().st_mtime_ns)
        except OSError:
            found.append(0)
    return *found, int(_in_training(time.time() - found[0] / 1e9, going))


def panels(runs: Sequence[Run]) -> list[Panel]:
    """Curves of one run, or of several on top of each other; see assets/chart.js."""
    if not runs:
        return []
    task = runs[0].task
    chosen = [run for run in runs if run.task.score == task.score]
    steps = _profile(chosen, task.profile)
    several = any(len(line["y"]) > 1 for line in steps["lines"])  # steps, if it has been measured
    return [*(_curves(chosen, curve) for curve in task.curves), *([steps] if several else [])]


def _curves(runs: Sequence[Run], curve: Curve) -> Panel:
    field, title, unit = curve
    lines, low, high = [], math.inf, -math.inf
    for colour, run in enumerate(runs):
        seen, values = series(run.metrics, "train", field)
        smooth = running_mean(values) if len(values) >= 20 else values
        late = smooth[len(smooth) // 10 if len(smooth) >= 20 else 0 :]
        lines.append(_line(run.name, "training", colour, seen, smooth))
        seen, values = series(run.metrics, "validation", field)
        lines.append(_line(run.name, "validation", colour, seen, values))
        seen, tested = series(run.metrics, "test", field)
        lines.append(_line(run.name, "test", colour, seen, tested))
        for visible in (late, values[len(values) // 10 :], tested):
            visible = visible[np.isfinite(visible)]
            if len(visible):
                low, high = min(low, visible.min()), max(high, visible.max())
    limits = [float(low), float(high)] if low <= high else [0.0, 1.0]
    shown = [line for line in lines if line["x"]]
    return {"title": title, "unit": unit, "across": "images seen", "limits": limits, "lines": shown}


def _line(run: str, kind: str, colour: int, x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    kept = evenly(len(x), MOST_POINTS) if len(x) else []
    return {
        "run": run, "kind": kind, "colour": colour,
        "x": [float(value) for value in x[kept]],
        "y": [float(f"{value:.5g}") for value in y[kept]],
    }  # fmt: skip


def _profile(runs: Sequence[Run], of: Profile) -> Panel:
    """A number of each step, of the best weights, and over it what else is known of the step."""
    lines, notes, high = [], [], 0.0
    for colour, run in enumerate(runs):
        values = profile(run.best or {}, of.field)
        if not np.isfinite(values).any():
            continue
        steps = np.arange(1, len(values) + 1, dtype=np.float64)
        lines.append(_line(run.name, "bars", colour, steps, values))
        over = profile(run.best or {}, of.over) if of.over else np.array([])
        if len(over) == len(values) and np.isfinite(over).all() and np.isfinite(values).all():
            lines.append(_line(run.name, "outline", colour, steps, over))
            more, whole = float((over - values).sum()), float(over.sum())
            who = f"{run.name}: " if len(runs) > 1 else ""
            notes.append(f"{who}above the bars, up to the outline, {of.difference}: {more:.1f} of "
                         f"{whole:.1f} {of.unit}")  # fmt: skip
            high = max(high, float(over.max()))
        high = max(high, float(np.nanmax(values)))
    return {
        "title": of.title, "unit": of.unit, "across": f"{of.across}, of the best weights",
        "limits": [0.0, high or 1.0], "lines": lines, "note": "; ".join(notes),
    }  # fmt: skip


PICTURES = {"samples": "samples", "glimpses": "where it looks"}
"""Folders of pictures that a run makes at its evaluations, and what they show."""


def steps_of_pictures(run: Run) -> list[int]:
    """Steps of the evaluations of which a run keeps pictures, in their order."""
    for folder in PICTURES:
        try:
            names = [path.stem for path in inside(run.folder, folder).glob("step-*.png")]
        except DrawError:
            continue
        steps = [name.partition("-")[2] for name in names]
        if found := sorted(int(step) for step in steps if step.isdecimal()):
            return found
    return []


def picture_of(run: Run, near: int | None = None) -> tuple[Path, str] | None:
    """A picture that a run made at an evaluation, and what it shows.

    Args:
        run: the run.
        near: step whose nearest picture is taken; by default that of the best weights, or else the
            newest.
    """
    best = f"step-{run.best['step']:08d}.png" if run.best else ""
    steps = steps_of_pictures(run)
    nearest = min(steps, key=lambda step: abs(step - (near or 0)), default=0)
    for folder, words in PICTURES.items():
        try:
            found = sorted(inside(run.folder, folder).glob("step-*.png"))
            if found:
                names = [file.name for file in found]
                chosen = best if best in names else names[-1]
                if near is not None:
                    chosen = f"step-{nearest:08d}.png"
                path = inside(run.folder, folder, chosen)
                check_regular_file(path)
                if path.stat().st_size <= MOST_PICTURE_BYTES:
                    step = int(path.stem.partition("-")[2])
                    which = "best weights" if chosen == best else "not the best weights"
                    return path, f"{words} of step {step:,}, {which}"
        except (DrawError, OSError, ValueError):
            continue
    return None


def facts(run: Run) -> list[tuple[str, str]]:
    """Results of a run so far, as names and values."""
    score, _, unit = run.task.curves[0]
    found = [
        ("State", run.state),
        ("Step", f"{run.step:,} of {run.config.train.steps:,}"),
        ("Data", run.config.data.name),
    ]
    tests = [line for line in run.metrics if line["kind"] == "test"]
    measured = {f"Best validation {score}": run.best, f"Test {score}": tests[-1] if tests else None}
    for words, line in measured.items():
        value = None if line is None else line.get(score)
        if line is not None and isinstance(value, int | float) and math.isfinite(value):
            step = line.get("weights_step", line["step"])
            found.append((words, f"{value:.2f} {unit}, weights of step {step:,}"))
    seconds = seconds_in(run.metrics)
    if seconds:
        found.append(
            ("Time", f"{seconds / 3600:.1f} h" if seconds > 5400 else f"{seconds / 60:.0f} min")
        )
    if run.damaged:
        found.append(("Damaged lines", f"{run.damaged}, left out of {METRICS_FILE}"))
    return found


def settings(runs: Sequence[Run]) -> list[tuple[str, tuple[str, ...]]]:
    """Every field of the runs' configs, and its value in each run."""
    tables = [_flat(dataclasses.asdict(run.config)) for run in runs]
    names = dict.fromkeys(name for table in tables for name in table)
    return [(name, tuple(table.get(name, "") for table in tables)) for name in names]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            flat[f"{prefix}{name}"] = (
                " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            )
    return flat
