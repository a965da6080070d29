"""A window whose filters learn where to stand and how wide to be."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.grid import GaussianSampler
from draw.attention.scattered import read_by_filters, scattered_filters, write_by_filters
from draw.attention.window import (
    MAX_LOG,
    Window,
    check_batch,
    check_patch,
    filter_centres,
    window_parameters,
)
from draw.tensors import in_full


@dataclass(frozen=True, eq=False)
class LatticeWindow(Window):
    """A lattice of filters at learned places; centre, stride and width place the whole of it.

    `reach` is how far its outermost filters lie from the centre: left, upper, right, lower, in
    strides.
    """

    meaning: ClassVar[str] = (
        "the lattice's centre, stride and width in pixels counted from 1, its intensity, and how "
        "far its outermost filters lie from the centre in strides: left, upper, right, lower"
    )
    reach: Float[Tensor, "*batch 4"]

    @property
    def outline(self) -> Float[Tensor, "*batch 1 4 2"]:
        """Corners of the upright rectangle round the pixels under the outermost filters."""
        sign = self.reach.new_tensor([-0.5, -0.5, 0.5, 0.5])
        edges = (
            torch.cat([self.centre, self.centre], -1) + self.reach * self.delta[..., None] + sign
        )
        left, top, right, bottom = edges.unbind(-1)
        corners = torch.stack([left, top, right, top, right, bottom, left, bottom], -1)
        return corners.reshape(*self.g_x.shape, 1, 4, 2)


class LatticeSampler(GaussianSampler):
    """Reads and writes through N x N Gaussian filters at learned places, with learned widths.

    Source: Cheung, Weiss and Olshausen 2017 (arXiv 1611.09430), whose retina is a set of filters
    that gradient descent moves: filter i stands, for all images and steps, at a learned place
    (u_i, v_i) with a learned width s_i, and the network moves and zooms the whole. Here, with the
    five numbers of the paper's window,

        mu_X,i = g_X + u_i delta    mu_Y,i = g_Y + v_i delta    sigma_i = sigma exp(s_i)

        r_i = gamma sum_b sum_a F_Y,i[b] F_X,i[a] x[b, a],

    and written is the adjoint of it over gamma.

    # Differs from Cheung et al., whose zoom scales places and widths alike and who only read: sigma
    # is a number of its own as in DRAW, and the write window has a lattice of its own. The lattice
    # begins as the paper's grid (u_i and v_i of eqs 19-20, s_i = 0), so that training begins
    # exactly at the paper's model.

    Args:
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        size: side of the lattice, which has N^2 filters.
    """

    description: ClassVar = "lattices of Gaussian filters whose places and widths are learned"

    def __init__(self, rows: int, columns: int, size: int) -> None:
        super().__init__(rows, columns, size)
        along = filter_centres(torch.zeros(()), torch.ones(()), size)
        v, u = torch.meshgrid(along, along, indexing="ij")
        self.places = nn.Parameter(torch.stack([u, v], -1).flatten(0, 1))
        """u_i and v_i in strides from the centre, [filters, 2]."""
        self.log_widths = nn.Parameter(torch.zeros(size**2))
        """s_i, the logarithm of each filter's width as a multiple of sigma."""

    def window(self, controls: Float[Tensor, "*batch 5"]) -> LatticeWindow:
        """The lattices that (g~_X, g~_Y, log sigma^2, log delta~, log gamma) place."""
        grid = window_parameters(controls, self.rows, self.columns, self.size)
        reach = torch.cat([self.places.amin(0), self.places.amax(0)])
        several = reach.expand(*grid.delta.shape, 4)
        return LatticeWindow(**grid.numbers, size=self.size, reach=several)

    def _filters(
        self, window: Window
    ) -> tuple[Float[Tensor, "batch filters rows"], Float[Tensor, "batch filters columns"]]:
        log_widths = in_full(self.log_widths).clamp(-MAX_LOG, MAX_LOG)
        sigma = window.sigma[:, None] * log_widths.exp()
        u, v = self.places.unbind(-1)
        mu_x = window.g_x[:, None] + u * window.delta[:, None]
        mu_y = window.g_y[:, None] + v * window.delta[:, None]
        return (
            scattered_filters(mu_y, sigma, self.rows),
            scattered_filters(mu_x, sigma, self.columns),
        )

    def read(
        self, images: Float[Tensor, "batch channels rows columns"], window: Window
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read through each filter, times gamma."""
        self.check_images(images)
        check_batch(images, window.gamma)
        patch = read_by_filters(in_full(images), *self._filters(window), self.size)
        return (window.gamma[:, None, None, None] * patch).to(images.dtype)

    def write(
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: Window
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write through each filter, over gamma."""
        check_patch(patch, window.gamma, self.size)
        written = write_by_filters(in_full(patch), *self._filters(window))
        return (written / window.gamma[:, None, None, None]).to(patch.dtype)
