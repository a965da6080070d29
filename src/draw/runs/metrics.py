"""metrics.jsonl: one JSON object a line, the truth about a run.

Every line has `kind` ("train", "validation" or "test"), `step` and `images_seen`; all else are
numbers, null, or lists of them. A line of training holds means over the steps since the line
before it; a line of evaluation holds the fields of `Evaluation`, or of
`Accuracy` for a classifier, and that of a test also `weights_step`, the step of the
weights that it measured: the best, not the last. All losses are in nats per image, errors in %;
with the logistic likelihood `bits_per_dimension` is the bound in that unit. Training of a model
that is told pixels counts the others, a `hidden_share` of them all; evaluations count all.

A line that is none of these (cut short by a crash, damaged, or put there by something else) is left
out wherever metrics are read, and counted; resuming a run sets it aside in DAMAGED_FILE.
"""

import json
import logging
import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from draw.errors import DrawError
from draw.files import open_file, write_atomically
from draw.json_files import null_if_not_finite
from draw.program import program

logger = logging.getLogger("draw")

Line = dict[str, Any]
HIDDEN_SHARE = "hidden_share"
"""Field of training lines: share of the pixels that the loss of a model told the others counts."""
DAMAGED_FILE = "metrics.damaged.jsonl"
"""File beside metrics.jsonl with the damaged lines that were taken out of it."""
LONGEST_LINE = 2**22
"""Most bytes of a line; that of a model with a thousand glimpses has a hundredth of it."""
_LARGEST = 2**53
"""Of whole numbers: beyond it a float would be another number."""


class Metrics(NamedTuple):
    """Contents of a file of metrics."""

    lines: list[Line]
    damaged: int
    """Number of damaged lines, which are left out."""


def append_metrics(path: Path, line: Line) -> None:
    """Append a line of metrics; numbers that are not finite become null, as JSON has none.

    Raises:
        DrawError: if the line cannot be written.
    """
    values, _ = null_if_not_finite(line)
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
    except OSError as error:
        raise writing_error(path, error) from error


def writing_error(path: Path, error: OSError) -> DrawError:
    """Make the error that a log of a run could not be written, and how the run goes on.

    Args:
        path: file or folder of the log, which lies in the run folder.
        error: what the system says.
    """
    return DrawError(
        f"could not write {path}: {error.strerror or error}. Free some space, then go on with: "
        f"{program()} train --resume {shlex.quote(str(path.parent))}"
    )


def read_metrics(path: Path) -> list[Line]:
    """Read all lines of metrics, none where there is no file; log how many are damaged.

    Raises:
        DrawError: if the file is no regular one, or may not be read.
    """
    lines, damaged = scan_metrics(path)
    if damaged:
        logger.warning(
            f"{path}: {_lines(damaged)} left out, damaged or no line of metrics; "
            f"draw train --resume sets such lines aside"
        )
    return lines


def scan_metrics(path: Path) -> Metrics:
    """Read all lines of metrics, and count the damaged; for whoever looks again and again.

    Raises:
        DrawError: if the file is no regular one, or may not be read.
    """
    lines, damaged, ended = [], 0, True
    for raw, line in _read(path):
        ended = raw.endswith(b"\n") or line is not None
        if line is not None:
            lines.append(line)
        elif ended:
            damaged += 1
    return Metrics(lines, damaged + (not ended))


def best_evaluation(lines: Sequence[Line]) -> Line | None:
    """The line of the best weights: the first of least bound, or error, on validation images.

    Scores on another number of images than the latest are left out, as `Selection` does.
    """
    measured = [
        (score, line)
        for line in lines
        if line.get("kind") == "validation"
        and isinstance(score := line.get("bound", line.get("error")), int | float)
        and math.isfinite(score)
    ]
    alike = [pair for pair in measured if pair[1].get("images") == measured[-1][1].get("images")]
    return min(alike, key=lambda pair: pair[0], default=(None, None))[1]


def images_behind_weights(line: Line) -> Any:
    """Number of training images that the weights of a line had seen; of a test maybe not all."""
    images, at, of_weights = (line.get(name) for name in ("images_seen", "step", "weights_step"))
    if type(at) is int and type(of_weights) is int and isinstance(images, int | float) and at:
        return images * of_weights / at
    return images


def seconds_in(lines: Sequence[Line]) -> float:
    """Training time of a run in seconds; 0 if no line says so."""
    found = [line.get("seconds") for line in lines]
    known = [float(value) for value in found if isinstance(value, int | float)]
    return max(filter(math.isfinite, known), default=0.0)


def forget_metrics_after(path: Path, step: int, *, tests: bool = False) -> None:
    """Drop the lines of later steps, which a resumed run makes again, and set damaged ones aside.

    Args:
        path: file of metrics.
        step: last step whose lines stay.
        tests: whether to drop the tests at this very step as well.

    Raises:
        DrawError: if the file is no regular one, or cannot be written.
    """
    damaged = scan_metrics(path).damaged
    kept, aside, changed = [], [], False
    for raw, line in _read(path):
        if line is None:
            aside.append(raw)
        elif line["step"] <= step and not (
            tests and (line["kind"], line["step"]) == ("test", step)
        ):
            kept.append(raw.rstrip(b"\n") + b"\n")
            changed = changed or not raw.endswith(b"\n")  # the next line would go on with it
        else:
            changed = True
    if aside:
        beside = path.with_name(DAMAGED_FILE)
        before = [raw for raw, _ in _read(beside)]
        if before and not before[-1].endswith(b"\n"):
            before.append(b"\n")
        _write(beside, [*before, *aside])
        logger.warning(
            f"{path}: {_lines(damaged)} damaged or no line of metrics; set aside in {beside}"
        )
    if aside or changed:
        _write(path, kept)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count} lines"


def _write(path: Path, raw: list[bytes]) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(b"".join(raw))


def _read(path: Path) -> Iterator[tuple[bytes, Line | None]]:
    """Each line as it stands, and what it says; one that is too long comes in several pieces."""
    if not path.exists() and not path.is_symlink():
        return
    with open_file(path) as file:
        continued = False
        while raw := file.readline(LONGEST_LINE):
            if raw.strip() or continued:
                yield raw, None if continued else _parse(raw)
            continued = not raw.endswith(b"\n")


def _parse(raw: bytes) -> Line | None:
    """A line of metrics; None if it is anything else."""
    try:
        line = json.loads(raw.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict):
        return None
    kind, step, others = line.get("kind"), line.get("step"), {**line, "kind": None}
    known = isinstance(kind, str) and type(step) is int and step >= 0
    return line if known and all(map(_is_value, others.values())) else None


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_number, value))
    return _is_number(value)


def _is_number(value: Any) -> bool:
    if type(value) is int:
        return -_LARGEST <= value <= _LARGEST
    return value is None or isinstance(value, float)
