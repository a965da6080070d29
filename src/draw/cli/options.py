"""What the verbs share: their options, finding model and images, and giving results."""

import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from draw.config import DataConfig
from draw.errors import DrawError
from draw.terminal import say

if TYPE_CHECKING:
    from draw.checkpoint import LoadedModel
    from draw.data import ImageSet
    from draw.tasks import Task

Split = Literal["train", "validation", "test"]


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which model, and what every verb that uses one can do."""

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Run folder, exported folder, a name from draw models, or owner/name on the Hub."""
    weights: Literal["best", "last"] = "best"
    """Of a run: those with the lowest validation bound, or the last ones."""
    seed: int = 0
    """The same seed gives the same result."""
    json: Annotated[str | None, arg(metavar="FILE")] = None
    """Also write the result as JSON to this file (- for standard output)."""


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which images, where a verb looks at some."""

    split: Split = "test"
    """Which part of the data set."""
    name: Annotated[str | None, arg(name="data.name")] = None
    """Another data set than the model was trained on; see draw data list."""
    path: Annotated[str | None, arg(name="data.path")] = None
    """Another folder or Hub name than the model was trained on."""
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None
    """Folder of decoded images; by default the run's, or ~/.cache/draw."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where a run and its result go."""

    out: Path | None = None
    """The run folder; by default runs/PRESET. One that exists is never overwritten."""
    json: Annotated[str | None, arg(metavar="FILE")] = None
    """Also write the result as JSON to this file (- for standard output)."""


def load(options: ModelOptions) -> "LoadedModel":
    """A model on the fastest device of this computer."""
    import torch

    from draw.checkpoint import load_model

    at_least(("--seed", options.seed, 0))
    loaded = load_model(options.model, options.weights)
    loaded.model.requires_grad_(False)
    loaded.model.to(torch.accelerator.current_accelerator() or torch.device("cpu"))
    return loaded


def images_for(loaded: "LoadedModel", options: DataOptions) -> "tuple[ImageSet, Task]":
    """Images of the model's data set or of another, and the model's task on them."""
    from draw.data import load_images
    from draw.tasks import task_of

    before = loaded.data or DataConfig()
    if loaded.data is None and options.name is None:
        raise DrawError(
            f"{loaded.source} does not say what it was trained on; pass --data.name (see draw data "
            "list) and, where the images are local, --data.path"
        )
    if options.name is None or options.name == before.name:
        config = dataclasses.replace(before, path=options.path or before.path)
    else:
        config = dataclasses.replace(before, name=options.name, path=options.path)
    config = dataclasses.replace(config, cache_dir=options.cache_dir or config.cache_dir)
    return load_images(config, options.split), task_of(loaded.model.config, config)


def at_least(*checks: tuple[str, int, int]) -> None:
    """Refuse numbers that are too small: (name, value, least) of each."""
    for name, value, least in checks:
        if value < least:
            raise DrawError(f"expected {name} of at least {least}, got {value}")


@contextmanager
def words_apart_from(json_file: str | None) -> Iterator[None]:
    """Send what is meant for people to standard error where standard output gets JSON."""
    with redirect_stdout(sys.stderr) if json_file == "-" else nullcontext():
        yield


def done(out: Path, json_file: str | None, result: dict[str, Any]) -> None:
    """Name the picture that was made, and write the result if it was asked for."""
    with words_apart_from(json_file):
        say(out)
    write_result(json_file, result)


def write_result(json_file: str | None, result: Any) -> None:
    """Write a result as JSON to a file, or to standard output for "-".

    Raises:
        DrawError: at the end, if a number of it is not finite, for which the JSON has null.
    """
    from draw.files import null_if_not_finite, to_json, write_json

    if result is None:
        return
    values, not_finite = null_if_not_finite(result)
    if json_file == "-":
        say(to_json(values))
    elif json_file is not None:
        write_json(Path(json_file), values)
    if not_finite:
        raise DrawError(
            f"expected finite numbers as the result, got NaN or infinity for "
            f"{', '.join(not_finite[:5])}{', ...' if not_finite[5:] else ''}: the weights are "
            "finite, but what is computed with them is not; try --precision fp32 or other weights"
        )
