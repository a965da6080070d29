"""Reading and writing through Gaussian windows that the decoder places (eqs 21-29)."""

import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.window import (
    Filterbank,
    Window,
    filterbank,
    read_patch,
    window_parameters,
    write_patch,
)
from draw.config.model import DRAWConfig


def start_window(affine: nn.Linear, rows: int, columns: int, size: int, share: float) -> None:
    """Initialise the controls of a window to start in the middle, with overlapping filters.

    # ours: the paper does not say where the windows start. With delta~ = sigma = 1 the filters miss
    # most of the image and learning stalls for tens of thousands of images; here they spread over a
    # fraction of its longer side, each half as wide (sigma) as they lie apart.

    Args:
        affine: affine map from h_dec to the window's five controls (eq 21); its bias is set.
        rows: height of the images in pixels.
        columns: width of the images in pixels.
        size: side N of the window in filters.
        share: distance between the outermost filters as a fraction of the image's longer side.
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
        hidden_size: length of the decoder output h_dec.
        channels: colour channels of the images; the same filters serve all of them.
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        read_size: side N of the read window in filters.
        write_size: side N of the write window in filters.
    """

    description: ClassVar[str] = "windows of Gaussian filters, as in the paper"
    filters: ClassVar[Filterbank] = staticmethod(filterbank)
    """Filters of the windows, along either side of the image."""

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

    @classmethod
    def from_config(cls, config: DRAWConfig) -> "GaussianAttention":
        """Build the attention of the model that a config describes."""
        sizes = config.read_size, config.write_size
        return cls(config.hidden_size, *config.image_shape, *sizes)

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], Window]:
        """Read a patch of the image and one of the error image through one window (eq 27)."""
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.read_window(h_dec)  # (21)
            window = window_parameters(controls, self.rows, self.columns, self.read_size)
            both = torch.cat([x, x_hat], 1)
            patches = read_patch(both, window, self.filters)
        return patches.flatten(1), window

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], Window]:
        """Write a patch of the decoder's into the image, to be added to the canvas (eqs 28-29)."""
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.write_window(h_dec)  # (21)
            window = window_parameters(controls, self.rows, self.columns, self.write_size)
            w = self.write_content(h_dec)  # (28)
            w = w.unflatten(-1, (self.channels, self.write_size, self.write_size))
            written = write_patch(w, window, self.rows, self.columns, self.filters)
        return written, window
