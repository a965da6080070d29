"""The batches of training: which images a step sees, and how they look to the model."""

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from draw.errors import DrawError
from draw.randomness import BINARIZE_EVALUATION, ORDER, generator
from draw.tensors import check_unit_interval


def batch_indices(seed: int, step: int, batch_size: int, count: int) -> Int[np.ndarray, " batch"]:
    """Indices of the images of one training step, a function of its arguments alone.

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
"""Images as tensors: 8-bit, or floating-point numbers in [0, 1]; nothing else is understood."""


def check_pixel_values(images: Shaped[np.ndarray, "..."]) -> None:
    """Refuse images that are neither 8-bit nor floating-point numbers in [0, 1].

    Raises:
        DrawError: if the images are neither.
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
    """Convert images to 32-bit floats in [0, 1]: those of 8 bits divided by 255, others unchanged.

    Raises:
        DrawError: if the images are of no type in `Images`.
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
        images: images in [0, 1]; those whose pixels are 0 or 1 already come back unchanged.
        uniform: random numbers in [0, 1), of the images' shape.
    """
    return (uniform < images).float()


def evaluation_images(
    images: Images,
    numbers: Int[np.ndarray, " batch"],
    dynamic: bool,
    seed: int,
) -> Float[Tensor, "batch channels rows columns"]:
    """Images by number as a model sees them in evaluation.

    Args:
        images: images of a whole data set.
        numbers: indices of the images that are asked for.
        dynamic: whether to draw each pixel as 0 or 1 with its grey value as probability; in
            evaluation an image comes out the same every time for the same seed.
        seed: any whole number of at least 0.
    """
    x = to_unit_interval(images[numbers])
    if not dynamic:
        return x
    draws = [
        generator(seed, BINARIZE_EVALUATION, int(i)).random(x.shape[1:], np.float32)
        for i in numbers
    ]
    return binarize(x, torch.from_numpy(np.stack(draws)))


def spread(count: int, n: int) -> Int[np.ndarray, " m"]:
    """Indices of up to n images, evenly over a data set that may be sorted by class.

    Args:
        count: number of images in the data set.
        n: number of images wanted.
    """
    return np.linspace(0, count - 1, min(n, count)).round().astype(np.int64)
