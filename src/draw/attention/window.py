"""The window of eqs 19-27 and 29: its parameters, its filters, reading and writing through it.

Pixels are counted from 1, as in the paper: the centre of the first pixel is at 1, that of the last
at A or B.
"""

from dataclasses import dataclass, fields
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.abstract import AbstractWindow
from draw.tensors import in_full

MAX_LOG = 20.0
"""Bound on log sigma^2, log delta~ and log gamma. Far outside any window that can matter (a sigma
of 5e-5 pixels is one pixel, one of 2e4 pixels the whole image), and no value overflows within it
(gradients may: of sigma^2 = e^-20 under an intensity of e^20, in float32)."""
MAX_CENTRE = 1e4
"""Bound on g~_X and g~_Y: a window so many times the image's size away from it."""


@dataclass(frozen=True, eq=False)
class Window(AbstractWindow):
    """An N x N grid of Gaussian filters on an image; each tensor has the shape of the batch.

    Centre (`g_x`, `g_y`), stride `delta` and width `sigma` are in pixels, counted from 1; the
    intensity `gamma` is a factor; `size` is the number of filters along a side, N.
    """

    meaning: ClassVar[str] = (
        "the window's centre, stride and width in pixels counted from 1, and its intensity"
    )

    g_x: Float[Tensor, "*batch"]
    g_y: Float[Tensor, "*batch"]
    delta: Float[Tensor, "*batch"]
    sigma: Float[Tensor, "*batch"]
    gamma: Float[Tensor, "*batch"]
    size: int

    @property
    def outline(self) -> Float[Tensor, "*batch 1 4 2"]:
        """The rectangle round the pixels under the outermost filters, from its upper left corner.

        Its side is (N - 1) delta + 1 pixels: a window whose five controls are zero frames a square
        image exactly, and N = 1 gives one pixel.
        """
        half = (self.delta.abs() * (self.size - 1) + 1) / 2
        left, right = self.g_x - half, self.g_x + half
        top, bottom = self.g_y - half, self.g_y + half
        corners = torch.stack([left, top, right, top, right, bottom, left, bottom], -1)
        return corners.reshape(*self.g_x.shape, 1, 4, 2)

    @property
    def line_width(self) -> Float[Tensor, "*batch"]:
        """Half of sigma in pixels: figure 10 shows sigma by the line's width, without a scale."""
        return self.sigma / 2

    @property
    def centre(self) -> Float[Tensor, "*batch 2"]:
        """The centre of the grid, g_X and g_Y, in pixels counted from 1."""
        return torch.stack([self.g_x, self.g_y], -1)


def window_parameters(
    controls: Float[Tensor, "*batch 5"], rows: int, columns: int, size: int
) -> Window:
    """Turn five unbounded numbers into the parameters of a window (eqs 21-24).

    Differs from the paper: the three logarithms are held within +-`MAX_LOG` and the centre within
    +-`MAX_CENTRE`, so that no input overflows; and for N = 1, where eq 24 divides by zero, the
    stride is that of N = 2 (it has no effect on a single filter).

    # ours: controls of 16 bits, of a network in half precision or under autocast, make a window in
    float32. Rounded to bf16 a centre at 100 pixels is off by up to a quarter, and pixels beyond
    the 256th would count as one with their neighbours.

    Args:
        controls: (g~_X, g~_Y, log sigma^2, log delta~, log gamma), any real numbers; zeros give a
            window in the middle whose outermost filters sit on the border of the longer side.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        size: number of filters along a side of the window, N.

    Raises:
        ValueError: if a window has not five controls.
    """
    check_controls(controls, 5)
    controls = in_full(controls)
    g_x, g_y = controls[..., :2].clamp(-MAX_CENTRE, MAX_CENTRE).unbind(-1)
    log_sigma2, log_delta, log_gamma = controls[..., 2:].clamp(-MAX_LOG, MAX_LOG).unbind(-1)
    return Window(
        g_x=(columns + 1) / 2 * (g_x + 1),  # (22)
        g_y=(rows + 1) / 2 * (g_y + 1),  # (23)
        delta=(max(columns, rows) - 1) / max(size - 1, 1) * log_delta.exp(),  # (24)
        sigma=(log_sigma2 / 2).exp(),
        gamma=log_gamma.exp(),
        size=size,
    )


def filter_centres(
    g: Float[Tensor, "*batch"], delta: Float[Tensor, "*batch"], size: int
) -> Float[Tensor, "*batch {size}"]:
    """Centres of the N filters along one side, in pixels counted from 1 (eqs 19-20).

    Args:
        g: centre of the grid in pixels, counted from 1.
        delta: distance between neighbouring filters in pixels.
        size: number of filters along the side, N.

    Returns:
        The centres, in float32 at least: 16 bits do not tell the pixels of a large image apart.
    """
    g, delta = in_full(g), in_full(delta)
    i = torch.arange(1, size + 1, dtype=g.dtype, device=g.device)
    return g[..., None] + (i - size / 2 - 0.5) * delta[..., None]


def filterbank(
    g: Float[Tensor, "*batch"],
    delta: Float[Tensor, "*batch"],
    sigma: Float[Tensor, "*batch"],
    size: int,
    length: int,
) -> Float[Tensor, "*batch {size} {length}"]:
    """Build N Gaussian filters along one side of the image, each summing to 1 (eqs 19-20, 25-26).

    The exact normalisation is a softmax over the pixels: it cannot divide by zero, and a filter
    far outside the image falls on the pixel nearest to it.

    Args:
        g: centre of the grid in pixels, counted from 1.
        delta: distance between neighbouring filters in pixels.
        sigma: standard deviation of each filter in pixels.
        size: number of filters along the side, N.
        length: number of pixels along the side, A for F_X and B for F_Y.

    Returns:
        The filters, in float32 at least, as windows are.
    """
    mu = filter_centres(g, delta, size)  # (19-20)
    a = torch.arange(1, length + 1, dtype=mu.dtype, device=g.device)
    distance = (a - mu[..., None]) / sigma[..., None, None]
    return (-distance.square() / 2).softmax(-1)  # (25-26)


@runtime_checkable
class Filterbank(Protocol):
    """A function that builds the N filters along one side of an image, such as `filterbank`."""

    def __call__(
        self,
        g: Float[Tensor, "*batch"],
        delta: Float[Tensor, "*batch"],
        sigma: Float[Tensor, "*batch"],
        size: int,
        length: int,
    ) -> Float[Tensor, "*batch {size} {length}"]:
        """Build N filters along one side of an image; arguments as in `filterbank`."""


def filterbanks(
    window: Window, rows: int, columns: int, filters: Filterbank = filterbank
) -> tuple[
    Float[Tensor, "*batch {window.size} {rows}"], Float[Tensor, "*batch {window.size} {columns}"]
]:
    """Filters (F_Y, F_X) of a window over the rows and the columns of an image.

    Raises:
        ValueError: if the window is of another geometry.
    """
    _check_upright(window)
    F_y = filters(window.g_y, window.delta, window.sigma, window.size, rows)
    F_x = filters(window.g_x, window.delta, window.sigma, window.size, columns)
    return F_y, F_x


def read_patch(
    images: Float[Tensor, "batch channels rows columns"],
    window: Window,
    filters: Filterbank = filterbank,
) -> Float[Tensor, "batch channels {window.size} {window.size}"]:
    """Read images through a window: gamma F_Y x F_X^T, channel by channel (eq 27).

    Args:
        images: images, float, [batch, channels, rows, columns]; the patch has their type, and is
            computed in float32 at least.
        window: one window for each image.
        filters: function that builds the filters of one side; by default the paper's.

    Raises:
        ValueError: if there are not images of four dimensions with a window each, or the window is
            of another geometry.
    """
    check_batch(images, window.gamma)
    rows, columns = images.shape[-2:]
    F_y, F_x = filterbanks(window, rows, columns, filters)
    patch = F_y[:, None] @ in_full(images) @ F_x[:, None].mT
    return (window.gamma[:, None, None, None] * patch).to(images.dtype)


def write_patch(
    patch: Float[Tensor, "batch channels {window.size} {window.size}"],
    window: Window,
    rows: int,
    columns: int,
    filters: Filterbank = filterbank,
) -> Float[Tensor, "batch channels {rows} {columns}"]:
    """Write a patch into an image through a window: (1/gamma) F_Y^T w F_X (eq 29).

    Args:
        patch: w, float, [batch, channels, N, N]; what is written has its type, and is computed in
            float32 at least.
        window: one window for each patch, of N filters along a side.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        filters: function that builds the filters of one side; by default the paper's.

    Raises:
        ValueError: if the patch has not one number for each filter of the window, there are not
            patches of four dimensions with a window each, or the window is of another geometry.
    """
    check_patch(patch, window.gamma, window.size)
    F_y, F_x = filterbanks(window, rows, columns, filters)
    image = F_y[:, None].mT @ in_full(patch) @ F_x[:, None]
    return (image / window.gamma[:, None, None, None]).to(patch.dtype)


def check_controls(controls: Tensor, count: int) -> None:
    """Refuse controls of another number than places a window.

    Args:
        controls: controls of windows, [*batch, controls].
        count: number of controls of a window.

    Raises:
        ValueError: if there are more or fewer.
    """
    if controls.ndim == 0 or controls.shape[-1] != count:
        raise ValueError(
            f"expected {count} controls for each window, [*batch, {count}], got "
            f"{list(controls.shape)}; let what makes them have {count} outputs"
        )


def check_batch(planes: Tensor, gamma: Tensor) -> None:
    """Refuse images or patches of 8 bits or without a dimension, and windows that are no batch.

    Without a dimension they would be read by another one's window, or be broadcast.

    Args:
        planes: images to be read, or patches to be written.
        gamma: intensity of the windows.

    Raises:
        ValueError: if the first are not floating-point numbers of [batch, channels, rows, columns],
            or the other not [batch].
    """
    if not planes.is_floating_point():
        raise ValueError(
            f"expected floating-point images or patches, got {planes.dtype}; divide 8-bit images "
            "by 255"
        )
    if planes.ndim != 4 or gamma.ndim != 1:
        raise ValueError(
            "expected [batch, channels, rows, columns] and a window for each of the batch, got "
            f"{list(planes.shape)} and windows {list(gamma.shape)}; an image alone is a batch of "
            "one (images[None], and controls[None]), a grey one has one channel (images[:, None])"
        )


def check_patch(patch: Tensor, gamma: Tensor, size: int) -> None:
    """Refuse patches that are not of the window's size, or as `check_batch` does.

    Args:
        patch: patches to be written.
        gamma: intensity of the windows.
        size: number of filters along a side of the windows.

    Raises:
        ValueError: if a patch has not one number for each filter.
    """
    check_batch(patch, gamma)
    if tuple(patch.shape[-2:]) != (size, size):
        raise ValueError(
            f"expected a patch of {size} x {size}, the window's filters, got "
            f"{' x '.join(map(str, patch.shape[-2:]))}; make window and patch of one size"
        )


def _check_upright(window: AbstractWindow) -> None:
    """Refuse windows that have numbers, such as an angle, of which filters along a side know not.

    Raises:
        ValueError: if it is another window than `Window`, with more numbers.
    """
    if type(window) is Window:
        return
    known = {field.name for field in fields(Window)}
    further = [field.name for field in fields(window) if field.name not in known]
    if further:
        raise ValueError(
            f"expected a Window, an upright grid, got a {type(window).__name__} with "
            f"{', '.join(further)}, which its filters along rows and columns would not heed; read "
            "and write through it with the sampler that made it"
        )
