"""The models that a run can train, by their configs."""

from draw.classifier import Classifier
from draw.config import ClassifierConfig, ConvnetConfig, DRAWConfig, ModelConfig
from draw.convnet import Convnet
from draw.model import DRAW

Model = DRAW | Classifier | Convnet


def make_model(config: ModelConfig) -> Model:
    """A model with its starting weights."""
    match config:
        case DRAWConfig():
            return DRAW(config)
        case ClassifierConfig():
            return Classifier(config)
        case ConvnetConfig():
            return Convnet(config)
