"""The training images nearest to samples."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from draw.data import ImageSet
from draw.visualize import (
    nearest_images,
)


class Nearest(NamedTuple):
    """The training image nearest to each sample in L2, of those that were looked at."""

    images: UInt8[Tensor, "samples channels rows columns"]
    numbers: Int64[Tensor, " samples"]
    """Of the stored images: where a view makes the images, what each started from."""
    distances: Float[Tensor, " samples"]
    """In units of the [0, 1] intensities."""
    looked_at: int
    """So many training images."""


def nearest_so_far(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> Iterator[Nearest]:
    """The nearest training images among more and more of them, at last among all.

    Images are compared as evaluation sees them, some at a time.
    """
    points = samples.double()
    found = torch.zeros(samples.shape, dtype=torch.uint8)
    numbers = torch.zeros(len(samples), dtype=torch.int64)
    distances = torch.full((len(samples),), torch.inf, dtype=points.dtype)
    before = 0
    for block, _ in training.blocks():
        images = torch.from_numpy(block)
        indices, apart = nearest_images(points, images)
        nearer = apart < distances
        found[nearer], distances[nearer] = images[indices[nearer]], apart[nearer]
        numbers[nearer] = indices[nearer] + before
        before += len(images)
        yield Nearest(found, numbers, distances.to(samples.dtype), before)


def nearest_in_training(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> tuple[
    UInt8[Tensor, "samples channels rows columns"],
    Int64[Tensor, " samples"],
    Float[Tensor, " samples"],
]:
    """The training image nearest to each sample in L2, its number, and its distance."""
    *_, last = nearest_so_far(samples, training)
    return last.images, last.numbers, last.distances
