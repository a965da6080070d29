"""Fingerprints and classes of the images of a run's training, as far as its files have them."""

from pathlib import Path
from typing import Any

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints, read_state
from draw.runs.paths import RUN_FILE
from draw.runs.run_file import read_values


def fingerprints_of(run: Path) -> dict[str, str]:
    """SHA-256 of the stored images of each split that a run was trained with.

    Runs of earlier versions noted that of their training images alone, in checkpoints.

    Args:
        run: the run folder.

    Raises:
        DrawError: if run.json is missing or damaged.
    """
    made = read_values(run / RUN_FILE)[1]
    launches: list[dict[str, Any]] = [made, *made.get("resumed", [])]
    anew = [at for at, one in enumerate(launches) if one.get("step") == 0]
    launches = launches[max(anew, default=0) :]  # from one that began with no step made
    found: dict[str, str] = {}
    for one in reversed(launches):  # what was there first counts
        found |= one.get("images", {})
    return found or _of_checkpoint(run)


def classes_of(run: Path) -> dict[int, str]:
    """Names of the classes that a run's model is told, by number; empty where they are not known.

    Args:
        run: the run folder.

    Raises:
        DrawError: if run.json is missing or damaged.
    """
    names: dict[str, str] = read_values(run / RUN_FILE)[1].get("classes", {})
    return {int(number): name for number, name in names.items() if number.isdecimal()}


def _of_checkpoint(run: Path) -> dict[str, str]:
    for path in reversed(checkpoints(run)):
        try:
            state = read_state(path)
        except DrawError:
            continue
        return {"train": state["images"]} if "images" in state else {}
    return {}
