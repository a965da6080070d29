"""Run folders, checkpoints and exported models on disk: safetensors and JSON, never pickle.

A checkpoint is one safetensors file. Its header carries the state of the run as JSON and a SHA-256
over everything in it, so that it is whole or recognisably damaged. A run folder holds

    run.json                            the config; command, commit, hardware, versions
    metrics.jsonl                       one JSON object a line: the truth about the run
    checkpoints/step-00001000.safetensors   weights, their average, optimizer, counters
    best/config.json, model.safetensors     averaged weights, the best on validation images, as
                                            `from_pretrained` of their class reads them
"""

import dataclasses
import hashlib
import json
import logging
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from draw import hub
from draw.checks import check_weights
from draw.classifier import Classifier
from draw.config import Config, DataConfig, model_config
from draw.data.places import places_of_model, places_of_run
from draw.errors import DrawError
from draw.fields import Limits, Natural, check, from_plain, names_and_values
from draw.files import (
    check_regular_file,
    parse_json,
    read_json_object,
    write_json,
    written_atomically,
)
from draw.launch import is_first_process
from draw.model import DRAW
from draw.models import Model, model_with
from draw.pretrained import model_in, shipped
from draw.roundtrip import CLASS, check_class, check_loadable
from draw.runfile import read_values, sealed

RUN_FILE = "run.json"
METRICS_FILE = "metrics.jsonl"
BEST_FILE = Path("best", "model.safetensors")

logger = logging.getLogger("draw")


COUNTERS: dict[str, Any] = {
    "step": Natural,
    "seconds": Annotated[float, Limits(least=0)],
    "best": float | None,
    "sums": dict[str, float],
    "averaged": Natural,
    "images": str,
}
"""What a checkpoint keeps besides tensors, with the types; of best weights the step alone, and the
score on validation images."""


class DamagedCheckpointError(DrawError):
    """A file that is not what was written."""


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
    with written_atomically(path) as temporary:
        try:
            save_file(tensors, temporary, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load_tensors(
    path: Path, checksum_required: bool = True
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote, on the CPU.

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


def _checked_state(values: object) -> dict[str, Any]:
    """A state with each of its fields as it should be; one that has no name here is a number."""
    state = names_and_values("state", values)
    for name, value in state.items():
        check(f"state.{name}", COUNTERS.get(name, float), value)
    return state


def check_state(source: object, state: dict[str, Any], *names: str) -> None:
    """See that a state has fields that are needed.

    Raises:
        DamagedCheckpointError: if one is missing; it names `source`, which holds the state.
    """
    missing = [name for name in names if name not in state]
    if missing:
        raise DamagedCheckpointError(f"the state in {source} lacks {', '.join(missing)}")


def checkpoint_path(run: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return run / "checkpoints" / f"step-{step:08d}.safetensors"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    found = (run / "checkpoints").glob("step-*.safetensors")
    return sorted(path for path in found if re.fullmatch(r"step-\d+", path.stem))


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A checkpoint of a run: a file, or a run folder for its newest.

    Raises:
        DamagedCheckpointError: naming the damaged file, and the one before it if there is one.
        DrawError: if there is no checkpoint.
    """
    if path.is_dir():
        found = checkpoints(path)
        if not found:
            raise DrawError(
                f"{path} has no checkpoint to go on from; start it with draw train --resume {path}"
            )
        path = found[-1]
    try:
        tensors, state = load_tensors(path)
        check_state(path, state, "step")
        return tensors, state
    except DamagedCheckpointError as error:
        earlier = [other for other in checkpoints(path.parent.parent) if other.name < path.name]
        advice = (
            f"the one before it is {earlier[-1]}: draw train --resume {earlier[-1]}"
            if earlier
            else "there is none before it"
        )
        raise DamagedCheckpointError(f"{error}; {advice}") from error


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with names `prefix.name`."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Those tensors whose names start with `prefix.`, without it."""
    start = prefix + "."
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def write_run_file(run: Path, config: Config, made: dict[str, Any]) -> None:
    """Write the config of a run, and how it came about (`draw.provenance`)."""
    write_json(run / RUN_FILE, sealed(config.to_dict(), made))


def note_resumption(run: Path, config: Config, made: dict[str, Any]) -> None:
    """Add to the file of a run that it went on, with what config, and how that came about."""
    _, before, changed = read_values(run / RUN_FILE)
    again = {**made, "changed_by_hand": True} if changed else made
    write_run_file(run, config, {**before, "resumed": [*before.get("resumed", []), again]})


def read_run_file(run: Path) -> Config:
    """The config of a run.

    Raises:
        DrawError: if the folder is no run, or its file is damaged or from another version.
    """
    path = run / RUN_FILE
    if not path.exists():
        raise DrawError(f"expected a run folder with a {RUN_FILE}, got {run}")
    try:
        config = Config.from_dict(read_values(path)[0])
    except ValueError as error:
        raise DrawError(f"{path} does not hold the config of a run: {error}") from error
    return dataclasses.replace(config, data=places_of_run(config.data, path))


def export_model(folder: Path, model: nn.Module, data: DataConfig, state: dict[str, Any]) -> None:
    """Write a model as `from_pretrained` of its class reads it, with the data it learned from.

    Where that data is on this computer is left out.

    Args:
        folder: where config.json and model.safetensors go.
        model: one of `draw.models`.
        data: what it was trained on.
        state: counters and figures to keep with it.

    Raises:
        DrawError: if the weights are not finite, it would come back as another model, or a file
            cannot be written.
    """
    check_loadable(model)
    config = cast(Model, model).config
    check_weights(model.state_dict().items(), f"the model to be written to {folder}")
    write_json(folder / "config.json", {**asdict(config), "data": asdict(data.without_places())})
    save_tensors(folder / "model.safetensors", model.state_dict(), state)


@dataclass(frozen=True)
class LoadedModel:
    """A model and what is known about where it came from."""

    model: Model
    source: str
    """The file or repository of the weights."""
    data: DataConfig | None
    """What it was trained on, if that was written down."""
    config: Config | None
    """The whole config, for a run folder."""
    state: dict[str, Any]
    """Counters and figures kept with the weights, such as step and validation bound."""

    @property
    def drawing(self) -> DRAW:
        """The model, which must be one that draws."""
        if not isinstance(self.model, DRAW):
            raise DrawError(
                f"expected a model that draws, got {self.source}, a classifier; see where it looks "
                "with draw glimpses, and how well it does with draw evaluate"
            )
        return self.model

    @property
    def classifier(self) -> Classifier:
        """The model, which must be one that classifies through a window."""
        if not isinstance(self.model, Classifier):
            raise DrawError(
                f"expected a classifier with a window (draw train cluttered), got {self.source}, "
                f"a {type(self.model).__name__}"
            )
        return self.model


def load_model(name: str, weights: str = "best") -> LoadedModel:
    """A model from a run folder, an exported folder or a Hub name.

    Args:
        name: the folder, one of `draw.pretrained.shipped`, or `owner/name` on the Hub.
        weights: for a run folder, "best" (lowest validation bound or error; the latest as
            long as there was no evaluation) or "last"; both are averaged weights.

    Raises:
        DrawError: if there is no such model, it is damaged, or its weights are not finite.
    """
    folder = Path(name)
    if (folder / RUN_FILE).exists():
        config = read_run_file(folder)
        best = best_weights(folder) if weights == "best" else None
        if best is not None:
            (tensors, state), source = best, folder / BEST_FILE
        else:
            tensors, state = load_checkpoint(folder)
            tensors, source = without_prefix("average", tensors), checkpoints(folder)[-1]
        with model_in(source):
            model = model_with(config.model, tensors)
        check_weights(tensors.items(), str(source))
        return LoadedModel(model, str(source), config.data, config, state)
    loaded = _load_exported(exported_folder(name))
    return loaded if folder.is_dir() else dataclasses.replace(loaded, source=name)


def best_weights(run: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """The best weights of a run and their state; None if there are none, or they are damaged.

    The latter is said: whoever asks has to go on with the last weights.
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


def exported_folder(name: str) -> Path:
    """The folder of a model that is no run: itself, in the package, or as the Hub keeps it here.

    Raises:
        DrawError: if there is none.
    """
    if Path(name).is_dir():
        return Path(name)
    if name in shipped():
        return shipped()[name]
    choices = (
        "pass a run folder (runs/NAME), an exported folder, a name that draw models lists, or "
        "owner/name on the Hub"
    )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.split("/")[0] in (".", "..", "runs"):
        raise DrawError(f"there is no folder {name}; {choices}")
    return hub.fetch(name, "model", ("config.json", "model.safetensors"), choices.capitalize())


def _load_exported(folder: Path) -> LoadedModel:
    with model_in(folder):
        values = read_json_object(folder / "config.json")
        data = values.pop("data", None)
        check_class(values.pop(CLASS, None), "model of draw", folder)
        config = model_config(values)
        if data is not None:
            data = places_of_model(from_plain(DataConfig, "data", data), folder / "config.json")
        tensors, state = load_tensors(folder / "model.safetensors", checksum_required=False)
        model = model_with(config, tensors)
    check_weights(tensors.items(), str(folder / "model.safetensors"))
    return LoadedModel(model, str(folder / "model.safetensors"), data, None, state)
