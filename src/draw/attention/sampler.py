"""The interface of a window's code: how N x N numbers are read and written through one window."""

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Sampler(nn.Module, ABC):
    """Reads images and writes patches through windows of one geometry.

    `WindowAttention` makes a DRAW's attention of two of them, one to read and one to write; the
    classifier reads through one. Nothing in it may draw random numbers when it is made.

    Args:
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        size: side N of the window in filters.
    """

    description: ClassVar[str]
    """Through what is read and written, for model cards: 'windows of Gaussian filters'."""
    controls: ClassVar[int]
    """Free numbers that place a window."""
    extends: ClassVar["type[Sampler] | None"] = None
    """Sampler whose controls come first among these, and whose window this is where the others are
    zero; so a model with such windows can be trained on with these (train.start_from)."""

    def __init__(self, rows: int, columns: int, size: int) -> None:
        super().__init__()
        self.rows, self.columns, self.size = rows, columns, size

    def check_images(self, images: Tensor) -> None:
        """Refuse images of another size than that in which the windows are placed.

        Args:
            images: images to be read, [..., rows, columns].

        Raises:
            ValueError: if their rows or columns are not the sampler's.
        """
        if tuple(images.shape[-2:]) != (self.rows, self.columns):
            raise ValueError(
                f"expected images of {self.rows} rows and {self.columns} columns, for which this "
                f"{type(self).__name__} places windows, got {list(images.shape)}; make one for "
                "their size"
            )

    @abstractmethod
    def start(self, share: float, x: float = 0.0, y: float = 0.0) -> Float[Tensor, " controls"]:
        """Controls of a window to begin with.

        Args:
            share: extent of the window as a fraction of the image's longer side.
            x: g~_X, the centre, from -1 at the left border to 1 at the right.
            y: g~_Y, the centre, from -1 at the upper border to 1 at the lower.
        """

    @abstractmethod
    def window(self, controls: Float[Tensor, "*batch controls"]) -> Any:
        """Make the windows, an `AbstractWindow`, of unbounded numbers."""

    @abstractmethod
    def read(
        self, images: Float[Tensor, "batch channels rows columns"], window: Any
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read images, each through its window."""

    @abstractmethod
    def write(
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: Any
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write patches into images, each through its window."""


def start_windows(affine: nn.Linear, sampler: Sampler, share: float, heads: int = 1) -> None:
    """Set the bias of an affine map so that windows begin where learning is fast.

    # ours: the paper does not say where windows start. One starts in the middle. Several start
    evenly on a circle round it, each of a smaller share, or they would have to drift apart first.

    Args:
        affine: affine map from h_dec to the controls of all windows; its bias is set.
        sampler: sampler of the windows.
        share: extent that one window would have as a fraction of the image's longer side.
        heads: number of windows.
    """
    turns = [2 * math.pi * head / heads for head in range(heads)]
    places = [(-0.5 * math.cos(turn), -0.5 * math.sin(turn)) for turn in turns]
    if heads == 1:
        places = [(0.0, 0.0)]
    starts = [sampler.start(share / heads**0.5, *place) for place in places]
    with torch.no_grad():
        affine.bias.copy_(torch.cat(starts))
