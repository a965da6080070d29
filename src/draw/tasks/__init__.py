"""What a run can learn: to draw images, or to name their classes."""

from draw.config import Config, DRAWConfig
from draw.tasks.classifying import Classifying
from draw.tasks.drawing import Drawing
from draw.tasks.task import Result, Task

__all__ = ["Classifying", "Drawing", "Result", "Task", "task_for"]


def task_for(config: Config) -> Task:
    """The task of a run, which is that of its model."""
    if isinstance(config.model, DRAWConfig):
        return Drawing(config, config.model)
    return Classifying(config, config.model)
