"""Sizes: how a model's numbers are padded to tiles, and how the tiles are cut."""

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch

from draw.config.model import DRAWConfig

CONTROLS = 5
"""Numbers that place a window: g~_X, g~_Y, log sigma^2, log delta~, log gamma (eq 21)."""

WIDEST = 128
"""Columns of a tile of any product but the gates'."""


@dataclass(frozen=True)
class Tiles:
    """How the kernels cut their work; every choice gives the same numbers, but for rounding.

    These are such that no register of a thread waits in memory, on any card that was compiled for.
    """

    images: int = 16
    """Images of a program: 16, 32 or 64."""
    units: int = 128
    """Hidden units of a tile forward; each has four gates."""
    units_backward: int = 128
    """Hidden units of a tile backward."""
    bytes: int = 16384
    """Bytes of weights that are on their way together, which settles the depth of a tile."""
    pixels: int = 8192
    """Pixels, over some images, that are in registers at a time, forward."""
    pixels_backward: int = 1024
    """Pixels, over some images, that are in registers at a time, backward."""
    warps: int = 8
    stages: int = 2
    """Tiles of weights that are on their way at a time."""
    parts: int = 1
    """Programs that share a group of images, each its turn of the units; they wait for each other,
    so all programs must fit on the card at the same time."""
    fast: bool = False
    """Take tanh from an instruction of the GPU, within 5e-4."""
    precision: str = "ieee"
    """Precision of products of float32: 'ieee', 'tf32' or 'tf32x3'."""


FASTEST = {(9, 0): Tiles(bytes=32768, pixels=16384, pixels_backward=8192, stages=3)}
"""The fastest of those that were measured, by compute capability."""

MOST_PARTS = 8
"""Programs that share a group of images at most: 16 were slower where 8 were measured."""


def power_of_two(n: int, least: int = 1) -> int:
    """The smallest power of two that is at least n and `least`."""
    return max(least, 1 << (n - 1).bit_length())


def round_up(n: int, unit: int) -> int:
    """The smallest multiple of `unit` that is at least n."""
    return -(-n // unit) * unit


@dataclass(frozen=True)
class Layout:
    """The sizes of a model in the kernels' arrays.

    Args:
        config: config of the model.
        tiles: how the work is cut.
        size: bytes of an operand of products.
    """

    config: DRAWConfig
    tiles: Tiles
    size: int

    @cached_property
    def windows(self) -> bool:
        """Whether it reads and writes through windows."""
        return self.config.attention != "none"

    @cached_property
    def learned(self) -> bool:
        """Whether the prior is learned."""
        return self.config.prior == "learned"

    @cached_property
    def pixels(self) -> int:
        """Numbers of an image."""
        return self.config.channels * self.config.rows * self.config.columns

    @cached_property
    def units(self) -> int:
        """Hidden units of a tile forward."""
        return self._share(self.tiles.units, self.config.hidden_size)

    @cached_property
    def units_backward(self) -> int:
        """Hidden units of a tile backward."""
        return self._share(self.tiles.units_backward, self.config.hidden_size)

    @cached_property
    def latents(self) -> int:
        """Latent variables of a tile forward."""
        return min(WIDEST, power_of_two(self.config.latent_size, 16))

    @cached_property
    def latents_backward(self) -> int:
        """Latent variables of a tile backward."""
        return self._share(WIDEST, self.config.latent_size)

    @cached_property
    def gates_depth(self) -> int:
        """Depth of a tile of the gates' weights: h, r and z are multiples of it."""
        return max(16, min(64, self.tiles.bytes // (4 * self.units * self.size)))

    @cached_property
    def hidden(self) -> int:
        """Hidden units, padded."""
        tile = self.tiles.parts * max(self.units, self.units_backward)
        return round_up(self.config.hidden_size, max(tile, self.gates_depth))

    @cached_property
    def latent(self) -> int:
        """Latent variables, padded."""
        tile = max(self.latents, self.tiles.parts * self.latents_backward)
        return round_up(self.config.latent_size, max(tile, self.gates_depth))

    @cached_property
    def features(self) -> int:
        """Numbers that are read at each step; without attention those of the error image."""
        return 2 * self.config.channels * self.config.read_size**2 if self.windows else self.pixels

    @cached_property
    def features_tile(self) -> int:
        """Number of features in a tile backward."""
        if not self.windows:
            return self._share(WIDEST, self.features)
        return min(WIDEST, power_of_two(self.features, max(16, self.gates_depth)))

    @cached_property
    def read_width(self) -> int:
        """Numbers that are read, padded."""
        parts = 1 if self.windows else self.tiles.parts
        return round_up(self.features, max(parts * self.features_tile, self.gates_depth))

    @cached_property
    def content(self) -> int:
        """Numbers of the patch that is written; without attention of the canvas."""
        return self.config.channels * self.config.write_size**2 if self.windows else self.pixels

    @cached_property
    def outputs_tile(self) -> int:
        """Number of the decoder's outputs in a tile."""
        if not self.windows:
            return self.features_tile
        return min(WIDEST, power_of_two(2 * CONTROLS + self.content, 16))

    @cached_property
    def outputs(self) -> int:
        """The decoder's outputs, padded: controls to read, to write, and the patch."""
        if not self.windows:
            return self.read_width
        return round_up(2 * CONTROLS + self.content, self.outputs_tile)

    @cached_property
    def moments(self) -> int:
        """Number of moments of a step's code, of the posterior and of a learned prior."""
        return (4 if self.learned else 2) * self.latent

    @cached_property
    def stride(self) -> int:
        """Length of a row of activations: h_enc, r, h_dec, z."""
        return 2 * self.hidden + self.read_width + self.latent

    @cached_property
    def canvas(self) -> int:
        """Numbers of a canvas, padded without attention."""
        return self.pixels if self.windows else self.outputs

    @cached_property
    def table(self) -> int:
        """Numbers of an image's table forward."""
        if not self.windows:
            return 1
        (B, A), C = self._padded_sides(), self.config.channels
        read, write = self.config.read_size, self.config.write_size
        return read * (B + A + 2 * C * B) + write * (B + A + C * A)

    @cached_property
    def table_backward(self) -> int:
        """Numbers of an image's table backward."""
        if not self.windows:
            return 1
        (B, A), C = self._padded_sides(), self.config.channels
        read, write = self.config.read_size, self.config.write_size
        return read * (2 + 2 * C) * (A + B) + write * (2 * B + A + 2 * C * A)

    def forward_constants(self) -> dict[str, Any]:
        """What the forward kernel is compiled for, less its switches."""
        return self._shared() | {
            "TABLE": self.table, "MI": self._images_at_once(self.tiles.pixels),
            "BN": self.units, "BZ": self.latents, "DEPTH": self.gates_depth,
            "POST_DEPTH": self._depth(2 * self.latents, self.hidden),
            "OUT_DEPTH": self._depth(self.outputs_tile, self.hidden),
        }  # fmt: skip

    def backward_constants(self) -> dict[str, Any]:
        """What the backward kernel is compiled for, less its switches."""
        units, gates = self.units_backward, 4 * self.hidden
        return self._shared() | {
            "TABLE": self.table_backward, "MI": self._images_at_once(self.tiles.pixels_backward),
            "BN": units, "BZ": self.latents_backward, "BR": self.features_tile,
            "OUT_DEPTH": self._depth(units, self.outputs),
            "Z_DEPTH": self._depth(self.latents_backward, gates),
            "DEC_DEPTH": self._depth(units, gates),
            "POST_DEPTH": self._depth(units, 2 * self.latent),
            "ENC_DEPTH": self._depth(2 * units, gates),
            "R_DEPTH": self._depth(self.features_tile, gates),
        }  # fmt: skip

    def _shared(self) -> dict[str, Any]:
        B, A = self._padded_sides()
        config, tiles = self.config, self.tiles
        return {
            "T": config.glimpses, "WINDOWS": self.windows,
            "FILTERS": config.attention, "LEARNED": self.learned, "C": config.channels,
            "B": config.rows, "A": config.columns, "BP": B, "AP": A,
            "NR": config.read_size, "NW": config.write_size,
            "NRP": power_of_two(config.read_size), "NWP": power_of_two(config.write_size),
            "Z": config.latent_size, "HP": self.hidden, "RP": self.read_width, "ZP": self.latent,
            "OP": self.outputs, "M": tiles.images, "BO": self.outputs_tile,
            "PARTS": tiles.parts, "FAST": tiles.fast, "PRECISION": tiles.precision,
        }  # fmt: skip

    def _share(self, most: int, of: int) -> int:
        return max(16, min(most, power_of_two(of) // self.tiles.parts))

    def _depth(self, columns: int, total: int) -> int:
        """Rows of a tile of weights of so many columns: a power of two that divides the total."""
        divides = total & -total
        return max(16, min(256, divides, self.tiles.bytes // (columns * self.size)))

    def _padded_sides(self) -> tuple[int, int]:
        return power_of_two(self.config.rows, 4), power_of_two(self.config.columns, 4)

    def _images_at_once(self, pixels: int) -> int:
        B, A = self._padded_sides()
        return max(1, min(self.tiles.images, pixels // (B * A)))


@cache
def layout_of(config: DRAWConfig, dtype: torch.dtype, tiles: Tiles) -> Layout:
    """The sizes for operands of a type; float32's weights go through the registers of more tiles.

    Args:
        config: config of the model.
        dtype: float32, bfloat16 or float16.
        tiles: how the work is cut.
    """
    if dtype == torch.float32:
        tiles = replace(tiles, units=min(64, tiles.units), units_backward=64)
    return Layout(config, tiles, dtype.itemsize)
