"""Sheets of enlarged images side by side on white, with labels, and files written whole."""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from draw.errors import DrawError
from draw.files import write_atomically
from draw.formats import PICTURES
from draw.model.checks import check_tensor
from draw.parts.state import Trajectory

Pixels = NDArray[np.uint8]
"""An RGB picture, [height, width, 3]."""
Images = Float[Tensor, "batch channels rows columns"] | UInt8[Tensor, "batch channels rows columns"]
"""Grey or colour images, float in [0, 1] or 8-bit."""
Colour = tuple[int, int, int]

MARGIN, GAP, WIDE_GAP = 10, 4, 16
"""Picture pixels round the sheet, between images, and between groups of images."""
TEXT_SIZE, TEXT_COLOUR = 14, (40, 40, 40)
TILE, PICTURE_WIDTH = 96, 800
"""Picture pixels to aim at for the longer side of an image and for a row of them: a README's."""


class Label(NamedTuple):
    """A text above the columns `first` to `last` of a sheet."""

    first: int
    last: int
    text: str


class Key(NamedTuple):
    """An entry of the legend: a rectangle's colour (None for words alone) and its meaning."""

    colour: Colour | None
    text: str


def to_pixels(
    images: Shaped[Tensor, "*batch channels rows columns"],
) -> NDArray[np.uint8]:
    """Convert grey or colour images to RGB, [*batch, rows, columns, 3], from 0 to 255.

    Args:
        images: images, float in [0, 1] (what lies outside is clipped, NaN is black), or 8-bit.

    Raises:
        ValueError: if there are not 1 or 3 channels, or the images are neither float nor 8-bit.
    """
    if images.ndim < 3 or images.shape[-3] not in (1, 3):
        raise ValueError(
            "expected images of shape [batch, channels, rows, columns] with 1 or 3 channels, "
            f"got {list(images.shape)}"
        )
    values = images.detach().cpu()
    if values.is_floating_point():
        values = (values.float().nan_to_num(0.0).clamp(0, 1) * 255).round().byte()
    elif values.dtype != torch.uint8:
        raise ValueError(f"expected float images in [0, 1] or 8-bit images, got {images.dtype}")
    pixels: NDArray[np.uint8] = values.movedim(-3, -1).numpy()
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def scale_for(
    shape: Sequence[int], across: int, width: int = PICTURE_WIDTH, scale: int | None = None
) -> int:
    """Picture pixels per image pixel for a row of `across` images of about `width`; at least 1.

    Args:
        shape: shape of the images; rows and columns come last.
        across: number of images in a row.
        width: picture pixels to aim at.
        scale: the result, where it is asked for.
    """
    if scale is not None:
        return scale
    rows, columns = shape[-2:]
    return max(1, min(round(TILE / max(rows, columns)), width // (across * columns)))


def enlarge(pixels: Pixels, scale: int) -> Pixels:
    """Enlarge [*batch, rows, columns, 3], each pixel to a square of scale x scale."""
    return pixels.repeat(scale, axis=-3).repeat(scale, axis=-2)


def grid_columns(n: int, columns: int | None) -> int:
    """Number of columns of a grid of n images: as square as can be and at most 10, unless given."""
    if not n:
        raise ValueError("expected at least one image, got none")
    if columns is not None and columns < 1:
        raise ValueError(f"expected at least 1 column, got {columns}")
    return min(math.ceil(math.sqrt(n)), 10) if columns is None else columns


def evenly(total: int, count: int) -> list[int]:
    """Choose at most `count` of 0 .. total - 1, evenly apart, the last and the first among them.

    A single one is the last.

    Raises:
        ValueError: if the count is below 1.
    """
    if count < 1:
        raise ValueError(f"expected at least 1 step to show, got {count}")
    if count == 1:
        return [total - 1]
    return [int(step) for step in np.linspace(0, total - 1, min(total, count)).round()]


def sheet(
    tiles: Sequence[Sequence[Pixels | None]],
    *,
    labels: Sequence[Label] = (),
    gaps: Sequence[int] | None = None,
    title: str | None = None,
    legend: Sequence[Key] = (),
) -> Image.Image:
    """Lay out rows of equal tiles on white: title on top, labels above columns, legend below.

    Args:
        tiles: rows of pictures of one size; None, or a row that is short, leaves white.
        labels: texts above columns, of one or several lines.
        gaps: picture pixels before each column; the first one's is ignored.
        title: line of text on top.
        legend: meanings of the rectangles' colours.
    """
    height, width = next(tile.shape[:2] for row in tiles for tile in row if tile is not None)
    across = max(map(len, tiles))
    gaps = [GAP] * across if gaps is None else gaps
    starts = [sum(gaps[1 : column + 1]) + column * width for column in range(across)]
    font = ImageFont.load_default(TEXT_SIZE)

    def text_width(text: str) -> int:
        return math.ceil(max(font.getlength(line) for line in text.split("\n")))

    line = TEXT_SIZE + 5
    centres = [(starts[label.first] + starts[label.last] + width) / 2 for label in labels]
    halves = [text_width(label.text) / 2 for label in labels]
    extents = list(zip(centres, halves, strict=True))
    # Labels that are wider than what they stand above get room on either side.
    left = MARGIN + max([0, *(math.ceil(half - centre) for centre, half in extents)])
    rights = [left + starts[-1] + width]
    rights += [math.ceil(left + centre + half) for centre, half in extents]
    icon = round(TEXT_SIZE * 0.8)
    keys: list[tuple[int, Key]] = []
    x = left
    for key in legend:
        keys.append((x, key))
        x += text_width(key.text) + (icon + 6 if key.colour else 0)
        rights.append(x)
        x += 18
    if title:
        rights.append(left + text_width(title))

    top = MARGIN + (line + 4 if title else 0)
    top += line * max((label.text.count("\n") + 1 for label in labels), default=0)
    bottom = top + len(tiles) * height + (len(tiles) - 1) * GAP
    total = bottom + MARGIN + (line if legend else 0)

    picture = np.full((total, max(rights) + MARGIN, 3), 255, np.uint8)
    for j, row in enumerate(tiles):
        y = top + j * (height + GAP)
        for start, tile in zip(starts, row, strict=False):
            if tile is not None:
                picture[y : y + height, left + start : left + start + width] = tile
    image = Image.fromarray(picture)
    write = ImageDraw.Draw(image)
    if title:
        write.text((left, MARGIN), title, TEXT_COLOUR, font)
    for centre, label in zip(centres, labels, strict=True):
        write.text(
            (round(left + centre), top - 3),
            label.text,
            TEXT_COLOUR,
            font,
            anchor="md",
            align="center",
        )
    for x, key in keys:
        y = bottom + 8
        if key.colour:
            write.rectangle((x, y + 2, x + icon, y + 2 + icon), outline=key.colour, width=2)
            x += icon + 6
        write.text((x, y), key.text, TEXT_COLOUR, font)
    return image


def stack_sheets(sheets: Sequence[Image.Image]) -> Image.Image:
    """Stack sheets one above the other, on white as wide as the widest."""
    size = max(each.width for each in sheets), sum(each.height for each in sheets)
    page, top = Image.new("RGB", size, "white"), 0
    for each in sheets:
        page.paste(each, (0, top))
        top += each.height
    return page


def check_pictures(name: str, images: Any, dimensions: int = 4) -> None:
    """Refuse what are no images.

    Args:
        name: what they are, for the message.
        images: any value.
        dimensions: 4 for a batch of images, 3 for one, 5 for a stack of batches.

    Raises:
        DrawError: if they are no tensor, or of another shape.
    """
    check_tensor(name, images, f"pass torch.from_numpy({name}) of an array")
    shape = ("stack", "batch", "channels", "rows", "columns")[-dimensions:]
    if images.ndim != dimensions or images.shape[-3] not in (1, 3):
        raise DrawError(
            f"expected {name} of shape [{', '.join(shape)}] with 1 or 3 channels, "
            f"got {list(images.shape)}"
        )


def check_drawings(drawings: Any) -> None:
    """Refuse what are no drawings step by step, with what makes them.

    Raises:
        DrawError: if they are no `Trajectory`.
    """
    if not isinstance(drawings, Trajectory):
        raise DrawError(
            "expected drawings step by step, as model.generate and model.reconstruct return them, "
            f"got a {type(drawings).__name__}; sample_grid shows finished images"
        )


def check_pairs(images: Any, drawn: Any) -> None:
    """Raise ValueError unless there is a drawing of the same shape for each image."""
    check_pictures("images", images)
    check_pictures("drawings", drawn)
    if images.shape != drawn.shape or not len(images):
        raise ValueError(
            "expected as many images as drawings (at least one), of one shape, "
            f"got {list(images.shape)} and {list(drawn.shape)}"
        )


def omission(total: int, shown: int) -> list[Key]:
    """Legend entry for the images that are not shown.

    Args:
        total: number of images.
        shown: number of images in the picture.
    """
    return [Key(None, f"the first {shown} of {total}")] if shown < total else []


def check_suffix(path: str | os.PathLike[str], known: Sequence[str]) -> Path:
    """Return a path whose suffix is one of the known, or refuse it.

    Raises:
        DrawError: if the suffix is none of the known.
    """
    if Path(path).suffix.lower() not in known:
        raise DrawError(
            f"expected a file name that ends in {', '.join(known[:-1])} or {known[-1]}, "
            f"got {str(path)!r}"
        )
    return Path(path)


def save_picture(image: Image.Image, path: str | os.PathLike[str]) -> Path:
    """Write a picture without loss, as .png or .webp, whole or not at all."""
    target = check_suffix(path, PICTURES)
    with write_atomically(target) as temporary:
        image.save(temporary, lossless=True, optimize=True)
    return target
