"""Grids of final images, with their nearest training images or reconstructions (figures 6, 9)."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from draw.visualize.sheet import (
    GAP,
    PICTURE_WIDTH,
    WIDE_GAP,
    Images,
    Label,
    Pixels,
    check_pairs,
    check_pictures,
    enlarge,
    grid_columns,
    omission,
    save_picture,
    scale_for,
    sheet,
    to_pixels,
)

Neighbours = (
    Float[Tensor, "neighbours channels rows columns"]
    | UInt8[Tensor, "neighbours channels rows columns"]
)
MAX_IMAGES = 100
"""Most images in a grid; of more, the first ones are shown and the picture says so."""


def sample_grid(
    images: Images,
    path: str | os.PathLike[str],
    *,
    neighbours: Neighbours | None = None,
    columns: int | None = None,
    title: str | None = None,
    scale: int | None = None,
) -> Path:
    """Draw final images in a grid, the last column's nearest training images beside it (figure 6).

    Args:
        images: images, float in [0, 1] or 8-bit; at most `MAX_IMAGES` are shown.
        path: file to write: .png or .webp.
        neighbours: a training image for each of `last_column(images, columns)`, in its order.
        columns: images in a row; by default as square as can be, and at most 10.
        title: line of text on top.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        ValueError: if there are no images, or not one neighbour for each in the last column.
    """
    return save_picture(sample_sheet(images, neighbours, columns, title, scale=scale), path)


def sample_sheet(
    images: Images,
    neighbours: Neighbours | None = None,
    columns: int | None = None,
    title: str | None = None,
    width: int = PICTURE_WIDTH,
    scale: int | None = None,
) -> Image.Image:
    """Draw the picture that `sample_grid` saves, of about another width in pixels if asked for."""
    check_pictures("images", images)
    if neighbours is not None:
        check_pictures("neighbours", neighbours)
    columns = grid_columns(len(images), columns)
    shown = images[:MAX_IMAGES]
    expected = len(last_column(images, columns))
    if neighbours is not None and len(neighbours) != expected:
        raise ValueError(
            f"expected {expected} neighbours, one for each image in the last of {columns} "
            f"columns, got {len(neighbours)}"
        )
    neighbours = None if not expected else neighbours
    scale = scale_for(images.shape, columns + (neighbours is not None), width, scale)
    rows = _in_rows(enlarge(to_pixels(shown), scale), columns)
    labels, gaps = [], [GAP] * columns
    if neighbours is not None:
        labels = [Label(0, columns - 1, "samples"), Label(columns, columns, "nearest in\ntraining")]
        gaps.append(WIDE_GAP)
        for row, tile in zip(rows, enlarge(to_pixels(neighbours), scale), strict=False):
            row.append(tile)
    legend = omission(len(images), len(shown))
    return sheet(rows, labels=labels, gaps=gaps, title=title, legend=legend)


def last_column(images: Images, columns: int | None = None) -> Neighbours:
    """Images that `sample_grid` puts into its last column, which full rows alone reach."""
    columns = grid_columns(len(images), columns)
    return images[:MAX_IMAGES][columns - 1 :: columns]


def reconstruction_grid(
    images: Images,
    reconstructions: Shaped[Tensor, "..."],
    path: str | os.PathLike[str],
    *,
    columns: int = 5,
    title: str | None = None,
) -> Path:
    """Draw many images in a grid, each with its reconstruction on its right.

    Args:
        images: images that were to be drawn; at most `MAX_IMAGES` are shown.
        reconstructions: drawings of these images.
        path: file to write: .png or .webp.
        columns: most pairs in a row.
        title: line of text on top.

    Raises:
        ValueError: if images and reconstructions differ in number or shape.
    """
    check_pairs(images, reconstructions)
    columns = min(grid_columns(len(images), columns), len(images))
    shown = images[:MAX_IMAGES]
    scale = scale_for(images.shape, across=2 * columns)
    left, right = (
        enlarge(to_pixels(part[:MAX_IMAGES]), scale) for part in (images, reconstructions)
    )
    tiles = [tile for pair in zip(left, right, strict=True) for tile in pair]
    labels = [Label(j, j, ("image", "drawn")[j % 2]) for j in range(2 * columns)]
    return save_picture(
        sheet(
            _in_rows(tiles, 2 * columns), labels=labels, gaps=[WIDE_GAP, GAP // 2] * columns,
            title=title, legend=omission(len(images), len(shown)),
        ),
        path,
    )  # fmt: skip


def _in_rows(
    tiles: Sequence[Pixels] | NDArray[np.uint8], columns: int
) -> list[list[Pixels | None]]:
    return [list(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
