"""The models on offer, and those of them that are in memory."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from draw.config.compute import PLAIN, ComputeConfig
from draw.config.model import ModelConfig
from draw.errors import DrawError
from draw.model.machine import settle
from draw.model.pretrained import shipped_models
from draw.models.kinds import Kind, kind_of, run_config, task_of
from draw.models.storage import LoadedModel, exported_config, load_model
from draw.runs.checkpoint import checkpoints
from draw.runs.paths import RUN_FILE
from draw.studio.folders import inside, run_folders
from draw.studio.given_images import GivenImages, ImageChoice

MOST_IN_MEMORY = 3
NOTHING = (
    "There is no model yet. Train one in a terminal (draw train digits takes a minute and needs no "
    "network), then load this page again; or start the studio with a model or with the folder of "
    "your runs: draw studio MODEL, draw studio --runs FOLDER"
)


@dataclass(frozen=True)
class Choice:
    """A model that can be chosen."""

    name: str
    """Name on the page, and all that ever comes back from there."""
    source: str
    """Name or folder for `load_model`."""
    config: ModelConfig
    weights: Path | None
    """File whose time tells newer weights of a run in training; None for the Hub."""

    @property
    def kind(self) -> Kind:
        """The kind of the model."""
        return kind_of(self.config)


FIRST = "mnist"
"""Name of the package's model that a visitor meets first."""


class Catalogue:
    """The models on offer: one given by name, those of the package, those of a folder of runs.

    Args:
        model: a run folder, an exported folder, one of `shipped_models`, or owner/name on the Hub.
        runs: folder of run folders.
    """

    def __init__(self, model: str | None, runs: Path) -> None:
        self.model, self.runs = model, runs
        if model is not None:
            self._given = _given(model)

    def choices(self) -> dict[str, Choice]:
        """All models on offer by name, the given one first; what cannot be read is left out."""
        found: list[Choice | None] = [self._given] if self.model is not None else []
        ours = sorted(shipped_models().items(), key=lambda named: named[0] != FIRST)
        found += [_exported(name, folder) for name, folder in ours]
        found += [_of_run(name, folder) for name, folder in run_folders(self.runs).items()]
        named: dict[str, Choice] = {}
        for choice in found:
            if choice is not None:
                named.setdefault(choice.name, choice)
        return named

    def names(self, *, draws: bool) -> list[str]:
        """Names of the models that draw, or of those that classify."""
        return [name for name, choice in self.choices().items() if choice.kind.draws == draws]

    def __getitem__(self, name: str | None) -> Choice:
        """Look up a model by the name that `choices` gave it.

        Raises:
            DrawError: if there is no such model, or no longer.
        """
        choices = self.choices()
        if name is None or name not in choices:
            raise DrawError(
                f"expected one of the models {', '.join(choices)}, got {name!r}; it may have been "
                "deleted: load the page again for the models there are"
                if choices
                else NOTHING
            )
        return choices[name]


def _given(name: str) -> Choice:
    folder = Path(name)
    choice = _of_run(name, folder) if (folder / RUN_FILE).exists() else None
    if choice is None and folder.is_dir():
        choice = _exported(name, folder)
    if choice is None and name in shipped_models():
        choice = _exported(name, shipped_models()[name])
    if choice is None:
        loaded = load_model(name)  # on the Hub, or an error that says what was expected
        choice = Choice(name, name, loaded.model.config, None)
    return choice


def _exported(name: str, folder: Path) -> Choice | None:
    try:
        config, _, _ = exported_config(folder)
        return _usable(Choice(name, str(folder), config, folder / "model.safetensors"))
    except (DrawError, ValueError, TypeError, OSError):
        return None


def _of_run(name: str, folder: Path) -> Choice | None:
    best = folder / "best" / "model.safetensors"
    try:
        found = [best] if best.exists() else checkpoints(folder)
        if not found:
            return None
        weights = inside(folder, *found[-1].relative_to(folder).parts)
        return _usable(Choice(name, str(folder), run_config(folder).model, weights))
    except (DrawError, ValueError, OSError):
        return None


def _usable(choice: Choice) -> Choice | None:
    """The choice, unless it is a network without a window, of which there is nothing to watch."""
    return choice if choice.kind.draws or choice.kind.looks else None


class Shelf:
    """The models in memory: the few used last, each for one thread at a time.

    A run in training whose weights have changed is loaded anew.

    Args:
        catalogue: models on offer.
        most: most models that stay in memory.
        given: images besides those that the models learned from.
        compute: how to run the models.

    Raises:
        DrawError: if this computer cannot run them so.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        most: int = MOST_IN_MEMORY,
        given: tuple[GivenImages, ...] = (),
        compute: ComputeConfig = PLAIN,
    ) -> None:
        self.catalogue, self.most, self.given = catalogue, most, given
        self.asked, self.compute = compute, settle(compute)
        self._held: OrderedDict[str, tuple[int, LoadedModel, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def images(self, chosen: str | None = None) -> ImageChoice:
        """Images on offer with those of a name chosen; None or OWN leaves it to the model."""
        return ImageChoice(self.given, chosen)

    @contextmanager
    def use(self, name: str | None) -> Iterator[LoadedModel]:
        """Lend a model by its name in the catalogue; others wait until it is given back.

        Raises:
            DrawError: if there is no such model, or it cannot be loaded.
        """
        choice = self.catalogue[name]
        stamp = _stamp(choice.weights)
        with self._lock:
            held = self._held.get(choice.name)
            if held is None or held[0] != stamp:
                loaded = _load(choice)
                self.compute.place(loaded.model)
                held = stamp, loaded, threading.Lock()
                self._held[choice.name] = held
            self._held.move_to_end(choice.name)
            while len(self._held) > self.most:
                self._held.popitem(last=False)
        with held[2], self.compute.running():
            yield held[1]


def _stamp(weights: Path | None) -> int:
    try:
        return 0 if weights is None else weights.stat().st_mtime_ns
    except OSError:
        return 0


def _load(choice: Choice) -> LoadedModel:
    try:
        loaded = load_model(choice.source)
    except (OSError, RuntimeError, json.JSONDecodeError) as error:
        raise DrawError(f"{choice.name} cannot be loaded: {error}") from error
    loaded.model.requires_grad_(False)
    return loaded


def describe(loaded: LoadedModel) -> str:
    """Describe a model in a line."""
    config = loaded.model.config
    colour = "colour" if config.channels == 3 else "grey"
    size = f"{config.rows}×{config.columns} pixels, {colour}"
    parameters = sum(parameter.numel() for parameter in loaded.model.parameters())
    weight = f"{parameters / 1e6:.1f} million weights"
    data = f", learned from {loaded.data.name}" if loaded.data is not None else ""
    task = task_of(config, loaded.data)
    steps = f", {task.steps}" if task.steps else ""
    told = f"; told {task.condition}" if task.condition else ""
    which = f"; {loaded.weights}" if loaded.weights else ""
    return f"{size}{steps}{data}; {weight}{told}{which}"
