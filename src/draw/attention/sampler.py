"""How N x N numbers are read and written through one window: what every window's code offers."""

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

    def __init__(self, rows: int, columns: int, size: int) -> None:
        super().__init__()
        self.rows, self.columns, self.size = rows, columns, size

    @abstractmethod
    def start(self, share: float, x: float = 0.0, y: float = 0.0) -> Float[Tensor, " controls"]:
        """The controls of a window to begin with.

        Args:
            share: of the image's longer side that the window spans.
            x: g~_X, where its centre is: -1 at the left border, 1 at the right.
            y: g~_Y, -1 at the upper border, 1 at the lower.
        """

    @abstractmethod
    def window(self, controls: Float[Tensor, "*batch controls"]) -> Any:
        """The windows, an `AbstractWindow`, that free numbers stand for."""

    @abstractmethod
    def read(
        self, images: Float[Tensor, "batch channels rows columns"], window: Any
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """What is seen of images, each through its window."""

    @abstractmethod
    def write(
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: Any
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Patches put into images, each through its window."""


def start_windows(affine: nn.Linear, sampler: Sampler, share: float, heads: int = 1) -> None:
    """Set the bias of an affine map so that windows begin where learning is fast.

    # ours: the paper does not say where windows start. One starts in the middle. Several start
    evenly on a circle round it, each of a smaller share, or they would have to drift apart first.

    Args:
        affine: makes the controls of all windows.
        sampler: of the windows.
        share: of the image's longer side that one window would span.
        heads: number of windows.
    """
    turns = [2 * math.pi * head / heads for head in range(heads)]
    places = [(-0.5 * math.cos(turn), -0.5 * math.sin(turn)) for turn in turns]
    if heads == 1:
        places = [(0.0, 0.0)]
    starts = [sampler.start(share / heads**0.5, *place) for place in places]
    with torch.no_grad():
        affine.bias.copy_(torch.cat(starts))
