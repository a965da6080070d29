"""Checkpoints and best weights on disk: safetensors and JSON, never pickle.

A checkpoint is one safetensors file. Its header carries the state of the run as JSON and a SHA-256
over everything in it, so that it is whole or recognisably damaged. A run folder holds

    run.json                            the config; command, commit, hardware, versions
    metrics.jsonl                       one JSON object a line: the truth about the run
    checkpoints/step-00001000.safetensors   weights, their average, optimizer, counters
    best/config.json, model.safetensors     averaged weights, the best on validation images, as
                                            `from_pretrained` of their class reads them
"""

import hashlib
import json
import logging
import os
import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from draw.errors import DrawError
from draw.fields import Limits, Natural, check, names_and_values
from draw.files import check_regular_file, write_atomically
from draw.json_files import parse_json
from draw.launch import is_first_process
from draw.program import program
from draw.randomness import Stream
from draw.runs.metrics import scan_metrics

METRICS_FILE = "metrics.jsonl"
BEST_FILE = Path("best", "model.safetensors")
logger = logging.getLogger("draw")
COUNTERS: dict[str, Any] = {
    "step": Natural,
    "seconds": Annotated[float, Limits(least=0)],
    "best": float | None,
    "sums": dict[str, float],
    "averaged": Natural,
    "stale": Natural,
    "images": str,
    "noise": Stream,
}
"""State of a checkpoint besides tensors, with the types of its fields; of best weights the step
alone, and what was measured on validation images."""
OF_STEPS = "_per_glimpse"
"""End of the names of measurements that have a number for each step."""
LATER = frozenset({"noise", "stale"})
"""Names in `COUNTERS` that checkpoints of earlier versions do not have."""


class DamagedCheckpointError(DrawError):
    """A checkpoint file is not what was written."""


def _digest(tensors: dict[str, Tensor], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_tensors(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write tensors and a JSON state into one file, atomically and with a checksum.

    Raises:
        DrawError: if the file cannot be written; one that was there before stays.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state, allow_nan=False)
    metadata = {"format": "pt", "state": text, "sha256": _digest(tensors, text)}
    with write_atomically(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(
    path: Path, checksum_required: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read on the CPU the tensors and the state that `save_tensors` wrote.

    Raises:
        DamagedCheckpointError: if the file is not exactly what was written.
    """
    try:
        check_regular_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: what comes from safetensors is a map of the file, which may yet change.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DamagedCheckpointError(f"{path} cannot be read: {error}") from error
    if "sha256" not in metadata:
        if checksum_required:
            raise DamagedCheckpointError(f"{path} has no checksum: it is no checkpoint of draw")
        return tensors, {}
    if _digest(tensors, metadata.get("state", "")) != metadata["sha256"]:
        raise DamagedCheckpointError(f"{path} is damaged: its checksum does not match its content")
    try:
        return tensors, _checked_state(parse_json(metadata.get("state", "")))
    except ValueError as error:
        raise DamagedCheckpointError(f"the state in {path} is none of draw: {error}") from error


def read_state(path: Path) -> dict[str, Any]:
    """Read the state that `save_tensors` wrote, without the tensors, and so unverified.

    Raises:
        DamagedCheckpointError: if the file cannot be read, or holds no such state.
    """
    try:
        check_regular_file(path)
        with safe_open(path, framework="pt") as file:
            return _checked_state(parse_json((file.metadata() or {}).get("state", "")))
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise DamagedCheckpointError(f"{path} cannot be read: {error}") from error


def _checked_state(values: object) -> dict[str, Any]:
    """A state with each of its fields as it should be.

    One that has no name here is a number, or by the end of its name one for each step.
    """
    state = dict(names_and_values("state", values))
    for name, value in state.items():
        if name.endswith(OF_STEPS) and isinstance(value, list):
            state[name] = value = tuple(value)
        other = tuple[float, ...] if name.endswith(OF_STEPS) else float
        check(f"state.{name}", COUNTERS.get(name, other), value)
    return state


def check_state(source: object, state: dict[str, Any], *names: str) -> None:
    """Refuse a state that lacks fields that are needed.

    Args:
        source: file that holds the state, for the message.
        state: state of a checkpoint.
        *names: names of the fields that are needed.

    Raises:
        DamagedCheckpointError: if a field is missing.
    """
    missing = [name for name in names if name not in state]
    if missing:
        raise DamagedCheckpointError(f"the state in {source} lacks {', '.join(missing)}")


def checkpoint_path(run: Path, step: int) -> Path:
    """Path of the checkpoint of a step."""
    return run / "checkpoints" / f"step-{step:08d}.safetensors"


def checkpoints(run: Path) -> list[Path]:
    """Checkpoints of a run, oldest first."""
    found = (run / "checkpoints").glob("step-*.safetensors")
    return sorted(path for path in found if re.fullmatch(r"step-\d+", path.stem))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load a checkpoint of a run: a file, or a run folder for its newest.

    Raises:
        DamagedCheckpointError: naming the damaged file, and the one before it if there is one.
        DrawError: if there is no checkpoint.
    """
    if path.is_dir():
        found = checkpoints(path)
        if not found:
            raise DrawError(f"{path} has no checkpoint to go on from; {_way_on_without(path)}")
        path = found[-1]
    try:
        tensors, state = load_tensors(path)
        check_state(path, state, "step")
        return tensors, state
    except DamagedCheckpointError as error:
        earlier = [other for other in checkpoints(path.parent.parent) if other.name < path.name]
        advice = f"there is none before it; {_way_on_without(path.parent.parent)}"
        if earlier:
            again = shlex.quote(str(earlier[-1]))
            advice = f"the one before it is {earlier[-1]}: {program()} train --resume {again}"
        raise DamagedCheckpointError(f"{error}; {advice}") from error


def is_blank(run: Path) -> bool:
    """Whether a run without a checkpoint was stopped before its first, rather than robbed of it."""
    return not os.path.lexists(run / BEST_FILE) and not scan_metrics(run / METRICS_FILE).lines


def _way_on_without(run: Path) -> str:
    """What can be done with a run that has no checkpoint to go on from."""
    name = shlex.quote(str(run))
    if not checkpoints(run) and is_blank(run):
        return f"start it with {program()} train --resume {name}"
    best = f" --train.start-from {name}" if os.path.lexists(run / BEST_FILE) else ""
    weights = " with its best weights" if best else ""
    return f"begin another one{weights} by {program()} train --config {name}{best} --out FOLDER"


def add_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Name tensors `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Select the tensors whose names start with `prefix.`, and take it off."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def best_weights(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Load the best weights of a run and their state; None if there are none, or they are damaged.

    That they are damaged is logged: whoever asks has to go on with the last weights.
    """
    path = run / BEST_FILE
    if not os.path.lexists(path):
        return None
    try:
        tensors, state = load_tensors(path)
        check_state(path, state, "step")
        return tensors, state
    except DamagedCheckpointError as error:
        if is_first_process():
            logger.warning(f"{error}. The last weights of {run} are used in place of its best")
        return None
