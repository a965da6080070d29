"""Random crops of larger images: how the paper shows house numbers to the model (section 4.4)."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int, UInt8

from draw.data.views.augmentation import Augmentation, identity
from draw.data.views.view import Labels, Shape, ViewOutput, cut, labels_at, places
from draw.errors import DataError


@dataclass(frozen=True)
class RandomCrop:
    """A view (see `draw.data.views.view.View`): the part of an image in a window of a random place.

    Section 4.4: 54x54 of 64x64, at random in training, in the middle in validation. Images of
    another size keep the proportion: 27x27 of 32x32.
    """

    size: int = 54
    """Rows and columns of the window in pixels, for images of side `of`."""
    of: int = 64
    """Rows and columns in pixels of the images that `size` is meant for."""
    central: bool = False
    """Whether the window is in the middle instead of at a random place."""

    def __post_init__(self) -> None:
        if not 1 <= self.size <= self.of:
            raise ValueError(f"expected size of 1 to {self.of} (of), got {self.size}")

    def image_shape(self, stored_shape: Shape) -> Shape:
        """Shape of the window, with the channels of the images."""
        channels, rows, columns = stored_shape
        window = rows * self.size // self.of, columns * self.size // self.of
        if min(window) < 1:
            raise DataError(
                f"expected images of which {self.size}/{self.of} is a pixel at least, got "
                f"{rows}x{columns}; pass a larger --data.size"
            )
        return channels, *window

    def description(self, stored_shape: Shape) -> str:
        """Describe which part of an image the model sees."""
        _, rows, columns = stored_shape
        _, height, width = self.image_shape(stored_shape)
        where = "the middle" if self.central else "random places"
        return f"{height}x{width} of {rows}x{columns} at {where}"

    def evaluation_view(self) -> "RandomCrop":
        """The view of validation and test: the window in the middle."""
        return replace(self, central=True)

    def make(
        self,
        images: UInt8[np.ndarray, "n channels rows columns"],
        labels: Labels,
        indices: Int[np.ndarray, " batch"],
        random: np.random.Generator,
        augment: Augmentation = identity,
    ) -> ViewOutput:
        """Cut a piece out of each image; see `View.make`."""
        stored = images.shape[1:]
        window = self.image_shape(stored)[1:]
        if self.central:
            top, left = (outer - inner for outer, inner in zip(stored[1:], window, strict=True))
            pieces = images[indices, :, top // 2 :, left // 2 :][..., : window[0], : window[1]]
        else:
            rows, columns = places(random, window, stored[1:], len(indices))
            pieces = cut(images, indices, rows, columns, window)
        pieces = augment(np.ascontiguousarray(pieces), random)
        return pieces, labels_at(labels, indices)
