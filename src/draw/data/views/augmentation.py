"""Augmentation of training images that leaves what they show: affine maps, mirroring, colours.

Changes are made anew for every batch from the random numbers of its step, before a view lays the
images out; images of validation and test are never changed. To add one, write a function of images
and a generator and name it in `AUGMENTATIONS`.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch.nn.functional import affine_grid, grid_sample

from draw.fields import part_of

Pixels = UInt8[np.ndarray, "batch channels rows columns"]
Augmentation = Callable[[Pixels, np.random.Generator], Pixels]
"""From images of 8 bits to as many of the same shape; all chance comes from the generator."""

TURN, SCALE, SHEAR, SHIFT = math.pi / 12, 0.15, 0.15, 0.07
"""Largest angle in radians, change of size, shear, and shift as a fraction of a side."""
BRIGHTNESS, CONTRAST = 0.15, 0.2
"""Largest addend to pixel values in [0, 1], and change of their distance from the mean."""


def affine(images: Pixels, random: np.random.Generator) -> Pixels:
    """Turn, scale, shear and shift each image a little, bilinearly sampled.

    Up to 15 degrees, 15 % and 7 % of a side, uniformly; beyond the edge its pixels go on.

    Args:
        images: images of 8 bits.
        random: random generator.
    """
    n = len(images)
    if n == 0:
        return images
    turn, shear = (random.uniform(-most, most, n) for most in (TURN, SHEAR))
    scale = np.exp(random.uniform(-SCALE, SCALE, (2, n)))
    shift = random.uniform(-2 * SHIFT, 2 * SHIFT, (2, n))  # a side of the grid is 2 long
    aspect = images.shape[2] / images.shape[3]
    cos, sin = np.cos(turn), np.sin(turn)
    maps = np.empty((n, 2, 3), np.float32)
    maps[:, 0, :2] = np.stack([cos, (shear * cos - sin) * aspect], 1)
    maps[:, 1, :2] = np.stack([sin / aspect, shear * sin + cos], 1)
    maps[:, :, :2] /= scale.T[:, None]
    maps[:, :, 2] = np.einsum("nij,jn->ni", maps[:, :, :2], shift)
    pixels = torch.from_numpy(images.astype(np.float32))
    grid = affine_grid(torch.from_numpy(maps), list(pixels.shape), align_corners=False)
    moved = grid_sample(pixels, grid, padding_mode="border", align_corners=False)
    return np.asarray(moved.round_().clamp_(0, 255).byte().numpy())


def flip(images: Pixels, random: np.random.Generator) -> Pixels:
    """Mirror every second image, by chance, from left to right.

    Args:
        images: images of 8 bits.
        random: random generator.
    """
    mirrored = random.random(len(images)) < 0.5
    return np.where(mirrored[:, None, None, None], images[..., ::-1], images)


def colour(images: Pixels, random: np.random.Generator) -> Pixels:
    """Change the brightness of each channel and the contrast of each image a little.

    By up to 15 % of the range and 20 % of the distance from an image's mean, uniformly; clipped.

    Args:
        images: images of 8 bits.
        random: random generator.
    """
    n, channels = images.shape[:2]
    contrast = 1 + random.uniform(-CONTRAST, CONTRAST, (n, 1, 1, 1)).astype(np.float32)
    addend = 255 * random.uniform(-BRIGHTNESS, BRIGHTNESS, (n, channels, 1, 1)).astype(np.float32)
    mean = images.mean((1, 2, 3), keepdims=True, dtype=np.float32)
    changed = (images - mean) * contrast + mean + addend
    return np.asarray(changed.round().clip(0, 255).astype(np.uint8))


AUGMENTATIONS: dict[str, Augmentation] = {"affine": affine, "flip": flip, "colour": colour}
"""By the names that `DataConfig.augment` takes."""
KEEP_BINARY = frozenset({"flip"})
"""Names of the augmentations that leave images binary whose every pixel is 0 or 255."""


def identity(images: Pixels, random: np.random.Generator) -> Pixels:
    """Return the images themselves, for no augmentation; no chance is used up.

    Args:
        images: images of 8 bits.
        random: random generator, which is left alone.
    """
    return images


def augmentation_of(names: Sequence[str]) -> Augmentation:
    """Combine several augmentations, one after another.

    Args:
        names: names in `AUGMENTATIONS`, in order; none for `identity`.

    Raises:
        DrawError: if there is no such augmentation.
    """
    steps = [part_of(AUGMENTATIONS, "augment", name, "data") for name in names]
    if not steps:
        return identity

    def augmented(images: Pixels, random: np.random.Generator) -> Pixels:
        for step in steps:
            images = step(images, random)
        return images

    return augmented
