"""Reading and writing through windows that the decoder places: eqs 21, 27-29 for any geometry."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.attention.abstract import AbstractWindow
from draw.attention.grid import GaussianSampler
from draw.attention.sampler import Sampler, start_windows
from draw.attention.several import SeveralWindows, by_head
from draw.config.model import DRAWConfig

SamplerKind = Callable[[int, int, int], Sampler]
"""A class of samplers: made from rows, columns and the side of the window in filters."""


class WindowAttention(nn.Module):
    """Reading and writing through windows that the decoder places.

    Reading and writing have affine maps of their own, `read_window` and `write_window` (eq 21). All
    of it is computed in full precision also under autocast, which would round the centre of a
    window by some hundredths of a pixel.

    # Differs from the paper where there are several windows: then each of them is placed by five
    numbers of its own, what is read is all their patches, and what is written is the sum

        write(h_dec) = sum_k (1/gamma_k) F_Y,k^T w_k F_X,k,

    each with a patch w_k of its own.

    Args:
        hidden_size: length of the decoder output h_dec.
        channels: colour channels of the images; the same filters serve all of them.
        rows: height of the images in pixels, B.
        columns: width of the images in pixels, A.
        read_size: side N of a read window in filters.
        write_size: side N of a write window in filters.
        sampler: class of the samplers, which decides the geometry of the windows.
        read_heads: number of windows that a step reads through.
        write_heads: number of windows that a step writes through.
    """

    def __init__(
        self,
        hidden_size: int,
        channels: int,
        rows: int,
        columns: int,
        read_size: int,
        write_size: int,
        sampler: SamplerKind = GaussianSampler,
        read_heads: int = 1,
        write_heads: int = 1,
    ) -> None:
        super().__init__()
        self.channels, self.rows, self.columns = channels, rows, columns
        self.read_size, self.write_size = read_size, write_size
        self.read_heads, self.write_heads = read_heads, write_heads
        self.features = 2 * channels * read_size**2 * read_heads
        """Numbers that `read` returns for each image."""
        self.reader = sampler(rows, columns, read_size)
        self.writer = sampler(rows, columns, write_size)
        self.read_window = nn.Linear(hidden_size, self.reader.controls * read_heads)
        self.write_window = nn.Linear(hidden_size, self.writer.controls * write_heads)
        self.write_content = nn.Linear(hidden_size, channels * write_size**2 * write_heads)
        start_windows(self.read_window, self.reader, 1.0, read_heads)
        start_windows(self.write_window, self.writer, 0.5, write_heads)

    @classmethod
    def from_config(
        cls, config: DRAWConfig, sampler: SamplerKind = GaussianSampler
    ) -> "WindowAttention":
        """Build the attention of the model that a config describes, with windows of a geometry."""
        sizes = config.read_size, config.write_size
        heads = config.read_heads, config.write_heads
        return cls(config.hidden_size, *config.image_shape, *sizes, sampler, *heads)

    @property
    def description(self) -> str:
        """How the attention reads and writes, in words for model cards."""
        if self.read_heads == self.write_heads == 1:
            return self.reader.description
        return (
            f"{self.reader.description}; {self.read_heads} to read and {self.write_heads} to "
            "write at every step"
        )

    def read(
        self,
        x: Float[Tensor, "batch channels rows columns"],
        x_hat: Float[Tensor, "batch channels rows columns"],
        h_dec: Float[Tensor, "batch hidden"],
    ) -> tuple[Float[Tensor, "batch features"], AbstractWindow]:
        """Read patches of the image and of the error image through the same windows (eq 27)."""
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.read_window(h_dec)  # (21)
            return look(self.reader, torch.cat([x, x_hat], 1), controls, self.read_heads)

    def write(
        self, h_dec: Float[Tensor, "batch hidden"]
    ) -> tuple[Float[Tensor, "batch channels rows columns"], AbstractWindow]:
        """Write patches of the decoder's into the image, to be added to the canvas (eqs 28-29)."""
        heads = self.write_heads
        with torch.autocast(h_dec.device.type, enabled=False):
            controls = self.write_window(h_dec)  # (21)
            w = self.write_content(h_dec)  # (28)
            shape = self.channels, self.write_size, self.write_size
            if heads == 1:
                window = self.writer.window(controls)
                return self.writer.write(w.unflatten(-1, shape), window), window
            window = self.writer.window(by_head(controls, heads))
            patches = w.unflatten(-1, (heads, *shape)).flatten(0, 1)
            written = self.writer.write(patches, _flat(window))
            return _by_image(written, heads).sum(1), SeveralWindows(window)


def look(
    sampler: Sampler,
    images: Float[Tensor, "batch channels rows columns"],
    controls: Float[Tensor, "batch controls"],
    heads: int = 1,
) -> tuple[Float[Tensor, "batch features"], AbstractWindow]:
    """Read images through several windows, and return the patches and the windows (eq 27).

    Args:
        sampler: sampler of the windows.
        images: images, [batch, channels, rows, columns].
        controls: controls of the first window, then those of the second, and so on, [batch, heads *
            controls].
        heads: number of windows, whose patches stand one after another in the result.
    """
    if heads == 1:
        window: AbstractWindow = sampler.window(controls)
        return sampler.read(images, window).flatten(1), window
    window = sampler.window(by_head(controls, heads))
    each = images[:, None].expand(-1, heads, -1, -1, -1).flatten(0, 1)
    patches = sampler.read(each, _flat(window))
    return _by_image(patches, heads).flatten(1), SeveralWindows(window)


def _by_image(
    flat: Float[Tensor, "all channels rows columns"], heads: int
) -> Float[Tensor, "batch {heads} channels rows columns"]:
    """What `_flat` windows gave, by image and window."""
    return flat.reshape(flat.shape[0] // heads, heads, *flat.shape[1:])


def _flat(window: AbstractWindow) -> AbstractWindow:
    """Windows [batch, heads] as one batch."""
    return window.map(lambda value: value.flatten(0, 1))
