"""The inputs of a training step: what the host hands over, and what the device makes of it.

The host's part is a function of the seed and the step: it can be made ahead
(`draw.training.prefetch`), a resumed run meets it again, and each of several processes takes its
own share of it. Random numbers come from one of two streams: NumPy's, made on the host, or Philox
(`draw.philox`, `draw.kernels.gpu.noise`), made on the device.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from draw.config.train import TrainConfig
from draw.data import ImageSet
from draw.data.batches import batch_indices, binarize
from draw.data.views.view import labels_at
from draw.kernels.gpu import noise as device_noise
from draw.parts.conditions.known import random_masks
from draw.parts.state import NO_LABEL
from draw.randomness import (
    BINARIZE_TRAINING,
    DROPOUT_TRAINING,
    LABELS_TRAINING,
    MASKS_TRAINING,
    TRAINING,
    VIEW_TRAINING,
    Stream,
    generator,
)
from draw.tasks import Batch, Needs


class Feed(NamedTuple):
    """One process's part of the inputs of one step, as far as the host has it."""

    images: UInt8[Tensor, "batch channels rows columns"] | None
    """Images of 8 bits; None where the device has them all."""
    indices: Int[Tensor, " batch"] | None
    """Numbers of the images, where the device has them all."""
    labels: Int[Tensor, " batch"] | None
    """Class of each image, `NO_LABEL` where it is left out; None where the task needs none."""
    uniform: Float[Tensor, "batch channels rows columns"] | None
    """NumPy's random numbers in [0, 1) to binarize by."""
    noise: Float[Tensor, "glimpses batch latent"] | None
    """NumPy's standard normal noise."""
    unit_mask: Float[Tensor, "batch units"] | None
    """Factors of variational dropout, as in `Batch`, from NumPy's numbers in any case."""
    known: Bool[Tensor, "batch rows columns"] | None
    """True where a pixel is known, as in `Batch`, from NumPy's numbers in any case."""


def feed_at(
    step: int,
    training: ImageSet,
    needs: Needs,
    config: TrainConfig,
    own: slice,
    stream: Stream = "numpy",
    *,
    resident: bool = False,
    pinned: bool = False,
) -> Feed:
    """Make the feed of one step, a function of the arguments alone.

    Images and NumPy's numbers are drawn for the whole batch by every process, since one generator
    makes them all.

    Args:
        step: number of the step, from 0.
        training: images to learn from.
        needs: inputs that the task needs.
        config: config of the run, with the seed and the size of the batch.
        own: slice of the batch that this process computes.
        stream: stream that the noise comes from.
        resident: whether the device has all images.
        pinned: whether the feed goes into memory that a GPU can fetch by itself.
    """
    size, seed = config.batch_size, config.seed
    numbers = batch_indices(seed, step, size, training.count)
    images = indices = uniform = noise = None
    if resident:
        indices, labels = numbers[own], labels_at(training.labels, numbers)
    else:
        seen, labels = training.batch(numbers, generator(seed, VIEW_TRAINING, step))
        images = seen[own]
    labels = None if labels is None or not needs.labels else labels[own]
    if needs.label_dropout and labels is not None:
        dropped = generator(seed, LABELS_TRAINING, step).random(size)[own] < needs.label_dropout
        labels = np.where(dropped, np.asarray(NO_LABEL, labels.dtype), labels)
    if needs.binarize and stream == "numpy":
        shape = size, *training.image_shape
        uniform = generator(seed, BINARIZE_TRAINING, step).random(shape, np.float32)[own]
    if needs.noise is not None and stream == "numpy":
        glimpses, latent = needs.noise
        random = generator(seed, TRAINING, step)
        noise = random.standard_normal((glimpses, size, latent), np.float32)[:, own]
    unit_mask = None
    if needs.dropout is not None:
        units, fraction = needs.dropout
        random = generator(seed, DROPOUT_TRAINING, step)
        stays = random.random((size, units), np.float32)[own] >= fraction
        unit_mask = stays.astype(np.float32) / np.float32(1 - fraction)
    known = None
    if needs.masks:
        masks = generator(seed, MASKS_TRAINING, step)
        known = random_masks(masks, size, *training.image_shape[1:])[own]
    parts = (
        None if part is None else torch.from_numpy(part)
        for part in (images, indices, labels, uniform, noise, unit_mask, known)
    )
    return Feed(*(part.pin_memory() if pinned and part is not None else part for part in parts))


@dataclass(frozen=True)
class Batcher:
    """Makes a batch of a feed, on the device and without making the host wait for it.

    Args:
        needs: inputs that the task needs.
        seed: seed of the run.
        own: this process's share of the batch.
        resident: all stored images, where the device has them.
    """

    needs: Needs
    seed: int
    own: slice
    resident: UInt8[Tensor, "n channels rows columns"] | None = None

    def __call__(self, feed: Feed, step: Int[Tensor, ""]) -> Batch:
        """Pixels in [0, 1], or drawn as 0 or 1; noise; labels.

        Args:
            feed: on the device.
            step: number of the step, on the device.
        """
        stored = feed.images
        if self.resident is not None:
            assert feed.indices is not None  # `feed_at` has put them there
            stored = self.resident.index_select(0, feed.indices)
        assert stored is not None
        images, rows = stored.float() / 255, range(self.own.start, self.own.stop)
        if self.needs.binarize:
            uniform = feed.uniform
            if uniform is None:
                count = images[0].numel()
                drawn = device_noise.uniform(self.seed, BINARIZE_TRAINING, step, rows, count)
                uniform = drawn.view_as(images)
            images = binarize(images, uniform)
        noise = feed.noise
        if noise is None and self.needs.noise is not None:
            glimpses, latent = self.needs.noise
            drawn = device_noise.normal(self.seed, TRAINING, step, rows, glimpses * latent)
            noise = drawn.view(-1, glimpses, latent).transpose(0, 1).contiguous()
        return Batch(images, noise, feed.labels, feed.unit_mask, feed.known)


def resident_on(
    device: torch.device, training: ImageSet
) -> UInt8[Tensor, "n channels rows columns"] | None:
    """All training images on a device; None for a CPU, which has them, and where they do not go.

    Images that a view or augmentation makes anew for every batch are made on the host; others stay
    there too if they would take more than a quarter of the device's free memory.

    Args:
        device: where the model is.
        training: images to learn from.
    """
    made_anew = training.view is not None or bool(training.augment)
    if device.type == "cpu" or made_anew or training.images.nbytes > _free(device) / 4:
        return None
    return torch.tensor(np.asarray(training.images), device=device)


def _free(device: torch.device) -> int:
    """Bytes of a device's memory that nothing takes."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return 0
