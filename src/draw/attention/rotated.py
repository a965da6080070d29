"""A window that turns: the paper's grid of Gaussian filters at an angle."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.grid import GaussianSampler
from draw.attention.scattered import read_by_filters, scattered_filters, write_by_filters
from draw.attention.window import (
    MAX_CENTRE,
    Window,
    check_batch,
    check_controls,
    check_patch,
    filter_centres,
    window_parameters,
)
from draw.tensors import in_full


@dataclass(frozen=True, eq=False)
class RotatedWindow(Window):
    """An N x N grid of filters, turned about its centre by `angle` (radians, from x towards y)."""

    meaning: ClassVar[str] = (
        "the window's centre, stride and width in pixels counted from 1, its intensity, and the "
        "angle by which it is turned, in radians from x to y"
    )
    angle: Float[Tensor, "*batch"]

    @property
    def outline(self) -> Float[Tensor, "*batch 1 4 2"]:
        """Corners of the turned frame of `Window`, in pixels counted from 1."""
        centre = self.centre[..., None, None, :]
        x, y = (super().outline - centre).unbind(-1)
        cos, sin = self.angle.cos()[..., None, None], self.angle.sin()[..., None, None]
        return torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + centre


def turned_filters(
    window: RotatedWindow, rows: int, columns: int
) -> tuple[Float[Tensor, "*batch filters {rows}"], Float[Tensor, "*batch filters {columns}"]]:
    """F_Y and F_X of the N^2 filters of a turned grid, row by row of the grid.

    With d_i = (i - N/2 - 0.5) delta (eqs 19-20 less the centre) filter (j, i) stands at

        mu_X = g_X + cos(angle) d_i - sin(angle) d_j
        mu_Y = g_Y + sin(angle) d_i + cos(angle) d_j.

    A Gaussian filter of one width is round, so that turning moves it and leaves its form: at angle
    0 this is the paper's window exactly, and the gradient is smooth at all angles.
    """
    d = filter_centres(torch.zeros_like(window.delta), window.delta, window.size)
    angle = in_full(window.angle)[..., None, None]
    cos, sin = angle.cos(), angle.sin()
    d_x, d_y = d[..., None, :], d[..., :, None]
    mu_x = window.g_x[..., None, None] + cos * d_x - sin * d_y
    mu_y = window.g_y[..., None, None] + sin * d_x + cos * d_y
    sigma = window.sigma[..., None].expand(*window.sigma.shape, window.size**2)
    return (
        scattered_filters(mu_y.flatten(-2), sigma, rows),
        scattered_filters(mu_x.flatten(-2), sigma, columns),
    )


def turned_window(
    controls: Float[Tensor, "*batch 6"], rows: int, columns: int, size: int
) -> RotatedWindow:
    """Turn six unbounded numbers into the parameters of a window that turns.

    Args:
        controls: the five of `window_parameters`, and the angle in radians, which is held within
            +-`MAX_CENTRE`.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        size: number of filters along a side of the window, N.

    Raises:
        ValueError: if a window has not six controls.
    """
    check_controls(controls, 6)
    upright = window_parameters(controls[..., :5], rows, columns, size)
    angle = in_full(controls[..., 5]).clamp(-MAX_CENTRE, MAX_CENTRE)
    return RotatedWindow(**upright.numbers, size=size, angle=angle)


def read_turned_patch(
    images: Float[Tensor, "batch channels rows columns"], window: RotatedWindow
) -> Float[Tensor, "batch channels {window.size} {window.size}"]:
    """Read images through windows that turn: each filter's sum over the pixels, times gamma.

    Args:
        images: images, [batch, channels, rows, columns].
        window: one window for each image.

    Raises:
        ValueError: if there are not images of four dimensions with a window each.
    """
    check_batch(images, window.gamma)
    rows, columns = images.shape[-2:]
    filters = turned_filters(window, rows, columns)
    patch = read_by_filters(in_full(images), *filters, window.size)
    return (window.gamma[:, None, None, None] * patch).to(images.dtype)


def write_turned_patch(
    patch: Float[Tensor, "batch channels {window.size} {window.size}"],
    window: RotatedWindow,
    rows: int,
    columns: int,
) -> Float[Tensor, "batch channels {rows} {columns}"]:
    """Write a patch into an image through a window that turns: the sum of its filters over gamma.

    Args:
        patch: w, [batch, channels, N, N].
        window: one window for each patch.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.

    Raises:
        ValueError: if the patch has not one number for each filter of the window, or there are not
            patches of four dimensions with a window each.
    """
    check_patch(patch, window.gamma, window.size)
    image = write_by_filters(in_full(patch), *turned_filters(window, rows, columns))
    return (image / window.gamma[:, None, None, None]).to(patch.dtype)


class RotatedSampler(GaussianSampler):
    """Reads and writes through an N x N grid of Gaussian filters at an angle.

    # Differs from the paper, whose windows are upright. A sixth number, free and in radians, turns
    # the window (`turned_filters`); training begins upright, at the paper's window.
    """

    description: ClassVar = "windows of Gaussian filters that turn"
    controls: ClassVar[int] = 6
    extends: ClassVar = GaussianSampler

    def start(self, share: float, x: float = 0.0, y: float = 0.0) -> Float[Tensor, " controls"]:
        """Controls of the paper's window, at an angle of 0."""
        return torch.cat([super().start(share, x, y), torch.zeros(1)])

    def window(self, controls: Float[Tensor, "*batch 6"]) -> RotatedWindow:
        """The windows that the paper's five numbers and the angle stand for."""
        return turned_window(controls, self.rows, self.columns, self.size)

    def read(  # type: ignore[override]
        self, images: Float[Tensor, "batch channels rows columns"], window: RotatedWindow
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read through each filter, times gamma."""
        self.check_images(images)
        return read_turned_patch(images, window)

    def write(  # type: ignore[override]
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: RotatedWindow
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write through each filter, over gamma."""
        return write_turned_patch(patch, window, self.rows, self.columns)
