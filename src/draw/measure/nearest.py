"""Search for the training images nearest to samples."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from draw.data import ImageSet
from draw.errors import DrawError
from draw.tensors import by_shapes


class Nearest(NamedTuple):
    """The training image nearest to each sample in L2, of those that were compared."""

    images: UInt8[Tensor, "samples channels rows columns"]
    numbers: Int64[Tensor, " samples"]
    """Numbers of the stored images: where a view makes the images, what each started from."""
    distances: Float[Tensor, " samples"]
    """L2 distances in units of the [0, 1] intensities."""
    pool: int
    """Number of training images that were compared."""

    def __repr__(self) -> str:
        return by_shapes(self)


def check_comparable(training: ImageSet, shape: tuple[int, int, int]) -> None:
    """Refuse training images of another shape than that of the samples.

    Args:
        training: training images.
        shape: channels, rows, columns of the samples.

    Raises:
        DrawError: if the shapes differ, or there are no images.
    """
    if training.image_shape != shape or not training.count:
        raise DrawError(
            f"expected training images of {list(shape)} (channels, rows, columns: the samples') to "
            f"search for the nearest, got {training.count:,} of {list(training.image_shape)} from "
            f"{training.source}; name images of that shape with --data.name or --data.path"
        )


def nearest_images(
    samples: Float[Tensor, "samples channels rows columns"],
    training: UInt8[Tensor, "images ..."],
) -> tuple[Int64[Tensor, " samples"], Float[Tensor, " samples"]]:
    """Find the training image nearest to each sample in L2, and its distance.

    Exact: the differences themselves are squared, in float64, a few training images at a time; of
    images that are equally near, the first.

    Args:
        samples: images in [0, 1].
        training: 8-bit images, 0 to 255.

    Returns:
        Indices into the training images, and distances in units of the [0, 1] intensities.

    Raises:
        DrawError: if there are no training images, or they have another shape than the samples.
    """
    if samples.shape[1:] != training.shape[1:] or not len(training):
        raise DrawError(
            f"expected training images of shape {list(samples.shape[1:])} (the samples'), "
            f"got {list(training.shape)}; bring them to one shape"
        )
    points = samples.detach().flatten(1).double()
    distances = torch.full((len(points),), math.inf, dtype=torch.float64, device=points.device)
    indices = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    chunk = max(1, 2**22 // max(1, points.shape[1]))  # 32 MiB of float64
    for start in range(0, len(training), chunk):
        near = training[start : start + chunk].to(points.device).flatten(1).double() / 255
        apart = torch.cdist(points, near, compute_mode="donot_use_mm_for_euclid_dist")
        distance, index = apart.min(1)
        nearer = distance < distances
        distances = torch.where(nearer, distance, distances)
        indices = torch.where(nearer, index + start, indices)
    return indices, distances.to(samples.dtype)


def nearest_so_far(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> Iterator[Nearest]:
    """Yield the nearest training images among more and more of them, at last among all.

    Images are compared as evaluation sees them, some at a time.

    Args:
        samples: images in [0, 1].
        training: training images, which are compared as evaluation sees them, some at a time.
    """
    points = samples.cpu().double()  # images are on the host, and MPS has no float64
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
    """Find the training image nearest to each sample in L2, its number, and its distance."""
    *_, last = nearest_so_far(samples, training)
    return last.images, last.numbers, last.distances
