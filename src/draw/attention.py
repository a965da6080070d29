"""Where to read and where to write: eqs 17-29 of the paper, in plain PyTorch.

The window is a building block of its own. To let a network of yours look at part of an image:

    >>> import torch
    >>> from draw.attention import read_patch, window_parameters
    >>> images = torch.rand(8, 3, 48, 64)  # [batch, channels, rows, columns]
    >>> controls = torch.nn.Linear(100, 5)(torch.randn(8, 100))  # from your own features
    >>> window = window_parameters(controls, rows=48, columns=64, size=12)
    >>> read_patch(images, window, size=12).shape  # differentiable in both arguments
    torch.Size([8, 3, 12, 12])

`write_patch` is its counterpart, and `GaussianAttention` the pair as DRAW uses it. Pixels are
counted from 1, as in the paper: the centre of the first pixel is at 1, that of the last at A or B.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

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


def filterbanks(
    window: Window, size: int, rows: int, columns: int
) -> tuple[Float[Tensor, "*batch {size} {rows}"], Float[Tensor, "*batch {size} {columns}"]]:
    """Vertical and horizontal filters (F_Y, F_X) of a window over an image of rows x columns."""
    F_y = filterbank(window.g_y, window.delta, window.sigma, size, rows)
    F_x = filterbank(window.g_x, window.delta, window.sigma, size, columns)
    return F_y, F_x


def read_patch(
    images: Float[Tensor, "batch channels rows columns"], window: Window, size: int
) -> Float[Tensor, "batch channels {size} {size}"]:
    """Look at images through a window: gamma F_Y x F_X^T, channel by channel (eq 27)."""
    F_y, F_x = filterbanks(window, size, *images.shape[-2:])
    patch = F_y[:, None] @ images @ F_x[:, None].mT
    return window.gamma[:, None, None, None] * patch


def write_patch(
    patch: Float[Tensor, "batch channels size size"], window: Window, rows: int, columns: int
) -> Float[Tensor, "batch channels {rows} {columns}"]:
    """Put a patch into an image through a window: (1/gamma) F_Y^T w F_X (eq 29)."""
    F_y, F_x = filterbanks(window, patch.shape[-1], rows, columns)
    image = F_y[:, None].mT @ patch @ F_x[:, None]
    return image / window.gamma[:, None, None, None]


def start_window(affine: nn.Linear, rows: int, columns: int, size: int, share: float) -> None:
    """Start a window in the middle of the image, with filters that overlap.

    # ours: the paper does not say where the windows start. With delta~ = sigma = 1 the filters
    # miss most of the image and learning stalls for tens of thousands of images; here they
    # spread over a share of its longer side, each half as wide (sigma) as they lie apart.

    Args:
        affine: makes the window's controls; its bias is set.
        rows: height of the images in pixels.
        columns: width of the images in pixels.
        size: side N of the window in filters.
        share: of the image's longer side, between the outermost filters.
    """
    delta = share * (max(rows, columns) - 1) / max(size - 1, 1)
    with torch.no_grad():
        affine.bias.copy_(
            torch.tensor([0.0, 0.0, 2 * math.log(max(delta, 1.0) / 2), math.log(share), 0.0])
        )


class GaussianAttention(nn.Module):
    """Reading and writing through Gaussian windows that the decoder places (eqs 19-29).

    Reading and writing have affine maps of their own, `read_window` and `write_window`. All of it
    is computed in full precision also under autocast, which would round the centre of a window by
    some hundredths of a pixel.

    Args:
        hidden_size: size of h_dec.
        channels: channels of the images; the same filters serve all of them.
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        read_size: side N of the read window in filters.
        write_size: side N of the write window in filters.
    """

    def __init__(
        self,
        hidden_size: int,
        channels: int,
        rows: int,
        columns: int,
        read_size: int,
        write_size: int,
    ) -> None:
        super().__init__()
        self.channels, self.rows, self.columns = channels, rows, columns
        self.read_size, self.write_size = read_size, write_size
        self.features = 2 * channels * read_size**2
        """Numbers that `read` returns for each image."""
        self.read_window = nn.Linear(hidden_size, 5)
        self.write_window = nn.Linear(hidden_size, 5)
        self.write_content = nn.Linear(hidden_size, channels * write_size**2)
        start_window(self.read_window, rows, columns, read_size, share=1.0)
        start_window(self.write_window, rows, columns, write_size, share=0.5)

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], Window]:
        """Patches of the image and of the error image, read through one window (eq 27)."""
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.read_window(h_dec)  # (21)
            window = window_parameters(controls, self.rows, self.columns, self.read_size)
            patches = read_patch(torch.cat([x, x_hat], 1), window, self.read_size)
        return patches.flatten(1), window

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Window]:
        """What the decoder adds to the canvas (eqs 28-29)."""
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.write_window(h_dec)  # (21)
            window = window_parameters(controls, self.rows, self.columns, self.write_size)
            w = self.write_content(h_dec)  # (28)
            w = w.unflatten(-1, (self.channels, self.write_size, self.write_size))
            written = write_patch(w, window, self.rows, self.columns)
        return written, window


class NoAttention(nn.Module):
    """Reading and writing the whole image at every step (eqs 17-18).

    Args:
        hidden_size: size of h_dec.
        channels: channels of the images.
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
    """

    def __init__(self, hidden_size: int, channels: int, rows: int, columns: int) -> None:
        super().__init__()
        self.image_shape = channels, rows, columns
        self.features = 2 * channels * rows * columns
        """Numbers that `read` returns for each image."""
        self.write_content = nn.Linear(hidden_size, channels * rows * columns)

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], None]:
        """The image and the error image, whole (eq 17)."""
        return torch.cat([x, x_hat], 1).flatten(1), None

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], None]:
        """What the decoder adds to the canvas (eq 18)."""
        return self.write_content(h_dec).unflatten(-1, self.image_shape), None
