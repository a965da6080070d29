"""What a run can learn: to draw images, or to name their classes."""

from draw.config.data import DataConfig
from draw.config.model import DRAWConfig, ModelConfig
from draw.config.run import Config
from draw.tasks.classifying import Classifying
from draw.tasks.drawing import Drawing
from draw.tasks.task import Batch, Measuring, Result, Task

__all__ = ["Batch", "Classifying", "Drawing", "Measuring", "Result", "Task", "task_for", "task_of"]


def task_for(config: Config) -> Task:
    """The task of a run, which is that of its model."""
    if isinstance(config.model, DRAWConfig):
        return Drawing(config, config.model)
    return Classifying(config, config.model)


def task_of(model: ModelConfig, data: DataConfig | None) -> Task:
    """The task of a model on images, whether it is one of a run or not.

    Args:
        model: the model's config.
        data: how the images are treated; None leaves them as they are.
    """
    return task_for(Config("no preset", model, data or DataConfig()))
