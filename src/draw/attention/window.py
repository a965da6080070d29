"""The window (eqs 19-27, 29): its parameters, its filters, reading and writing through it.

Pixels are counted from 1, as in the paper: the centre of the first pixel is at 1, that of the last
at A or B.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

MAX_LOG = 20.0
"""Bound on log sigma^2, log delta~ and log gamma. Far outside any window that can matter (a sigma
of 5e-5 pixels is one pixel, one of 2e4 pixels the whole image), and nothing overflows within it."""
MAX_CENTRE = 1e4
"""Bound on g~_X and g~_Y: a window so many times the image's size away from it."""


class Window(NamedTuple):
    """Where a window is and how it looks; each field has the shape of the batch.

    Centre (`g_x`, `g_y`), stride `delta` and width `sigma` are in pixels, counted from 1;
    the intensity `gamma` is a factor.
    """

    g_x: Float[Tensor, "*batch"]
    g_y: Float[Tensor, "*batch"]
    delta: Float[Tensor, "*batch"]
    sigma: Float[Tensor, "*batch"]
    gamma: Float[Tensor, "*batch"]


def window_parameters(
    controls: Float[Tensor, "*batch 5"], rows: int, columns: int, size: int
) -> Window:
    """Turn five free numbers into a window (eqs 21-24).

    Args:
        controls: (g~_X, g~_Y, log sigma^2, log delta~, log gamma), any real numbers; zeros give a
            window in the middle whose outermost filters sit on the border of the longer side.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        size: side N of the window in filters.

    Differs from the paper: the three logarithms are held within +-`MAX_LOG` and the centre within
    +-`MAX_CENTRE`, so that no input overflows; and for N = 1, where eq 24 divides by zero, the
    stride is that of N = 2 (it has no effect on a single filter).
    """
    g_x, g_y = controls[..., :2].clamp(-MAX_CENTRE, MAX_CENTRE).unbind(-1)
    log_sigma2, log_delta, log_gamma = controls[..., 2:].clamp(-MAX_LOG, MAX_LOG).unbind(-1)
    return Window(
        g_x=(columns + 1) / 2 * (g_x + 1),  # (22)
        g_y=(rows + 1) / 2 * (g_y + 1),  # (23)
        delta=(max(columns, rows) - 1) / max(size - 1, 1) * log_delta.exp(),  # (24)
        sigma=(log_sigma2 / 2).exp(),
        gamma=log_gamma.exp(),
    )


def filter_centres(
    g: Float[Tensor, "*batch"], delta: Float[Tensor, "*batch"], size: int
) -> Float[Tensor, "*batch {size}"]:
    """Where the N filters along one side stand, in pixels counted from 1 (eqs 19-20)."""
    i = torch.arange(1, size + 1, dtype=g.dtype, device=g.device)
    return g[..., None] + (i - size / 2 - 0.5) * delta[..., None]


def filterbank(
    g: Float[Tensor, "*batch"],
    delta: Float[Tensor, "*batch"],
    sigma: Float[Tensor, "*batch"],
    size: int,
    length: int,
) -> Float[Tensor, "*batch {size} {length}"]:
    """N Gaussian filters along one side of the image, each summing to 1 (eqs 19-20, 25-26).

    The exact normalisation is a softmax over the pixels: it cannot divide by zero, and a filter
    far outside the image falls on the pixel nearest to it.

    Args:
        g: centre of the grid in pixels, counted from 1.
        delta: distance between filters in pixels.
        sigma: standard deviation of each filter in pixels.
        size: number of filters, N.
        length: number of pixels, A for F_X and B for F_Y.
    """
    mu = filter_centres(g, delta, size)  # (19-20)
    a = torch.arange(1, length + 1, dtype=g.dtype, device=g.device)
    distance = (a - mu[..., None]) / sigma[..., None, None]
    return (-distance.square() / 2).softmax(-1)  # (25-26)


@runtime_checkable
class Filterbank(Protocol):
    """N filters along one side of an image, each summing to 1; `filterbank` is the paper's."""

    def __call__(
        self,
        g: Float[Tensor, "*batch"],
        delta: Float[Tensor, "*batch"],
        sigma: Float[Tensor, "*batch"],
        size: int,
        length: int,
    ) -> Float[Tensor, "*batch {size} {length}"]:
        """See `filterbank`."""


def filterbanks(
    window: Window, size: int, rows: int, columns: int, filters: Filterbank = filterbank
) -> tuple[Float[Tensor, "*batch {size} {rows}"], Float[Tensor, "*batch {size} {columns}"]]:
    """Vertical and horizontal filters (F_Y, F_X) of a window over an image of rows x columns."""
    F_y = filters(window.g_y, window.delta, window.sigma, size, rows)
    F_x = filters(window.g_x, window.delta, window.sigma, size, columns)
    return F_y, F_x


def read_patch(
    images: Float[Tensor, "batch channels rows columns"],
    window: Window,
    size: int,
    filters: Filterbank = filterbank,
) -> Float[Tensor, "batch channels {size} {size}"]:
    """Look at images through a window: gamma F_Y x F_X^T, channel by channel (eq 27)."""
    rows, columns = images.shape[-2:]
    F_y, F_x = filterbanks(window, size, rows, columns, filters)
    patch = F_y[:, None] @ images @ F_x[:, None].mT
    return window.gamma[:, None, None, None] * patch


def write_patch(
    patch: Float[Tensor, "batch channels size size"],
    window: Window,
    rows: int,
    columns: int,
    filters: Filterbank = filterbank,
) -> Float[Tensor, "batch channels {rows} {columns}"]:
    """Put a patch into an image through a window: (1/gamma) F_Y^T w F_X (eq 29)."""
    F_y, F_x = filterbanks(window, patch.shape[-1], rows, columns, filters)
    image = F_y[:, None].mT @ patch @ F_x[:, None]
    return image / window.gamma[:, None, None, None]
