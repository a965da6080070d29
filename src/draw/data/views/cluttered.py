"""Cluttered digits: the paper's classification task (section 4.1, Table 1, figure 5)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from draw.data.views.augmentation import Augmentation, identity
from draw.data.views.view import (
    Labels,
    Shape,
    ViewOutput,
    add,
    canvas_shape,
    cut,
    labels_at,
    places,
)
from draw.errors import DataError
from draw.fields import Count, Natural, check_fields


@dataclass(frozen=True)
class Cluttered:
    """A view (see `draw.data.views.view.View`): an image among pieces of others on a black canvas.

    The image, whose label it keeps, lies at a random place. Each distractor is a square piece, from
    a random place, of another image of the split, whatever its class. All are added and clipped.

    # ours: the paper gives 100x100; number and size of the distractors are those of the published
    generator's example.
    """

    size: Count = 100
    """Rows and columns of the canvas in pixels."""
    distractors: Natural = 8
    """Number of pieces of other images."""
    distractor_size: Count = 8
    """Rows and columns of such a piece in pixels."""

    def __post_init__(self) -> None:
        check_fields("", self)

    def image_shape(self, stored_shape: Shape) -> Shape:
        """Shape of the canvas, with the channels of the images."""
        if self.distractors and min(stored_shape[1:]) < self.distractor_size:
            raise DataError(
                f"expected images of at least {self.distractor_size}x{self.distractor_size} to "
                f"take distractors from, got {stored_shape[1]}x{stored_shape[2]}; pass a larger "
                "--data.size"
            )
        return canvas_shape(stored_shape, self.size, "cluttered digits")

    def description(self, stored_shape: Shape) -> str:
        """Describe what is drawn at random."""
        _, rows, columns = stored_shape
        side = self.distractor_size
        return (
            f"an image of {rows}x{columns} and {self.distractors} pieces, {side}x{side}, of others "
            f"at random places of a black {self.size}x{self.size}, added and clipped"
        )

    def evaluation_view(self) -> "Cluttered":
        """The view of validation and test: this one."""
        return self

    def make(
        self,
        images: UInt8[np.ndarray, "n channels rows columns"],
        labels: Labels,
        indices: Int[np.ndarray, " batch"],
        random: np.random.Generator,
        augment: Augmentation = identity,
    ) -> ViewOutput:
        """Make a canvas for each index; see `View.make`.

        Raises:
            DataError: there is a single image, and so no other.
        """
        stored, count = images.shape[1:], len(indices)
        if self.distractors and len(images) < 2:
            raise DataError(
                "expected at least 2 images in each split, to take distractors from another one, "
                f"got {len(images)}; add images"
            )
        canvas, piece = (self.size, self.size), (self.distractor_size, self.distractor_size)
        canvases = np.zeros((count, *self.image_shape(stored)), dtype=np.uint8)
        add(canvases, augment(images[indices], random), *places(random, stored[1:], canvas, count))
        for _ in range(self.distractors):
            others = random.integers(len(images) - 1, size=count)
            others += others >= indices
            pieces = cut(images, others, *places(random, piece, stored[1:], count), piece)
            add(canvases, pieces, *places(random, piece, canvas, count))
        return canvases, labels_at(labels, indices)
