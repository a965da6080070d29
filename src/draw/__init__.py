"""DRAW (Gregor et al. 2015): a recurrent network that draws an image step by step."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from draw.attention import GaussianAttention, NoAttention, Window
    from draw.classifier import Classified, Classifier
    from draw.config import (
        ClassifierConfig,
        Config,
        ConvnetConfig,
        DataConfig,
        DRAWConfig,
        TrainConfig,
    )
    from draw.convnet import Convnet
    from draw.model import DRAW
    from draw.outputs import DRAWOutput, Trajectory
    from draw.presets import PRESETS

_MODULE_OF = {
    "DRAW": "model", "DRAWOutput": "outputs", "Trajectory": "outputs",
    "Classifier": "classifier", "Classified": "classifier", "ClassifierConfig": "config",
    "Convnet": "convnet", "ConvnetConfig": "config",
    "DRAWConfig": "config", "Config": "config", "DataConfig": "config", "TrainConfig": "config",
    "GaussianAttention": "attention", "NoAttention": "attention", "Window": "attention",
    "PRESETS": "presets",
}  # fmt: skip

__all__ = [
    "DRAW",
    "PRESETS",
    "Classified",
    "Classifier",
    "ClassifierConfig",
    "Config",
    "Convnet",
    "ConvnetConfig",
    "DRAWConfig",
    "DRAWOutput",
    "DataConfig",
    "GaussianAttention",
    "NoAttention",
    "TrainConfig",
    "Trajectory",
    "Window",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `draw --help` does not wait for PyTorch."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'draw' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"draw.{_MODULE_OF[name]}"), name)
