"""Pictures that come from a person, drawn or uploaded, and their conversion to a model's input."""

import base64
import binascii
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from draw.config.data import Fit, Mode
from draw.config.model import ModelConfig
from draw.data.store.decode import Conversion, Picture, decode, read_header
from draw.errors import DrawError

MAX_PIXELS = 24_000_000
"""Most pixels of an upload: what a phone's camera gives, in a second of decoding."""
MAX_BYTES = 20 * 2**20
"""Most bytes of an upload."""
MAX_DRAWING_BYTES = 2_000_000
MAX_DRAWING_PIXELS = 1_000_000
PNG_ADDRESS = "data:image/png;base64,"
EMPTY = "The page is empty: draw something on it with the mouse or a finger, then try again"
DIGIT_SIDE = 28
DIGIT_SHARE, FAINT = 20 / DIGIT_SIDE, 40
"""MNIST's digits are 20 of 28 pixels large; what is fainter (of 255) is no ink."""

AS_IT_IS = Conversion()

Pixels = UInt8[np.ndarray, "channels rows columns"]


@dataclass(frozen=True)
class PictureTarget:
    """Size and colours that a picture is turned into."""

    size: tuple[int, int]
    """Rows and columns in pixels."""
    channels: int
    fit: Fit = "pad"
    on_paper: bool = False
    """Whether dark ink on light paper becomes white ink on black."""
    as_in_training: Conversion = AS_IT_IS
    """Ground and inversion of the training images, for a picture that is not ink on paper."""
    centring: bool = False
    """Whether ink is moved and scaled as MNIST's digits are: 20 of 28 pixels, the centre of mass in
    the middle."""

    @classmethod
    def by(cls, config: ModelConfig) -> "PictureTarget":
        """The target for the images of a model."""
        return cls((config.rows, config.columns), config.channels)


def from_page(address: str | None, wanted: PictureTarget) -> Pixels:
    """Decode what was drawn on the page.

    Args:
        address: PNG as its data address; nothing if nothing was drawn.
        wanted: size and colours to turn the drawing into.

    Raises:
        DrawError: if nothing was drawn, or the address is no such picture.
    """
    if not address:
        raise DrawError(EMPTY)
    if not address.startswith(PNG_ADDRESS) or len(address) > MAX_DRAWING_BYTES:
        raise DrawError(
            f"expected a drawing as a PNG of at most {MAX_DRAWING_BYTES:,} bytes, got "
            f"{len(address):,} bytes; clear the page and draw again"
        )
    try:
        data = base64.b64decode(address[len(PNG_ADDRESS) :], validate=True)
    except binascii.Error as error:
        raise DrawError("expected a drawing as a PNG, got something else; draw again") from error
    drawn = _converted(Picture("the drawing", data, None), wanted, MAX_DRAWING_PIXELS)
    if drawn.max() < FAINT:
        raise DrawError(EMPTY)
    return drawn


def from_upload(path: str | Path | None, wanted: PictureTarget) -> Pixels:
    """Decode an uploaded picture.

    Args:
        path: file that was sent; None for no file.
        wanted: size and colours to turn the picture into.

    Raises:
        DrawError: if there is no file, or it is no picture, or one that is too large.
    """
    if path is None:
        raise DrawError("expected a picture, got no file; choose one first")
    path = Path(path)
    if path.stat().st_size > MAX_BYTES:
        raise DrawError(
            f"expected a picture of at most {MAX_BYTES // 2**20} MiB, got {path.name} of "
            f"{path.stat().st_size / 2**20:.0f} MiB; make it smaller"
        )
    return _converted(Picture(path.name, path, None), wanted, MAX_PIXELS)


def _converted(picture: Picture, wanted: PictureTarget, most: int) -> Pixels:
    rows, columns = read_header(picture).size
    if rows * columns > most:
        raise DrawError(
            f"expected a picture of at most {most / 1e6:g} megapixels, got {columns}×{rows} "
            f"({rows * columns / 1e6:.1f} megapixels); scale it down and try again"
        )
    mode: Mode = "colour" if wanted.channels == 3 else "grey"
    if wanted.centring:
        return centre_ink(decode(picture, Conversion((rows, columns), mode)), wanted.size)
    how = Conversion(invert=True) if wanted.on_paper else wanted.as_in_training
    pixels = decode(picture, replace(how, size=wanted.size, mode=mode, fit=wanted.fit))
    return without_paper(pixels) if wanted.on_paper else pixels


def without_paper(pixels: Pixels) -> Pixels:
    """Turn dark ink on paper into white ink on black, however the light was.

    Most of the picture is taken to be paper; what differs little from it is paper as well.
    """
    paper, ink = (float(level) for level in np.percentile(pixels, (50, 99.5)))
    share = (pixels - paper) / max(ink - paper, 1.0)
    return np.asarray((255 * ((share - 0.25) / 0.5).clip(0, 1)).round().astype(np.uint8))


def centre_ink(pixels: Pixels, size: tuple[int, int]) -> UInt8[np.ndarray, "channels height width"]:
    """Cut out ink, scale it to 20/28 of the smaller side, and centre its mass.

    Args:
        pixels: light ink on black.
        size: rows and columns of the result.

    Raises:
        DrawError: if there is no ink.
    """
    ink = pixels.max(0)
    rows, columns = (np.flatnonzero((ink > FAINT).any(axis)) for axis in (1, 0))
    if not len(rows):
        raise DrawError(EMPTY)
    cut = pixels[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(1, round(DIGIT_SHARE * min(size)))
    scale = side / max(cut.shape[1:])
    inner = tuple(max(1, round(scale * length)) for length in cut.shape[1:])
    small = np.stack([_resized(channel, inner) for channel in cut])
    weights = small.sum(0, dtype=np.float64) + 1e-9
    middle = [
        float((np.arange(length) * weights.sum(1 - axis)).sum() / weights.sum())
        for axis, length in enumerate(inner)
    ]
    page = np.zeros((len(pixels), *size), np.uint8)
    top, left = (
        min(max(round((whole - 1) / 2 - centre), 0), whole - length)
        for whole, centre, length in zip(size, middle, inner, strict=True)
    )
    page[:, top : top + inner[0], left : left + inner[1]] = small
    return page


def _resized(channel: UInt8[np.ndarray, "rows columns"], size: tuple[int, ...]) -> np.ndarray:
    made = Image.fromarray(channel).resize((size[1], size[0]), Image.Resampling.LANCZOS)
    return np.asarray(made)


def as_digit(wanted: PictureTarget, side: int = DIGIT_SIDE) -> PictureTarget:
    """Target for a digit that is to be laid on a larger page."""
    return replace(wanted, size=(side, side), centring=True)
