"""A window of any affine form: the spatial transformer of Jaderberg et al. (2015)."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample

from draw.attention.abstract import AbstractWindow
from draw.attention.sampler import Sampler
from draw.attention.window import (
    MAX_CENTRE,
    MAX_LOG,
    check_batch,
    check_controls,
    check_patch,
)
from draw.tensors import in_full

BEYOND = 4.0
"""In units of half a patch: farther outside of a patch nothing is interpolated, even for N = 1."""


@dataclass(frozen=True, eq=False)
class AffineWindow(AbstractWindow):
    """A parallelogram on an image; each tensor has the shape of the batch.

    A place u in the patch, [-1, 1]^2, lies on the image at p = g + M u in pixels counted from 1:

        M = [cos a, -sin a; sin a, cos a] [1, k; 0, 1] diag(width / 2, height / 2)

    with the angle a in radians from x to y and the shear k. The determinant of M is positive, so
    that a window is never a line and never a mirror.
    """

    meaning: ClassVar[str] = (
        "the window's centre, width and height in pixels counted from 1, its angle in radians from "
        "x to y, its shear, and its intensity"
    )

    g_x: Float[Tensor, "*batch"]
    g_y: Float[Tensor, "*batch"]
    width: Float[Tensor, "*batch"]
    height: Float[Tensor, "*batch"]
    angle: Float[Tensor, "*batch"]
    shear: Float[Tensor, "*batch"]
    gamma: Float[Tensor, "*batch"]
    size: int

    @property
    def outline(self) -> Float[Tensor, "*batch 1 4 2"]:
        """Corners of the parallelogram, from the patch's upper left, in pixels counted from 1."""
        square = self.g_x.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        return self.place(square.expand(*self.g_x.shape, 1, 4, 2))

    @property
    def line_width(self) -> Float[Tensor, "*batch"]:
        """Width of the outline, the thinnest there is: the window has no sigma."""
        return torch.zeros_like(self.g_x)

    @property
    def centre(self) -> Float[Tensor, "*batch 2"]:
        """Centre of the window, g_X and g_Y, in pixels counted from 1."""
        return torch.stack([self.g_x, self.g_y], -1)

    def place(self, u: Float[Tensor, "*batch i j 2"]) -> Float[Tensor, "*batch i j 2"]:
        """Places on the image of places in the patch: p = g + M u."""
        g_x, g_y, half_width, half_height, cos, sin, shear = self._factors
        x, y = half_width * u[..., 0], half_height * u[..., 1]
        x = x + shear * y
        return torch.stack([g_x + cos * x - sin * y, g_y + sin * x + cos * y], -1)

    def find(self, p: Float[Tensor, "*batch i j 2"]) -> Float[Tensor, "*batch i j 2"]:
        """Places in the patch of places on the image: u = M^-1 (p - g)."""
        g_x, g_y, half_width, half_height, cos, sin, shear = self._factors
        x, y = p[..., 0] - g_x, p[..., 1] - g_y
        x, y = cos * x + sin * y, cos * y - sin * x
        return torch.stack([(x - shear * y) / half_width, y / half_height], -1)

    @property
    def _factors(self) -> tuple[Tensor, ...]:
        factors = (
            self.g_x, self.g_y, self.width / 2, self.height / 2, self.angle.cos(), self.angle.sin(),
            self.shear,
        )  # fmt: skip
        return tuple(factor[..., None, None] for factor in factors)


class AffineSampler(Sampler):
    """Reads and writes through a patch that an affine map lays on the image.

    Source: the spatial transformer, Jaderberg et al. 2015 (arXiv 1506.02025), with their grid
    (eq 1) and bilinear kernel (eq 5). With p = g + M u of `AffineWindow`, the number at place u of
    a patch is

        r(u) = gamma sum_b sum_a x[b, a] max(0, 1 - |p_X - a|) max(0, 1 - |p_Y - b|),

    read at the middles of the N x N fields of the patch. What is written at pixel p is the patch at
    u = M^-1 (p - g), interpolated in the same way and over gamma: it fades out over half a field
    beyond the frame, and there is nothing farther out.

    # Differs from the paper: these filters see only the four pixels round a place, so that a window
    # of few filters over a large image misses what lies between them (give it a larger read_size),
    # the gradient has kinks where a place crosses a pixel, and writing is no adjoint of reading: as
    # such it would leave holes between the places. # ours: seven free numbers, of which zeros are a
    # square over the longer side of the image; places off the image are read at its border.
    """

    description: ClassVar = "affine windows, read and written bilinearly (spatial transformer)"
    controls: ClassVar[int] = 7

    def start(self, share: float, x: float = 0.0, y: float = 0.0) -> Float[Tensor, " controls"]:
        """Controls of an upright square over a fraction of the image's longer side."""
        log_share = math.log(share)
        return torch.tensor([x, y, log_share, log_share, 0.0, 0.0, 0.0])

    def window(self, controls: Float[Tensor, "*batch 7"]) -> AffineWindow:
        """The windows that (g~_X, g~_Y, log width~, log height~, angle, shear, log gamma) are.

        g~_X and g~_Y are eqs 22-23's, width~ and height~ shares of the image's longer side. All are
        held within the bounds of `window_parameters`.

        Raises:
            ValueError: if a window has not seven controls.
        """
        check_controls(controls, self.controls)
        controls = in_full(controls)
        g_x, g_y, _, _, angle, shear, _ = controls.clamp(-MAX_CENTRE, MAX_CENTRE).unbind(-1)
        logs = controls.clamp(-MAX_LOG, MAX_LOG)
        longer = max(self.rows, self.columns)
        return AffineWindow(
            g_x=(self.columns + 1) / 2 * (g_x + 1),  # (22)
            g_y=(self.rows + 1) / 2 * (g_y + 1),  # (23)
            width=longer * logs[..., 2].exp(),
            height=longer * logs[..., 3].exp(),
            angle=angle,
            shear=shear,
            gamma=logs[..., 6].exp(),
            size=self.size,
        )

    def read(
        self, images: Float[Tensor, "batch channels rows columns"], window: AffineWindow
    ) -> Float[Tensor, "batch channels {self.size} {self.size}"]:
        """Read the image at the middles of the patch's fields, times gamma."""
        self.check_images(images)
        check_batch(images, window.gamma)
        of = window.g_x.dtype
        fields = torch.arange(1, self.size + 1, dtype=of, device=images.device)
        u = (2 * fields - self.size - 1) / self.size
        square = torch.stack(torch.meshgrid(u, u, indexing="xy"), -1)
        p = window.place(square.expand(images.shape[0], -1, -1, -1))
        last = torch.tensor([self.columns, self.rows], dtype=p.dtype, device=p.device)
        p = p.minimum(last).clamp_min(1)
        patch = grid_sample(
            in_full(images), (2 * p - 1) / last - 1, "bilinear", "border", align_corners=False
        )
        return (window.gamma[:, None, None, None] * patch).to(images.dtype)

    def write(
        self, patch: Float[Tensor, "batch channels {self.size} {self.size}"], window: AffineWindow
    ) -> Float[Tensor, "batch channels {self.rows} {self.columns}"]:
        """Write the patch at the places of the pixels, over gamma."""
        check_patch(patch, window.gamma, self.size)
        of = window.g_x.dtype
        a = torch.arange(1, self.columns + 1, dtype=of, device=patch.device)
        b = torch.arange(1, self.rows + 1, dtype=of, device=patch.device)
        pixels = torch.stack(torch.meshgrid(a, b, indexing="xy"), -1)
        u = window.find(pixels.expand(patch.shape[0], -1, -1, -1)).clamp(-BEYOND, BEYOND)
        written = grid_sample(in_full(patch), u, "bilinear", "zeros", align_corners=False)
        return (written / window.gamma[:, None, None, None]).to(patch.dtype)
