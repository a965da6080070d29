"""The choice of a run's best weights, by their score on validation images."""

import logging
import math

import torch
from accelerate.utils import broadcast_object_list
from torch import nn

from draw.config.run import Config
from draw.data import ImageSet
from draw.files import free_path
from draw.models.storage import export_model
from draw.progress import Bar
from draw.runs.checkpoint import BEST_FILE, best_weights
from draw.tasks import Task
from draw.training.journal import Journal

logger = logging.getLogger("draw")


def images_of_evaluation(config: Config, images: ImageSet) -> int:
    """Number of validation images that each evaluation of a run measures.

    Args:
        config: config of the run.
        images: all validation images.
    """
    return min(config.train.evaluate_images or images.count, images.count)


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

    @property
    def count(self) -> int:
        """Number of images that each evaluation measures."""
        return images_of_evaluation(self.config, self.images)

    def set_back(self, step: int, before: Config) -> None:
        """Hold to the best weights in the folder where they are those of a run that goes on.

        Where they are lost, of a later step, or chosen on another number of images, the next
        evaluation chooses the best anew. All processes do as the first one finds.

        Args:
            step: step that the run goes on from.
            before: config that the weights were chosen with.
        """
        found = [(self.best, self.stale)]
        if self.journal.accelerator.is_main_process and self._counts_no_more(step, before):
            found = [(None, 0)]
        broadcast_object_list(found)
        ((self.best, self.stale),) = found

    def _counts_no_more(self, step: int, before: Config) -> bool:
        """Whether the best weights in the folder do not count for the run that goes on; says so."""
        run, kept = self.journal.run, best_weights(self.journal.run)
        if kept is None:
            return self.best is not None
        of_step, count = kept[1]["step"], images_of_evaluation(before, self.images)
        if of_step > step:
            why = f"of step {of_step}, and it goes on from step {step}"
        elif count != self.count:
            why = f"chosen on {count:,} validation images, and it goes on with {self.count:,}"
        else:
            return False
        logger.warning(f"the best weights of {run} are {why}: the best are chosen anew")
        return True

    def _make_room(self, model: nn.Module, bar: Bar) -> None:
        """Give best weights that count no more another name, unless they are the very same."""
        run, kept = self.journal.run, best_weights(self.journal.run)
        if kept is None:
            return
        tensors, state = kept
        now = {name: value.cpu() for name, value in model.state_dict().items()}
        if tensors.keys() == now.keys() and all(torch.equal(tensors[k], now[k]) for k in now):
            return
        aside = free_path(run / f"best-of-step-{state['step']:08d}")
        (run / BEST_FILE).parent.rename(aside)
        bar.note(f"the best weights until now are kept as {aside}")

    def evaluate(self, model: nn.Module, step: int, bar: Bar) -> None:
        """Measure weights, write it down, and keep them if none before were better.

        Args:
            model: model with the weights after some steps.
            step: number of these steps.
            bar: bar of the training.
        """
        accelerator, run = self.journal.accelerator, self.journal.run
        with accelerator.autocast():
            result = self.task.evaluate(
                model,
                self.images.some(self.count),
                accelerator,
                lambda done, text: bar(step, f"validation: {text}"),
            )
        values = result.to_dict()
        self.journal.write("validation", step, values)
        score = values[self.task.score]
        best = math.isfinite(score) and (self.best is None or score < self.best)
        anew, self.stale = self.best is None, 0 if best else self.stale + 1
        self.best = score if best else self.best
        mark = ", the best so far" if best else ""
        bar.note(f"step {step} validation {self.task.describe(values)}{mark}")
        if not accelerator.is_main_process or not math.isfinite(score):
            return
        if best:
            if anew:
                self._make_room(model, bar)
            state = {"step": step, f"validation_{self.task.score}": score}
            of_steps = {name: values.get(name) for name in self.task.profile.beside}
            state |= {f"validation_{name}": one for name, one in of_steps.items() if one}
            export_model(run / "best", model, self.config.data, state)
        self.task.glance(model, self.images, run, step)
