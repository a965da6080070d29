"""Loading models from run folders, exported folders, the package or the Hub, without pickle."""

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from torch import nn

from draw import hub
from draw.config.data import DataConfig
from draw.config.model import ModelConfig, to_file
from draw.config.run import Config, Weights
from draw.errors import DrawError, did_you_mean
from draw.fields import check
from draw.files import address_advice, paths_beside
from draw.json_files import read_json_object, write_json
from draw.model.checks import check_weights
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.model.pretrained import (
    NAMES,
    Model,
    data_config,
    fields_beside,
    model_in,
    names_of_classes,
    shipped_models,
)
from draw.model.roundtrip import CLASS, check_class
from draw.models.kinds import (
    KINDS,
    Kind,
    check_loadable,
    kind_of,
    model_config,
    model_with,
    run_config,
)
from draw.runs.checkpoint import (
    BEST_FILE,
    best_weights,
    checkpoints,
    load_checkpoint,
    load_tensors,
    save_tensors,
    without_prefix,
)
from draw.runs.fingerprints import classes_of, fingerprints_of
from draw.runs.paths import RUN_FILE

if TYPE_CHECKING:
    from draw.data import ImageSet


def export_model(folder: Path, model: nn.Module, data: DataConfig, state: dict[str, Any]) -> None:
    """Write a model so that `from_pretrained` of its class reads it, with the config of its data.

    Where that data is on this computer is left out.

    Args:
        folder: folder for config.json and model.safetensors.
        model: a model of a kind in `draw.models.kinds.KINDS`.
        data: config of the images that the model was trained on.
        state: counters and figures to store with the weights.

    Raises:
        DrawError: if the weights are not finite, the model would come back as another one, or a
            file cannot be written.
    """
    from draw.data.load import without_places  # only now: it brings Pillow

    check_loadable(model)
    config = cast(Model, model).config
    check_weights(model.state_dict().items(), f"the model to be written to {folder}")
    trained = fields_beside(model) | {"data": asdict(without_places(data))}
    write_json(folder / "config.json", to_file(config) | trained)
    save_tensors(folder / "model.safetensors", model.state_dict(), state)


@dataclass(frozen=True)
class LoadedModel:
    """A model, and what is known about where it came from."""

    model: Model
    source: str
    """The file or repository of the weights."""
    data: DataConfig | None
    """Config of the images that the model was trained on, if it was written down."""
    config: Config | None
    """Config of the whole run, for a run folder."""
    state: dict[str, Any]
    """Counters and figures stored with the weights, such as step and validation bound."""

    @property
    def kind(self) -> Kind:
        """The kind of the model."""
        return kind_of(self.model.config)

    @property
    def which(self) -> Weights | None:
        """Choice among the weights of a run that these are; None for a model that is no run."""
        if self.config is None:
            return None
        return "best" if Path(self.source).parts[-2:] == BEST_FILE.parts else "last"

    @property
    def weights(self) -> str:
        """Words for which weights of a run these are; empty for a model that is no run."""
        step = self.state.get("step")
        of_step = "" if step is None else f" of step {step:,}"
        return "" if self.which is None else f"weights{of_step}, the {self.which}"

    def change_of(self, images: "ImageSet") -> str | None:
        """Say that images where its own lay are not those it was trained with; None if they are.

        Args:
            images: images of a split, found by the config of the model's own.
        """
        return images.change_since(self.model.fingerprints, self.source)

    @property
    def drawing(self) -> DRAW:
        """The model, which must be one that draws."""
        if not self.kind.draws:
            looks = "where it looks with draw glimpses, and " if self.kind.looks else ""
            raise DrawError(
                f"expected a model that draws, got {self.source}, a {type(self.model).__name__}; "
                f"see {looks}how well it does with draw evaluate"
            )
        return cast(DRAW, self.model)

    @property
    def classifier(self) -> Classifier:
        """The model, which must be one that classifies through a window."""
        if not self.kind.looks:
            raise DrawError(
                f"expected a classifier with a window (draw train cluttered), got {self.source}, "
                f"a {type(self.model).__name__}"
            )
        return cast(Classifier, self.model)


def load_model(name: str, weights: Weights = "best") -> LoadedModel:
    """Load a model from a run folder, an exported folder, the package or the Hub, to be evaluated.

    Args:
        name: folder, one of `draw.model.pretrained.shipped_models`, or `owner/name` on the Hub.
        weights: choice among the weights of a run folder: "best" (lowest validation bound or error;
            the latest as long as there was no evaluation) or "last"; both are averaged weights.

    Raises:
        DrawError: if there is no such model, it is damaged, or its weights are not finite; or the
            last weights are asked for of a model that is no run.
    """
    check("weights", Weights, weights)
    folder = Path(name)
    if is_run(name):
        config = run_config(folder)
        best = best_weights(folder) if weights == "best" else None
        if best is not None:
            (tensors, state), source = best, folder / BEST_FILE
        else:
            tensors, state = load_checkpoint(folder)
            tensors, source = without_prefix("average", tensors), checkpoints(folder)[-1]
        with model_in(source):
            model = model_with(config.model, tensors)
        check_weights(tensors.items(), str(source))
        model.eval().data, model.fingerprints = config.data, fingerprints_of(folder)
        model.class_names = classes_of(folder)
        return LoadedModel(model, str(source), config.data, config, state)
    exported = exported_folder(name)
    if weights != "best":
        raise DrawError(
            f"expected a run folder for --weights {weights} (weights={weights!r} in Python), got "
            f"{name}, which is no run and has one set of weights; leave it out"
        )
    loaded = _load_exported(exported)
    loaded.model.eval()
    return loaded if folder.is_dir() else dataclasses.replace(loaded, source=name)


def is_run(name: str) -> bool:
    """Whether a model is named by a run folder, which has several sets of weights."""
    return (Path(name) / RUN_FILE).exists()


def weights_of_each(names: Sequence[str], weights: Weights) -> list[Weights]:
    """The choice among weights for each of several models, of which runs alone have several.

    Args:
        names: names of the models, as in `load_model`.
        weights: choice for those that are runs; for all if none is, so that it is refused.
    """
    runs = [is_run(name) for name in names]
    return [weights if run or not any(runs) else "best" for run in runs]


def exported_folder(
    name: str, patterns: Sequence[str] = ("config.json", "model.safetensors")
) -> Path:
    """Find the folder of a model that is no run: itself, the package's, or the Hub's copy.

    Args:
        name: folder, one of `draw.model.pretrained.shipped_models`, or `owner/name` on the Hub.
        patterns: patterns of the names of the files that are fetched from the Hub.

    Raises:
        DrawError: if there is no such folder.
    """
    if Path(name).is_dir():
        return Path(name)
    if name in shipped_models():
        return shipped_models()[name]
    choices = (
        "pass a run folder (runs/NAME), an exported folder, a name that draw models lists, or "
        "owner/name on the Hub"
    )
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or name.split("/")[0] in (".", "..", "runs"):
        advice = address_advice(name)
        if advice is not None:
            raise DrawError(f"expected a model, got the address {name}; {advice}")
        near = did_you_mean(name, [*shipped_models(), *paths_beside(Path(name), folders=True)])
        raise DrawError(f"there is no folder {name}{near}; {choices}")
    return hub.fetch(name, "model", patterns, choices.capitalize())


def exported_config(folder: Path) -> tuple[ModelConfig, DataConfig | None, dict[int, str]]:
    """Read from the config.json of a folder the configs of its model and of its training images.

    The names of its classes come with them, as far as it has them.

    Args:
        folder: folder of the model.

    Raises:
        DrawError: if there is no config.json, or it holds what cannot be.
    """
    path = folder / "config.json"
    values = read_json_object(path)
    data, named = values.pop("data", None), values.pop(CLASS, None)
    names = names_of_classes(values)
    values.pop(NAMES, None)
    if named not in [kind.model.__qualname__ for kind in KINDS.values()]:
        check_class(named, "model of draw", folder)
    config = model_config(values)
    check_class(named, kind_of(config).model.__qualname__, folder)
    return config, data_config(data, path), names


def _load_exported(folder: Path) -> LoadedModel:
    with model_in(folder):
        config, data, names = exported_config(folder)
        tensors, state = load_tensors(folder / "model.safetensors", checksum_required=False)
        model = model_with(config, tensors)
    check_weights(tensors.items(), str(folder / "model.safetensors"))
    model.data, model.class_names = data, names
    return LoadedModel(model, str(folder / "model.safetensors"), data, None, state)
