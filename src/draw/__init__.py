"""DRAW (Gregor et al. 2015): a recurrent network that draws an image step by step."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from draw.attention.gaussian import GaussianAttention
    from draw.attention.whole import NoAttention
    from draw.attention.window import Window
    from draw.config.compute import ComputeConfig
    from draw.config.data import DataConfig
    from draw.config.model import ClassifierConfig, ConvDRAWConfig, ConvnetConfig, DRAWConfig
    from draw.config.presets import PRESETS
    from draw.config.run import Config
    from draw.config.train import TrainConfig
    from draw.model.classifier import Classifier, ClassifierOutput
    from draw.model.completion import Completion
    from draw.model.conv_draw import ConvDRAW
    from draw.model.convnet import Convnet
    from draw.model.draw import DRAW
    from draw.model.encoding import Latents
    from draw.models.loader import load
    from draw.models.run_folder import Run
    from draw.parts.state import DRAWOutput, Posterior, Trajectory
    from draw.training.evaluation import evaluate
    from draw.training.experiment import train

_MODULE_OF = {
    "DRAW": "model.draw",
    "DRAWOutput": "parts.state",
    "Trajectory": "parts.state",
    "Classifier": "model.classifier",
    "ClassifierOutput": "model.classifier",
    "ClassifierConfig": "config.model",
    "Convnet": "model.convnet",
    "ConvnetConfig": "config.model",
    "DRAWConfig": "config.model",
    "ConvDRAW": "model.conv_draw",
    "ConvDRAWConfig": "config.model",
    "Config": "config.run",
    "ComputeConfig": "config.compute",
    "DataConfig": "config.data",
    "TrainConfig": "config.train",
    "GaussianAttention": "attention.gaussian",
    "NoAttention": "attention.whole",
    "Window": "attention.window",
    "PRESETS": "config.presets",
    "Completion": "model.completion",
    "Latents": "model.encoding",
    "Posterior": "parts.state",
    "Run": "models.run_folder",
    "evaluate": "training.evaluation",
    "load": "models.loader",
    "train": "training.experiment",
}

__all__ = [
    "DRAW",
    "PRESETS",
    "Classifier",
    "ClassifierConfig",
    "ClassifierOutput",
    "Completion",
    "ComputeConfig",
    "Config",
    "ConvDRAW",
    "ConvDRAWConfig",
    "Convnet",
    "ConvnetConfig",
    "DRAWConfig",
    "DRAWOutput",
    "DataConfig",
    "GaussianAttention",
    "Latents",
    "NoAttention",
    "Posterior",
    "Run",
    "TrainConfig",
    "Trajectory",
    "Window",
    "__version__",
    "evaluate",
    "load",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, so that `draw --help` does not wait for PyTorch."""
    if name == "__version__":
        return _version()
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'draw' has no attribute {name!r}")
    from importlib import import_module

    from draw.extras import explain_missing

    with explain_missing():
        return getattr(import_module(f"draw.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, those too that nothing has asked for yet."""
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The version of the installed package; in a source tree that is not installed, the tree's."""
    import tomllib
    from importlib.metadata import PackageNotFoundError, version
    from pathlib import Path

    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.is_file():  # the tree's own, whatever else is installed beside it
        values = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
        if values.get("name") == "draw":
            return str(values["version"])
    try:
        return version("draw")
    except PackageNotFoundError:
        return "unknown"
