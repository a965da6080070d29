"""Choice of the augmentations that suit some pictures, by what these are (ours)."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.nn.functional import adaptive_avg_pool2d

MANY = 5000
"""Pictures from which on each is met so seldom that changing them gains nothing in a short run."""
FEWEST = 100
"""Pictures that tell whether mirrored ones are like them."""
MOST = 2000
SIDE, COMPONENTS = 12, 16
"""Side in pixels to which pictures are shrunk to compare them, and directions of their spread."""
UNLIKE = 0.025
"""Nats a pixel by which mirrored pictures may be less likely than the pictures themselves. 300
photographs of horses, cars or cats came to at most 0.007, 300 digits, letters in streets and
characters of eight alphabets to 0.42, 0.07 and 0.04."""


class AugmentationChoice(NamedTuple):
    """Augmentations for the images of a training, and why these."""

    names: tuple[str, ...]
    reason: str


def choose_augmentation(
    images: UInt8[np.ndarray, "n channels rows columns"], *, labelled: bool, binary: bool
) -> AugmentationChoice:
    """Choose augmentations that leave images what they are.

    Affine maps for fewer than `MANY`; mirroring where mirrored images are like the others and no
    labels could turn on it, which letters and digits are not; nothing for binary images, whose
    pixels would become grey.

    Args:
        images: training images of 8 bits as they are stored.
        labelled: whether the images have labels.
        binary: whether every pixel is 0 or 255.
    """
    if binary:
        return AugmentationChoice((), "their pixels are 0 or 1 and would become grey")
    if len(images) >= MANY:
        return AugmentationChoice((), f"{len(images):,} pictures are many")
    if labelled:
        return AugmentationChoice(("affine",), "not mirrored: they have labels")
    if len(images) < FEWEST:
        return AugmentationChoice(("affine",), "not mirrored: they are too few to tell")
    if mirror_gap(images) > UNLIKE:
        return AugmentationChoice(("affine",), "not mirrored: mirrored ones are unlike the others")
    return AugmentationChoice(("affine", "flip"), "mirrored ones are like the others")


def mirror_gap(images: UInt8[np.ndarray, "n channels rows columns"]) -> float:
    """Nats a pixel by which mirrored images are less likely than the images themselves.

    Under a Gaussian with `COMPONENTS` principal directions that is fitted to every second of them,
    and measured on the others, both ways; images are grey, `SIDE` pixels wide, each of mean 0 and
    standard deviation 1.

    Args:
        images: images of 8 bits, evenly taken where they are more than `MOST`.
    """
    some = images[:: -(-len(images) // MOST)].copy()
    grey = torch.from_numpy(some).double().mean(1, keepdim=True) / 255
    small = adaptive_avg_pool2d(grey, SIDE)[:, 0]
    small = small - small.mean((1, 2), keepdim=True)
    even = (small / (small.std((1, 2), keepdim=True) + 1e-3)).numpy()
    halves = even[::2], even[1::2]
    gaps = [
        _energy(one, other[:, :, ::-1]) - _energy(one, other)
        for one, other in (halves, halves[::-1])
    ]
    return float(np.mean(gaps))


def _energy(
    fitted: Float[np.ndarray, "n side side"], others: Float[np.ndarray, "m side side"]
) -> float:
    """Mean squared distance a pixel of some images from the Gaussian of others, halved."""
    known, asked = (part.reshape(len(part), -1) for part in (fitted, others))
    mean, dimensions = known.mean(0), known.shape[1]
    _, spread, directions = np.linalg.svd(known - mean, full_matrices=False)
    count = min(COMPONENTS, len(known) // 4)
    variances = spread**2 / len(known) + 1e-6
    rest = variances[count:].sum() / (dimensions - count)
    along = (asked - mean) @ directions[:count].T
    beside = ((asked - mean) ** 2).sum(1) - (along**2).sum(1)
    distance = (along**2 / variances[:count]).sum(1) + beside / rest
    return float(distance.mean() / dimensions / 2)
