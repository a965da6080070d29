"""The tasks that a run can learn: drawing images, and naming their classes."""

from draw.tasks.classification import Classifying, Looking
from draw.tasks.drawing import Drawing
from draw.tasks.task import (
    Batch,
    Curve,
    Maker,
    Measuring,
    Needs,
    Profile,
    Result,
    Task,
    TaskClass,
)

__all__ = [
    "Batch",
    "Classifying",
    "Curve",
    "Drawing",
    "Looking",
    "Maker",
    "Measuring",
    "Needs",
    "Profile",
    "Result",
    "Task",
    "TaskClass",
]
