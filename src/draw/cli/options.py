"""Options that the verbs share, and how they find model and images, and give results."""

import dataclasses
import functools
import inspect
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from tyro.conf import Positional, arg

from draw.config.compute import PLAIN, ComputeConfig
from draw.config.data import DataConfig, Split
from draw.config.run import Weights
from draw.errors import DrawError
from draw.fields import Limits, Rule, Seed, check, either
from draw.files import obstacle_to_writing
from draw.formats import PICTURES
from draw.terminal import say

if TYPE_CHECKING:
    from draw.data import ImageSet
    from draw.models.storage import LoadedModel
    from draw.tasks import Task


@dataclasses.dataclass(frozen=True)
class Output(Rule):
    """A rule for an option that names a file to write, which is checked before work begins."""

    suffixes: tuple[str, ...] = ()
    """Suffixes, one of which ends the file's name; any by default."""

    def violation(self, kind: str, value: Any) -> str | None:
        """Say what file name was expected; None if nothing stands in the way."""
        if value == "-":
            return None
        if self.suffixes and Path(value).suffix.lower() not in self.suffixes:
            return f"a file that ends in {either(self.suffixes)}"
        obstacle = obstacle_to_writing(Path(value))
        return None if obstacle is None else f"a file that can be written ({obstacle})"


Scale = Annotated[int, Limits(least=1, most=32)]
"""Picture pixels for each of an image."""
Label = Annotated[str | None, arg(metavar="INT|NAME|none")]
"""A class, by its number or by the name that its folder of pictures had, or none."""
Json = Annotated[str | None, arg(metavar="FILE"), Output()]
"""A file for the result, or - for standard output."""
Picture = Annotated[Path, Output(PICTURES)]
"""A file for a picture of any size."""

Seeds = Annotated[int, Limits(least=1, most=1000)]
"""A number of runs that differ in the seed."""

logger = logging.getLogger("draw")
_POSITIONAL = get_args(Positional[str])[1]


@dataclasses.dataclass(frozen=True)
class ModelOptions:
    """Which model, and what every verb that uses one can do."""

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Run folder, exported folder, a name from draw models, or owner/name on the Hub."""
    weights: Weights = "best"
    """Weights of a run: those with the lowest validation bound, or the last ones."""
    seed: Seed = 0
    """The same seed gives the same result."""
    json: Json = None
    """Also write the result as JSON to this file (- for standard output)."""
    compute: Annotated[ComputeConfig, arg(name="")] = PLAIN
    """How to run it."""


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """Which images, where a verb looks at some."""

    split: Split = "test"
    """Split of the data set."""
    name: Annotated[str | None, arg(name="data.name")] = None
    """Another data set than the model was trained on; see draw data list."""
    path: Annotated[str | None, arg(name="data.path")] = None
    """Another folder or Hub name than the model was trained on."""
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None
    """Folder of decoded images; by default the run's, or ~/.cache/draw."""
    config: Annotated[str | None, arg(name="data.config")] = None
    """Which of several sets at --data.path, or of the Hub's configurations."""
    invert: Annotated[bool | None, arg(name="data.invert")] = None
    """Turn black into white and white into black; by default as for the model's own images."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Folder of a run, and file for its result."""

    out: Path | None = None
    """The run folder; by default runs/PRESET. One that exists is never overwritten."""
    dry_run: bool = False
    """Train nothing: say shapes and parameters, where the run would go, and from some steps here
    how long it would take."""
    seeds: Seeds | None = None
    """Train so many runs, one after another, with --train.seed and the seeds after it: their
    folders are NAME-seed-0 and so on, NAME that of a single run. draw compare pools them. After a
    stop: draw train --resume NAME --seeds N."""
    json: Json = None
    """Also write the result as JSON to this file (- for standard output)."""


def load(options: ModelOptions) -> "LoadedModel":
    """Load a model on the device and with the backend that are asked for.

    Args:
        options: options that name the model, and how to run it.
    """
    from draw.model.machine import settle
    from draw.models.storage import load_model

    loaded = load_model(options.model, options.weights)
    if loaded.weights:
        logger.info("%s: %s", options.model, loaded.weights)
    loaded.model.requires_grad_(False)
    settle(options.compute).place(loaded.model)
    return loaded


def refuse_seed(options: ModelOptions, what: str) -> None:
    """Refuse a seed where nothing is left to chance.

    Args:
        options: options that name the model.
        what: what is the same for every seed.

    Raises:
        DrawError: if a seed is asked for.
    """
    if options.seed != 0:
        raise DrawError(f"expected no --seed for {what}, got {options.seed}; leave it out")


def images_for(
    loaded: "LoadedModel", options: DataOptions, others: "Sequence[LoadedModel]" = ()
) -> "tuple[ImageSet, Task]":
    """Load images of the model's data set or of another, and make the model's task on them.

    Where they are the model's own, and changed since it was trained, a warning says so.

    Args:
        loaded: the model.
        options: options that name the images.
        others: further models to measure on the images, whose own they may be too.
    """
    from draw.data import load_images
    from draw.models.kinds import task_of

    before = loaded.data or DataConfig()
    if loaded.data is None and options.name is None:
        raise DrawError(
            f"{loaded.source} does not say what it was trained on; pass --data.name (see draw data "
            "list) and, where the images are local, --data.path"
        )
    if options.name is None or options.name == before.name:
        config = dataclasses.replace(before, path=options.path or before.path)
    else:
        config = dataclasses.replace(before, name=options.name, path=options.path, invert=None)
    if options.invert is not None:
        config = dataclasses.replace(config, invert=options.invert)
    if options.config is not None or (config.name, config.path) != (before.name, before.path):
        config = dataclasses.replace(config, config=options.config)
    config = dataclasses.replace(config, cache_dir=options.cache_dir or config.cache_dir)
    images = load_images(config, options.split)
    for one in (loaded, *others):
        own = one.data is not None and one.data.without_treatment() == config.without_treatment()
        changed = one.change_of(images) if own and options.path is None else None
        if changed:
            logger.warning("%s", changed)
    return images, task_of(loaded.model.config, config)


def with_checks(verb: Callable[..., None]) -> Callable[..., None]:
    """Wrap a verb so that it compares every option with its type before it begins.

    A verb with a `ComputeConfig` among its options runs in the precision that it asks for.
    """
    hints = get_type_hints(verb, include_extras=True)

    @with_help_in_paragraphs
    @functools.wraps(verb)
    def run(*positional: Any, **named: Any) -> None:
        given = inspect.signature(verb).bind(*positional, **named)
        given.apply_defaults()
        for name, value in given.arguments.items():
            check_option(name, hints[name], value)
        with _running(given.arguments.values()):
            verb(*positional, **named)

    return run


def with_help_in_paragraphs(verb: Callable[..., None]) -> Callable[..., None]:
    """Join the lines that describe an argument of a verb, which tyro would keep apart."""
    text = inspect.cleandoc(verb.__doc__ or "")
    verb.__doc__ = re.sub(r"(?<=\S)\n {8,}(?=\S)", " ", text)
    return verb


@contextmanager
def _running(options: Iterable[Any]) -> Iterator[None]:
    """The precision of the `ComputeConfig` among some options, or in one of them, if there is."""
    parts = [getattr(option, "compute", option) for option in options]
    found = [part for part in parts if isinstance(part, ComputeConfig)]
    if not found:
        yield  # without importing torch for verbs that do not need it
        return
    from draw.model.machine import settle

    with settle(found[0]).running():
        yield


def check_option(name: str, hint: Any, value: Any) -> None:
    """Refuse an option, or one of a class of options, that does not fit its type.

    Raises:
        DrawError: if the option does not fit, by its name on the command line.
    """
    if dataclasses.is_dataclass(value):
        hints = get_type_hints(type(value), include_extras=True)
        for field in dataclasses.fields(value):
            check_option(field.name, hints[field.name], getattr(value, field.name))
        return
    check(flag_of(name, hint), hint, value)


def flag_of(name: str, hint: Any) -> str:
    """Name of an option on the command line; of one without a flag, what stands for it."""
    rules = get_args(hint)
    said = [rule for rule in rules if hasattr(rule, "metavar")]
    if _POSITIONAL in rules:
        return next((one.metavar for one in said if one.metavar), name.upper())
    return "--" + next((one.name for one in said if one.name), name.replace("_", "-"))


@contextmanager
def words_apart_from(json_file: str | None) -> Iterator[None]:
    """Send what is meant for people to standard error where standard output gets JSON."""
    with redirect_stdout(sys.stderr) if json_file == "-" else nullcontext():
        yield


def report_picture(out: Path, json_file: str | None, result: dict[str, Any]) -> None:
    """Name the picture that was made, and write the result if it was asked for."""
    with words_apart_from(json_file):
        say(out)
    write_result(json_file, result)


def write_result(json_file: str | None, result: Any) -> None:
    """Write a result as JSON to a file, or to standard output for "-".

    Raises:
        DrawError: at the end, if a number of it is not finite, for which the JSON has null.
    """
    from draw.json_files import null_if_not_finite, to_json, write_json

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
