"""What to do where a step of training ran out of memory: the batch that would fit."""

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from draw.model.machine import name_of
from draw.model.memory import TooLargeError, batch_that_fits, memory_of, saved_per_image
from draw.model.recurrent import Recurrent
from draw.tasks import Batch
from draw.training.feed import feed_at

if TYPE_CHECKING:
    from draw.training.trainer import Trainer


def too_large(trainer: "Trainer", error: BaseException) -> TooLargeError:
    """Make the error of a step that ran out of memory, with the batch that would fit.

    What autograd keeps of an image is counted on the CPU, in the reference loop: other backends
    keep less.

    Args:
        trainer: trainer of the run.
        error: error that said so.
    """
    processes = trainer.accelerator.num_processes
    share = trainer.config.train.batch_size // processes
    device = trainer.accelerator.device
    model: nn.Module = copy.deepcopy(trainer.bare_model).cpu()
    if isinstance(model, Recurrent):
        model.backend = "reference"
    batcher, number = trainer.update_weights.batcher, trainer.step
    feed = feed_at(number, trainer.training, batcher.needs, trainer.config.train, batcher.own)
    step = replace(batcher, resident=None)(feed, torch.tensor(number))
    per_image = saved_per_image(lambda images: trainer.task.losses(model, _first(step, images)))
    weights = sum(value.nbytes for value in model.parameters())
    fits = batch_that_fits(share, per_image, weights, memory_of(device))
    advice = (
        f"about {fits * processes} fit: pass --train.batch-size {fits * processes}"
        if fits
        else "not even one fits: choose smaller sizes, or fewer glimpses"
    )
    reason = str(error).partition("\n")[0]
    return TooLargeError(
        f"{name_of(device)} ran out of memory at step {trainer.step} with {share:,} images at a "
        f"time, of each of which {per_image / 2**20:,.1f} MiB are kept for its gradient; by that, "
        f"{advice} ({reason})"
    )


def _first(step: Batch, images: int) -> Batch:
    """The first images of a batch, as often as there are too few of them."""
    numbers = torch.arange(images) % len(step.images)

    def some(tensor: Tensor | None, dimension: int) -> Tensor | None:
        return None if tensor is None else tensor.index_select(dimension, numbers)

    chosen = some(step.images, 0)
    assert chosen is not None
    others = (some(one, 0) for one in (step.labels, step.unit_mask, step.known))
    return Batch(chosen, some(step.noise, 1), *others)
