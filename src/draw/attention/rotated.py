"""A window that turns: the paper's grid of Gaussian filters at an angle."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.grid import GaussianSampler
from draw.attention.scattered import read_by_filters, scattered_filters, write_by_filters
from draw.attention.window import MAX_CENTRE, Window, filter_centres, window_parameters


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
    cos, sin = window.angle.cos()[..., None, None], window.angle.sin()[..., None, None]
    d_x, d_y = d[..., None, :], d[..., :, None]
    mu_x = window.g_x[..., None, None] + cos * d_x - sin * d_y
    mu_y = window.g_y[..., None, None] + sin * d_x + cos * d_y
    sigma = window.sigma[..., None].expand(*window.sigma.shape, window.size**2)
    return (
        scattered_filters(mu_y.flatten(-2), sigma, rows),
        scattered_filters(mu_x.flatten(-2), sigma, columns),
    )


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
        upright = window_parameters(controls[..., :5], self.rows, self.columns, self.size)
        angle = controls[..., 5].clamp(-MAX_CENTRE, MAX_CENTRE)
        return RotatedWindow(**upright.numbers, size=self.size, angle=angle)

    def read(  # type: ignore[override]
        self, images: Float[Tensor, "batch channels rows columns"], window: RotatedWindow
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read through each filter, times gamma."""
        filters = turned_filters(window, self.rows, self.columns)
        patch = read_by_filters(images, *filters, self.size)
        return window.gamma[:, None, None, None] * patch

    def write(  # type: ignore[override]
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: RotatedWindow
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write through each filter, over gamma."""
        filters = turned_filters(window, self.rows, self.columns)
        return write_by_filters(patch, *filters) / window.gamma[:, None, None, None]
