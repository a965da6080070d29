"""The choice of a run's best weights, by their score on validation images."""

import math

from torch import nn

from draw.config.run import Config
from draw.data import ImageSet
from draw.models.storage import export_model
from draw.progress import Bar
from draw.tasks import Task
from draw.training.journal import Journal


class Selection:
    """The best weights of a run so far, which lie in its folder.

    Args:
        config: config of the run.
        task: says what is learned, and has the score, of which less is better.
        images: validation images.
        journal: journal of the run, in which each evaluation is written down.
    """

    def __init__(self, config: Config, task: Task, images: ImageSet, journal: Journal) -> None:
        self.config, self.task, self.images, self.journal = config, task, images, journal
        self.best: float | None = None
        """The best score."""
        self.stale = 0
        """Evaluations since the best."""

    def evaluate(self, model: nn.Module, step: int, bar: Bar) -> None:
        """Measure weights, write it down, and keep them if none before were better.

        Args:
            model: model with the weights after some steps.
            step: number of these steps.
            bar: bar of the training.
        """
        limit = self.config.train.evaluate_images or self.images.count
        accelerator, run = self.journal.accelerator, self.journal.run
        with accelerator.autocast():
            result = self.task.evaluate(
                model,
                self.images.some(limit),
                accelerator,
                lambda done, text: bar(step, f"validation: {text}"),
            )
        values = result.to_dict()
        self.journal.write("validation", step, values)
        score = values[self.task.score]
        best = math.isfinite(score) and (self.best is None or score < self.best)
        self.stale = 0 if best else self.stale + 1
        self.best = score if best else self.best
        mark = ", the best so far" if best else ""
        bar.note(f"step {step} validation {self.task.describe(values)}{mark}")
        if not accelerator.is_main_process or not math.isfinite(score):
            return
        if best:
            state = {"step": step, f"validation_{self.task.score}": score}
            of_steps = {name: values.get(name) for name in self.task.profile.beside}
            state |= {f"validation_{name}": one for name, one in of_steps.items() if one}
            export_model(run / "best", model, self.config.data, state)
        self.task.glance(model, self.images, run, step)
