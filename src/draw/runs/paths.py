"""The files of a run folder, and its own file run.json."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from draw.config.model import ModelConfig
from draw.config.run import Config
from draw.data.store.places import places_of_run
from draw.errors import DrawError
from draw.json_files import write_json
from draw.runs.run_file import read_values, seal

RUN_FILE = "run.json"


def write_run_file(run: Path, config: Config, made: dict[str, Any]) -> None:
    """Write the config of a run, and its provenance (`draw.runs.provenance`)."""
    write_json(run / RUN_FILE, seal(config.to_dict(), made))


def note_decision(run: Path, config: Config) -> None:
    """Note in the file of a run what was decided while it trained, in its config."""
    _, made, changed = read_values(run / RUN_FILE)
    write_run_file(run, config, {**made, "changed_by_hand": True} if changed else made)


def note_resumption(run: Path, config: Config, made: dict[str, Any]) -> None:
    """Note in the file of a run that it went on, with its config and its provenance."""
    _, before, changed = read_values(run / RUN_FILE)
    again = {**made, "changed_by_hand": True} if changed else made
    write_run_file(run, config, {**before, "resumed": [*before.get("resumed", []), again]})


def read_run_file(run: Path, kinds: Mapping[str, type[ModelConfig]]) -> Config:
    """Read the config of a run.

    Args:
        run: the run folder.
        kinds: the config class of each kind of model; `draw.models.kinds.run_config` knows them.

    Raises:
        DrawError: if the folder is no run, or its file is damaged or from another version.
    """
    path = run / RUN_FILE
    if not path.exists():
        raise DrawError(f"expected a run folder with a {RUN_FILE}, got {run}")
    return read_config_file(path, kinds)


def read_config_file(path: Path, kinds: Mapping[str, type[ModelConfig]]) -> Config:
    """Read the config of a run from a file such as run.json, wherever it lies.

    Args:
        path: the file.
        kinds: the config class of each kind of model.

    Raises:
        DrawError: if there is no such file, it is damaged or from another version.
    """
    try:
        config = Config.from_dict(read_values(path)[0], kinds)
    except ValueError as error:
        raise DrawError(f"{path} does not hold the config of a run: {error}") from error
    return dataclasses.replace(config, data=places_of_run(config.data, path))
