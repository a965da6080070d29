"""The kinds of models. To add one, write its three classes and a line in `KINDS`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from torch import Tensor, nn

from draw.config.data import DataConfig
from draw.config.model import (
    ClassifierConfig,
    ConvDRAWConfig,
    ConvnetConfig,
    DRAWConfig,
    ModelConfig,
    read_model_config,
)
from draw.config.run import Config
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.conv_draw import ConvDRAW
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.model.memory import check_batch, check_drawings, weightless
from draw.model.pretrained import Model
from draw.model.roundtrip import check_roundtrip
from draw.runs.paths import read_run_file
from draw.tasks import Classifying, Drawing, Looking, Task, TaskClass


@dataclass(frozen=True)
class Kind:
    """A kind of model: its config, its network and its task."""

    config: type[ModelConfig]
    """Config class; its `kind` is the name of the kind in `KINDS`."""
    model: type[Model]
    """Model class, made from a config; where the task draws a `DRAW`, where it looks a
    `Classifier`."""
    task: TaskClass
    """Task class, which trains, measures and shows the model, and has the words for it."""

    def __post_init__(self) -> None:
        task = getattr(self.task, "__name__", repr(self.task))
        for asked, base in ((self.draws, DRAW), (self.looks, Classifier)):
            if asked and not issubclass(self.model, base):
                raise DrawError(
                    f"expected the model of a kind with the task {task} to be a "
                    f"{base.__name__} or to extend it, since measurements, pictures, ONNX and the "
                    f"studio call its methods; got {self.model.__name__}. Extend {base.__name__}, "
                    "or give the kind a task of its own"
                )

    @property
    def draws(self) -> bool:
        """Whether the models of this kind draw; otherwise they answer with a class."""
        return self.task.draws

    @property
    def looks(self) -> bool:
        """Whether the models answer after looking through a window, glimpse by glimpse."""
        return self.task.looks


KINDS: dict[str, Kind] = {
    "draw": Kind(DRAWConfig, DRAW, Drawing),
    "classifier": Kind(ClassifierConfig, Classifier, Looking),
    "convnet": Kind(ConvnetConfig, Convnet, Classifying),
    "conv": Kind(ConvDRAWConfig, ConvDRAW, Drawing),
}
"""The kinds of models by their names in config.json and run.json. A config of a class that is not
here, though it be a subclass of one, makes no model."""


def kind_of(config: ModelConfig) -> Kind:
    """Look up the kind of model that a config makes.

    Args:
        config: config of a model.

    Raises:
        DrawError: if `KINDS` does not have the config's class.
    """
    kind = KINDS.get(config.kind)
    if kind is None or kind.config is not type(config):
        raise DrawError(
            f"expected a config of {', '.join(kind.config.__name__ for kind in KINDS.values())}, "
            f"got {type(config).__name__}; name the model that it makes in "
            "draw.models.kinds.KINDS, by the name that its kind says"
        )
    return kind


def configs() -> dict[str, type[ModelConfig]]:
    """Config classes of all kinds, by name."""
    return {name: kind.config for name, kind in KINDS.items()}


def model_config(values: object) -> ModelConfig:
    """Restore a model's config from plain values; see `draw.config.model.read_model_config`."""
    return read_model_config(values, configs())


def run_config(run: Path) -> Config:
    """Read the config of a run folder; see `draw.runs.paths.read_run_file`."""
    return read_run_file(run, configs())


def task_for(config: Config) -> Task:
    """Make the task of a run, which is that of its model's kind.

    Args:
        config: config of the run.

    Raises:
        DrawError: if `KINDS` does not have the class of the model's config.
    """
    model = config.model
    return kind_of(model).task(config, model, lambda: make_model(model))


def task_of(model: ModelConfig, data: DataConfig | None) -> Task:
    """Make the task of a model on images, whether it is one of a run or not.

    Args:
        model: config of the model.
        data: config of the images, which says how they are treated; None leaves them as they are.
    """
    return task_for(Config("no preset", model, data or DataConfig()))


def make_model(config: ModelConfig) -> Model:
    """Make a model of a config's kind, with its starting weights.

    Args:
        config: config of the model.

    Raises:
        DrawError: if `KINDS` does not have the config's class.
        TooLargeError: if the model, or one image that it looks at or draws, cannot fit into memory.
    """
    _weightless(config)
    return _make(config)


def model_with(config: ModelConfig, weights: Mapping[str, Tensor]) -> Model:
    """Make a model with given weights, whose names and shapes are compared before it is made.

    Args:
        config: config of the model.
        weights: tensors by name.

    Raises:
        TooLargeError: if the model, or one image that it looks at or draws, cannot fit into memory.
        DrawError: if the weights are not those of such a model.
    """
    expected = {name: list(one.shape) for name, one in _weightless(config).state_dict().items()}
    got = {name: list(one.shape) for name, one in weights.items()}
    differing = [
        f"{name} of {expected.get(name, 'none')}, got {got.get(name, 'none')}"
        for name in sorted(expected.keys() | got.keys())
        if expected.get(name) != got.get(name)
    ]
    if differing:
        more = f", and {len(differing) - 3} more" if differing[3:] else ""
        raise DrawError(f"expected weights {'; '.join(differing[:3])}{more}")
    model = _make(config)
    model.load_state_dict(weights)
    return model


def check_loadable(model: nn.Module) -> None:
    """Refuse a model that its config would not make again.

    Args:
        model: a model that is about to be saved.

    Raises:
        DrawError: if the model would come back as another one, with what to do.
    """
    config = getattr(model, "config", None)
    kind = KINDS.get(config.kind) if isinstance(config, ModelConfig) else None
    if kind is None or (kind.config, kind.model) != (type(config), type(model)):
        name = type(model).__qualname__
        raise DrawError(
            f"expected a model of one of draw's own classes, which its config makes again, got a "
            f"{name}; save it with its own save_pretrained and load it with {name}.from_pretrained"
            ", or name it in draw.models.kinds.KINDS"
        )
    check_roundtrip(model)


def _weightless(config: ModelConfig) -> nn.Module:
    model = weightless(lambda: _make(config))
    check_batch(config, 1)
    if kind_of(config).draws:
        check_drawings(cast(DRAWConfig, config), 1)
    return model


def _make(config: ModelConfig) -> Model:
    return kind_of(config).model(config)
