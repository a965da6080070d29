"""The feed of a training step: images, labels and NumPy's random numbers from the host.

It is a function of the seed and the step: it can be made ahead (`draw.training.prefetch`), a
resumed run meets it again, and each of several processes takes its own part of it.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from draw.config.train import TrainConfig
from draw.data import ImageSet
from draw.data.batches import batch_indices, binarize
from draw.parts.state import NO_LABEL
from draw.randomness import (
    BINARIZE_TRAINING,
    LABELS_TRAINING,
    TRAINING,
    VIEW_TRAINING,
    generator,
)
from draw.tasks import Batch, Needs


class Feed(NamedTuple):
    """One process's part of the inputs of one step, on the host."""

    images: UInt8[Tensor, "batch channels rows columns"]
    """Images of 8 bits."""
    labels: Int[Tensor, " batch"] | None
    """Class of each image, `NO_LABEL` where it is left out; None where the task needs none."""
    uniform: Float[Tensor, "batch channels rows columns"] | None
    """Random numbers in [0, 1) to binarize by; None where the task does not."""
    noise: Float[Tensor, "glimpses batch latent"] | None
    """Standard normal noise; None where the task needs none."""


def feed_at(step: int, training: ImageSet, needs: Needs, config: TrainConfig, own: slice) -> Feed:
    """Make the feed of one step, a function of the arguments alone.

    Images and random numbers are drawn for the whole batch by every process, since one generator
    makes them all.

    Args:
        step: number of the step, from 0.
        training: images to learn from.
        needs: inputs that the task needs.
        config: config of the run, with the seed and the size of the batch.
        own: slice of the batch that this process computes.
    """
    size, seed = config.batch_size, config.seed
    indices = batch_indices(seed, step, size, training.count)
    images, labels = training.batch(indices, generator(seed, VIEW_TRAINING, step))
    uniform = noise = None
    if needs.binarize:
        shape = size, *training.image_shape
        uniform = generator(seed, BINARIZE_TRAINING, step).random(shape, np.float32)[own]
    if needs.noise is not None:
        glimpses, latent = needs.noise
        random = generator(seed, TRAINING, step)
        noise = random.standard_normal((glimpses, size, latent), np.float32)[:, own]
    labels = None if labels is None or not needs.labels else labels[own]
    if needs.label_dropout and labels is not None:
        dropped = generator(seed, LABELS_TRAINING, step).random(size)[own] < needs.label_dropout
        labels = np.where(dropped, np.asarray(NO_LABEL, labels.dtype), labels)
    return Feed(
        torch.from_numpy(images[own]),
        None if labels is None else torch.from_numpy(labels),
        None if uniform is None else torch.from_numpy(uniform),
        None if noise is None else torch.from_numpy(noise),
    )


def batch_of(feed: Feed, device: torch.device) -> Batch:
    """Move a feed to a device, with pixels in [0, 1], or drawn as 0 or 1 where it says how."""
    images = feed.images.to(device).float() / 255
    if feed.uniform is not None:
        images = binarize(images, feed.uniform.to(device))
    noise, labels = (None if x is None else x.to(device) for x in (feed.noise, feed.labels))
    return Batch(images, noise, labels)
