"""Two digits on one canvas: the paper's second data set (section 4.3, figure 8)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, UInt8

from draw.data.views.augmentation import Augmentation, identity
from draw.data.views.view import Labels, Shape, ViewOutput, add, canvas_shape, places
from draw.fields import Count, check_fields


@dataclass(frozen=True)
class TwoDigits:
    """A view (see `draw.data.views.view.View`): two images at random places of a black canvas.

    The first is the one asked for, so that each comes once in an epoch; the second is any image of
    the split. Where they overlap, intensities are added and clipped (section 4.3). There are no
    labels, since there would be two.
    """

    size: Count = 60
    """Rows and columns of the canvas in pixels."""

    def __post_init__(self) -> None:
        check_fields("", self)

    def image_shape(self, stored_shape: Shape) -> Shape:
        """Shape of the canvas, with the channels of the images."""
        return canvas_shape(stored_shape, self.size, "two digits")

    def description(self, stored_shape: Shape) -> str:
        """Describe what is drawn at random."""
        _, rows, columns = stored_shape
        return (
            f"two images of {rows}x{columns} at random places of a black {self.size}x{self.size}, "
            "added and clipped"
        )

    def evaluation_view(self) -> "TwoDigits":
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
        """Make a canvas for each index; see `View.make`."""
        stored, count = images.shape[1:], len(indices)
        canvases = np.zeros((count, *self.image_shape(stored)), dtype=np.uint8)
        seconds = random.integers(len(images), size=count)
        for chosen in (indices, seconds):
            rows, columns = places(random, stored[1:], (self.size, self.size), count)
            add(canvases, augment(images[chosen], random), rows, columns)
        return canvases, None
