"""Reading and writing through a grid of filters: Gaussian as in the paper, or of another form."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.sampler import Sampler
from draw.attention.window import (
    Filterbank,
    Window,
    filterbank,
    read_patch,
    window_parameters,
    write_patch,
)


class GaussianSampler(Sampler):
    """Reads and writes through an N x N grid of Gaussian filters (eqs 19-29).

    A subclass with `filters` of its own, which fall off in another way, is another window.

    Args:
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        size: side N of the window in filters.
    """

    description: ClassVar[str] = "windows of Gaussian filters, as in the paper"
    controls: ClassVar[int] = 5
    filters: ClassVar[Filterbank] = staticmethod(filterbank)
    """Filters of the windows, along either side of the image."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for name in ("read", "write") if "filters" in vars(cls) else ():
            owner = next(base for base in cls.__mro__ if name in vars(base))
            if owner not in (cls, GaussianSampler):
                raise TypeError(
                    f"expected {cls.__name__} to {name} through filters of its own, but "
                    f"{owner.__name__}.{name} has Gaussian ones; override it, or extend "
                    "GaussianSampler"
                )

    def start(self, share: float, x: float = 0.0, y: float = 0.0) -> Float[Tensor, " controls"]:
        """Controls of a window whose filters overlap.

        # ours: the paper does not say where the windows start. With delta~ = sigma = 1 the filters
        # miss most of the image and learning stalls for tens of thousands of images; here they
        # spread over a share of its longer side, each half as wide (sigma) as they lie apart.

        Args:
            share: distance between the outermost filters as a fraction of the image's longer side.
            x: g~_X, the centre, from -1 at the left border to 1 at the right.
            y: g~_Y, the centre, from -1 at the upper border to 1 at the lower.
        """
        delta = share * (max(self.rows, self.columns) - 1) / max(self.size - 1, 1)
        return torch.tensor([x, y, 2 * math.log(max(delta, 1.0) / 2), math.log(share), 0.0])

    def window(self, controls: Float[Tensor, "*batch 5"]) -> Window:
        """The windows that (g~_X, g~_Y, log sigma^2, log delta~, log gamma) stand for (22-24)."""
        return window_parameters(controls, self.rows, self.columns, self.size)

    def read(
        self, images: Float[Tensor, "batch channels rows columns"], window: Window
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read images through the windows: gamma F_Y x F_X^T (eq 27)."""
        self.check_images(images)
        return read_patch(images, window, self.filters)

    def write(
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: Window
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write patches through the windows: (1/gamma) F_Y^T w F_X (eq 29)."""
        return write_patch(patch, window, self.rows, self.columns, self.filters)
