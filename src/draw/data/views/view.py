"""The interface of a view: how images are made for a model out of the stored ones.

A view makes images out of those of one split: two digits on one canvas, a piece at a random place.
In training they are made anew for every batch, from the random numbers of its step; the images of
validation and test are made once, from random numbers of their own that no seed changes. To add a
view, write a class with the methods of `View` and name it in `draw.data.sets.table.KNOWN_SETS`.
"""

from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from numpy.lib.stride_tricks import sliding_window_view

from draw.data.views.augmentation import Augmentation, identity
from draw.errors import DataError

Shape = tuple[int, int, int]
"""Channels, rows and columns of one image."""
Labels = Shaped[np.ndarray, " n"] | None
"""Labels of the stored images; None where they have none."""
MadeLabels = Shaped[np.ndarray, " batch"] | None
ViewOutput = tuple[UInt8[np.ndarray, "batch channels height width"], MadeLabels]
"""Images and their labels."""


@runtime_checkable
class View(Protocol):
    """Interface of what makes images out of stored ones: a frozen dataclass with its options."""

    def image_shape(self, stored_shape: Shape) -> Shape:
        """Shape of an image that the view makes of stored ones of some shape.

        Raises:
            DataError: nothing can be made of images of the stored shape.
        """

    def description(self, stored_shape: Shape) -> str:
        """Describe in a line what is made of images of the stored shape."""

    def evaluation_view(self) -> "View":
        """The view that makes the images of validation and test."""

    def make(
        self,
        images: UInt8[np.ndarray, "n channels rows columns"],
        labels: Labels,
        indices: Int[np.ndarray, " batch"],
        random: np.random.Generator,
        augment: Augmentation = identity,
    ) -> ViewOutput:
        """Make one image for each index, a function of the arguments alone.

        Args:
            images: all stored images of one split, 8 bits.
            labels: labels of the stored images; None where they have none.
            indices: numbers of the stored images that the new ones start from.
            random: random generator that decides all chance.
            augment: what is done to the images before they are laid out.

        Returns:
            Images of 8 bits and their labels; None where the view or the images have none.
        """


def cut(
    images: UInt8[np.ndarray, "n channels rows columns"],
    indices: Int[np.ndarray, " batch"],
    rows: Int[np.ndarray, " batch"],
    columns: Int[np.ndarray, " batch"],
    size: tuple[int, int],
) -> UInt8[np.ndarray, "batch channels height width"]:
    """Cut a piece out of each of some images.

    Args:
        images: images of 8 bits.
        indices: numbers of the images.
        rows: the first row of each piece, in pixels from 0.
        columns: the first column of each piece, in pixels from 0.
        size: rows and columns of a piece in pixels.
    """
    windows = sliding_window_view(images, size, axis=(2, 3))
    return np.asarray(windows[indices, :, rows, columns])


def add(
    canvases: UInt8[np.ndarray, "batch channels rows columns"],
    pieces: UInt8[np.ndarray, "batch channels height width"],
    rows: Int[np.ndarray, " batch"],
    columns: Int[np.ndarray, " batch"],
) -> None:
    """Add a piece to each canvas, in place; sums are clipped at 255.

    Args:
        canvases: images of 8 bits.
        pieces: images of 8 bits, no larger than the canvases.
        rows: the first row of each piece on its canvas, in pixels from 0.
        columns: the first column of each piece on its canvas, in pixels from 0.
    """
    windows = sliding_window_view(canvases, pieces.shape[2:], axis=(2, 3), writeable=True)
    numbers = np.arange(len(canvases))
    total = windows[numbers, :, rows, columns] + pieces  # modulo 256
    total[total < pieces] = 255
    windows[numbers, :, rows, columns] = total


def places(
    random: np.random.Generator, inner: tuple[int, int], outer: tuple[int, int], count: int
) -> tuple[Int[np.ndarray, " count"], Int[np.ndarray, " count"]]:
    """Draw random places, first rows and columns of pieces; all those inside are equally likely.

    Args:
        random: random generator.
        inner: rows and columns of a piece in pixels.
        outer: rows and columns in pixels of the canvas or image that the piece lies in.
        count: number of places.
    """
    rows = random.integers(outer[0] - inner[0] + 1, size=count)
    columns = random.integers(outer[1] - inner[1] + 1, size=count)
    return rows, columns


def canvas_shape(stored_shape: Shape, size: int, what: str) -> Shape:
    """Shape of the square canvases that stored images are laid on.

    Raises:
        DataError: the images are larger than the canvas.
    """
    channels, rows, columns = stored_shape
    if max(rows, columns) > size:
        raise DataError(
            f"expected images of at most {size}x{size} to lay on the canvas of {what}, got "
            f"{rows}x{columns}; pass --data.size 28 --data.fit pad to make them smaller"
        )
    return channels, size, size


def labels_at(labels: Labels, indices: Int[np.ndarray, " batch"]) -> MadeLabels:
    """Labels of some images by number, if there are any."""
    return None if labels is None else labels[indices]
