"""The models that a run can train, by their configs."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from draw.config.model import ClassifierConfig, ConvnetConfig, DRAWConfig, ModelConfig
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.model.memory import check_batch, check_drawings, weightless

Model = DRAW | Classifier | Convnet

MODELS: dict[type, Callable[[Any], Model]] = {
    DRAWConfig: DRAW,
    ClassifierConfig: Classifier,
    ConvnetConfig: Convnet,
}
"""Which class a config makes; one that is not here, though it be a subclass, makes none."""


def make_model(config: ModelConfig) -> Model:
    """A model of the config's own class, with its starting weights.

    Raises:
        DrawError: if `MODELS` does not have the config's class.
        TooLargeError: if it, or one image that it looks at or draws, cannot fit into memory.
    """
    _weightless(config)
    return _make(config)


def model_with(config: ModelConfig, weights: Mapping[str, Tensor]) -> Model:
    """A model with given weights, whose names and shapes are compared before one is made.

    Raises:
        TooLargeError: as in `make_model`.
        DrawError: if they are not the weights of such a model.
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


def _weightless(config: ModelConfig) -> nn.Module:
    model = weightless(lambda: _make(config))
    check_batch(config, 1)
    if isinstance(config, DRAWConfig):
        check_drawings(config, 1)
    return model


def _make(config: ModelConfig) -> Model:
    make = MODELS.get(type(config))
    if make is None:
        raise DrawError(
            f"expected a config of {', '.join(kind.__name__ for kind in MODELS)}, got "
            f"{type(config).__name__}; name the model that it makes in draw.models.kinds.MODELS"
        )
    return make(config)
