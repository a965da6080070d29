"""Which images a step of training sees, and what they look like to the model."""

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from draw.errors import DrawError
from draw.model.checks import check_unit_interval
from draw.randomness import ORDER, generator


def batch_indices(seed: int, step: int, batch_size: int, count: int) -> Int[np.ndarray, " batch"]:
    """Numbers of the images of one training step, a function of its arguments alone.

    The epochs' permutations are laid end to end and cut into batches, so that every image comes
    exactly once in each epoch and a data set smaller than a batch works.
    """
    position = np.arange(step * batch_size, (step + 1) * batch_size)
    epoch, place = position // count, position % count
    indices = np.empty(batch_size, dtype=np.int64)
    for number in np.unique(epoch):
        permutation = generator(seed, ORDER, int(number)).permutation(count)
        indices[epoch == number] = permutation[place[epoch == number]]
    return indices


Images = UInt8[np.ndarray, "n channels rows columns"] | Float[np.ndarray, "n channels rows columns"]
"""8-bit images, or such of floating-point numbers in [0, 1]: nothing else is understood."""


def check_pixel_values(images: Shaped[np.ndarray, "..."]) -> None:
    """See that images are of 8 bits, or of floating-point numbers in [0, 1].

    Raises:
        DrawError: if they are neither.
    """
    if images.dtype == np.uint8:
        return
    if images.dtype not in (np.float16, np.float32, np.float64):
        raise DrawError(
            f"expected images of 8 bits (uint8) or floating-point numbers in [0, 1], got "
            f"{images.dtype}; convert them, nothing is scaled unasked"
        )
    check_unit_interval(torch.from_numpy(np.ascontiguousarray(images)))


def to_unit_interval(images: Images) -> Float[Tensor, "n channels rows columns"]:
    """Images as 32-bit floats in [0, 1]: those of 8 bits divided by 255, others as they are.

    Raises:
        DrawError: if they are none of `Images`.
    """
    check_pixel_values(images)
    pixels = torch.from_numpy(np.ascontiguousarray(images)).float()
    return pixels / 255 if images.dtype == np.uint8 else pixels


def binarize(
    images: Float[Tensor, "batch channels rows columns"],
    uniform: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """Draw each pixel as 0 or 1 with its grey value as probability.

    Args:
        images: in [0, 1]; those whose pixels are 0 or 1 already come back unchanged.
        uniform: random numbers in [0, 1).
    """
    return (uniform < images).float()


def spread(count: int, n: int) -> Int[np.ndarray, " m"]:
    """Numbers of up to n images, evenly over a data set that may be sorted by class."""
    return np.linspace(0, count - 1, min(n, count)).round().astype(np.int64)
