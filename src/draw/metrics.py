"""metrics.jsonl: one JSON object a line, the truth about a run.

Every line has `kind` ("train", "validation" or "test"), `step` and `images_seen`. A line of
training holds means over the steps since the line before it; a line of evaluation holds the fields
of `draw.evaluate.Evaluation`, or of `draw.accuracy.Accuracy` for a classifier. All losses are in
nats per image, errors in %; with the logistic likelihood `bits_per_dimension` is the bound in that
unit.
"""

import json
from pathlib import Path
from typing import Any

from draw.errors import DrawError
from draw.files import written_atomically


def append_metrics(path: Path, line: dict[str, Any]) -> None:
    """Add a line.

    Raises:
        DrawError: if it cannot be written.
    """
    try:
        with open(path, "a") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise DrawError(
            f"could not write {path}: {error.strerror}. Free some space, then go on with: "
            f"draw train --resume {path.parent}"
        ) from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All lines; a last one that was cut short by a crash is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def forget_metrics_after(path: Path, step: int) -> None:
    """Drop the lines of later steps, which a resumed run makes again."""
    kept = [line for line in read_metrics(path) if line["step"] <= step]
    with written_atomically(path) as temporary:
        temporary.write_text("".join(json.dumps(line) + "\n" for line in kept))
