"""Pictures as arrays of numbers: which shapes are pictures, and which number is white."""

from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8

from draw.data.store.decode import MAX_PIXELS
from draw.errors import DataError

SMALLEST_SIDE = 5
"""A flat array with fewer numbers a row is no pictures."""
CONVERSION = """
For example, where `x` is the array of pictures and `y` that of labels:
  import numpy as np
  x = np.clip(np.rint(255 * (x - x.min()) / (x.max() - x.min())), 0, 255).astype(np.uint8)
  np.savez("pictures.npz", x_train=x, y_train=y)
and pass --data.path pictures.npz"""


def white_of(low: Any, high: Any, whole: bool, where: str, name: str) -> int:
    """Find the number that stands for white in pictures: 1 or 255.

    Args:
        low: lowest number.
        high: highest number.
        whole: whether all are whole numbers.
        where: place of the pictures, for errors.
        name: name of the first picture, for errors.

    Raises:
        DataError: white is neither, or it cannot be known.
    """
    if low >= 0 and high <= 1:
        return 1
    if whole and low >= 0 and high <= 255:
        return 255
    kind = "whole numbers" if whole else "numbers"
    raise DataError(
        f"expected pixels in {where} to be whole numbers from 0 to 255, or to lie between 0 and 1, "
        f"got {kind} from {low:g} to {high:g} ({name}); nothing is scaled unasked.{CONVERSION}"
    )


def to_eight_bit(pixels: Shaped[np.ndarray, "..."], white: int) -> UInt8[np.ndarray, "..."]:
    """Convert numbers to 8 bits: black is 0, and white 255."""
    if white == 255:
        return pixels.astype(np.uint8, copy=False)
    return np.rint(pixels * np.float64(255)).astype(np.uint8)


def picture_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Rows and columns of the pictures of an array, and 3 where they have colours.

    Args:
        shape: shape of the array, the number of pictures first.

    Returns:
        None if the array has no pictures.
    """
    match shape:
        case (_, rows, columns, 1) | (_, 1, rows, columns) | (_, rows, columns):
            return rows, columns
        case (_, rows, columns, 3) | (_, 3, rows, columns):
            return rows, columns, 3
        case (_, pixels) if (side := side_of(pixels)) and side >= SMALLEST_SIDE:
            return side, side
    return None


def reshape_pictures(
    array: Shaped[np.ndarray, "n ..."], shape: tuple[int, ...]
) -> Shaped[np.ndarray, "n ..."]:
    """Reshape an array of pictures to rows first, colours last.

    Args:
        array: array as it is stored.
        shape: shape of its pictures, from `picture_shape`.
    """
    if len(shape) == 3 and array.shape[-1] != 3:
        array = array.transpose(0, 2, 3, 1)
    return array.reshape(len(array), *shape)


def side_of(count: int) -> int | None:
    """Rows and columns of a square picture of so many pixels; None if there is none."""
    side = round(count**0.5)
    return side if 1 < count <= MAX_PIXELS and side * side == count else None
