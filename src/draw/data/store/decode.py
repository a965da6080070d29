"""Decoding of one picture of any kind to one uint8 array of the asked size and mode.

Colours become those of sRGB, whatever profile a picture comes with, and go to grey by luma (ITU-R
601). What is transparent is laid over white, as a picture viewer shows it, or over another ground;
the bars that `pad` adds are black. Pictures are turned the way their EXIF tag says. Of an animation
the first frame counts. 16-bit grey is scaled to 8 bits, 65,535 becoming 255.
"""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from draw.config.data import Fit, Mode
from draw.data.store.colour import lay_over, profile_note, to_srgb
from draw.errors import DataError, DrawError
from draw.files import address_advice, check_regular_file

MAX_PIXELS = 64_000_000
"""Most pixels of a picture; a larger one is refused unread, since a small file can unpack to fill
the memory."""

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "AVIF", "JPEG2000")
"""Formats that may be decoded, as Pillow calls them: pictures only, none that runs another
program."""

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".tif", ".tiff", ".webp"}
    | {".pbm", ".pgm", ".ppm", ".pnm", ".avif", ".jp2", ".heic", ".heif"}
)
"""Suffixes of pictures, in either case."""

SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
MODES_WITHOUT_PROFILE = SIXTEEN_BIT | {"1", "I", "F"}
"""Modes whose colour profiles have no effect."""
ALPHA = (
    "have an alpha channel or a transparent colour: what is transparent shows --data.background "
    "(by default white)"
)
GREY = SIXTEEN_BIT | {"1", "L", "LA", "La", "I", "F"}
SIDEWAYS = frozenset({5, 6, 7, 8})
"""EXIF orientations that exchange rows and columns."""


class Box(NamedTuple):
    """A rectangle of a picture, in whole pixels from its upper left corner, the right way up."""

    left: int
    top: int
    right: int
    """The first column beyond it."""
    bottom: int
    """The first row beyond it."""


PictureData = (
    Path | bytes | UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]
)  # fmt: skip
"""A file, the bytes of one, or pixels."""


class Picture(NamedTuple):
    """One picture as it is stored."""

    name: str
    """Name of the picture in errors: a path, or a shard and its row."""
    data: PictureData
    label: int | None
    digits: Any = None
    """Digits in the picture as stored (see `svhn`); None if the set has no such."""
    box: Box | None = None
    """Box of the picture to use; by default the whole."""


@dataclass(frozen=True)
class Conversion:
    """Size and mode that every picture is turned into; None keeps the picture's own."""

    size: tuple[int, int] | None = None
    """Rows and columns in pixels."""
    mode: Mode | None = None
    fit: Fit | None = None
    invert: bool = False
    background: str | None = None
    """Colour that shows where pictures are transparent, a name or #rrggbb; None is white."""


class Header(NamedTuple):
    """Size and mode of a picture, read without decoding it."""

    size: tuple[int, int]
    """Rows and columns in pixels, the right way up."""
    mode: str
    """Mode as Pillow names it, such as L or RGBA."""
    grey: bool
    notes: tuple[str, ...] = ()
    """What is done to it that its owner should know, said of several pictures."""


def read_header(picture: Picture) -> Header:
    """Read size and mode of a picture. Raises `DataError` if it is none or is too large."""
    with _opened(picture) as image:
        columns, rows = image.size
        turned = image.format == "TIFF"  # Pillow turns these, and no others, by itself
        # The general getexif, since the one for PNG decodes the whole picture first.
        exif = {} if turned or rows == columns else Image.Image.getexif(image)
        if exif.get(ExifTags.Base.Orientation) in SIDEWAYS:
            rows, columns = columns, rows
        if picture.box is not None:
            rows, columns = (
                picture.box.bottom - picture.box.top,
                picture.box.right - picture.box.left,
            )
        return Header((rows, columns), image.mode, _is_grey(image), tuple(_notes(image)))


def _notes(image: Image.Image) -> Iterator[str]:
    if getattr(image, "is_animated", False):
        yield "have several pages or frames, of which the first is used"
    note = None if image.mode in MODES_WITHOUT_PROFILE else profile_note(image)
    if note is not None:
        yield note
    if image.has_transparency_data:
        yield ALPHA


def is_transparent(picture: Picture) -> bool:
    """Whether a picture is transparent anywhere; an alpha channel may be opaque throughout."""
    with _opened(picture) as image:
        if not image.has_transparency_data:
            return False
        shown = image if picture.box is None else image.crop(picture.box)
        return bool(np.asarray(shown.convert("RGBA").getchannel("A")).min() < 255)


def decode(picture: Picture, conversion: Conversion) -> UInt8[np.ndarray, "channels rows columns"]:
    """Decode the pixels of a picture.

    Args:
        picture: picture as it is stored.
        conversion: size and mode to turn it into; fit is needed only if the picture has another
            size.

    Raises:
        DataError: the picture cannot be read, is empty, too large, or has another size and there is
            no fit.
    """
    if conversion.size is None or conversion.mode is None:
        raise ValueError("expected a conversion with size and mode, got " + repr(conversion))
    with _opened(picture) as image:
        if conversion.fit is not None and picture.box is None:
            _draft(image, conversion.size)
        ImageOps.exif_transpose(image, in_place=True)
        if picture.box is not None:
            image = image.crop(picture.box)
        flat = _to_mode(image, conversion.mode, conversion.background or "white")
        fitted = _fit(flat, conversion.size, conversion.fit)
        pixels = np.asarray(fitted)
    channels_first = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return 255 - channels_first if conversion.invert else np.ascontiguousarray(channels_first)


@contextmanager
def _opened(picture: Picture) -> Iterator[Image.Image]:
    """Opens a picture; whatever goes wrong with it while it is open becomes a `DataError`."""
    data = picture.data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a damaged EXIF tag: the pixels are there
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            if isinstance(data, np.ndarray):
                yield Image.fromarray(data)
                return
            if isinstance(data, Path) and data.is_dir():
                raise DrawError(f"expected a picture, got a folder; name pictures, {data}/*")
            if isinstance(data, Path) and data.exists():
                check_regular_file(data)
            stream = io.BytesIO(data) if isinstance(data, bytes) else data
            with Image.open(stream, formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise Image.DecompressionBombError
                yield image
    except Exception as error:  # decoders raise nearly anything on a damaged file
        raise DataError(f"{picture.name}: {_reason(error, data)}") from error


def _reason(error: Exception, data: PictureData) -> str:
    match error:
        case DrawError():
            return str(error)
        case Image.DecompressionBombError() | Image.DecompressionBombWarning():
            return (
                f"has more than {min(MAX_PIXELS, Image.MAX_IMAGE_PIXELS or MAX_PIXELS):,} pixels, "
                "too many to decode safely; scale it down or take it out"
            )
        case FileNotFoundError():
            if isinstance(data, Path) and (advice := address_advice(data)):
                return f"is an address, expected a file; {advice}"
            return "does not exist, or is a link to nothing; check the spelling, or take it out"
        case PermissionError():
            return "may not be read (permission denied); change its permissions"
        case UnidentifiedImageError():
            empty = data == b"" if isinstance(data, bytes) else False
            if isinstance(data, Path):
                empty = data.stat().st_size == 0
                if data.suffix.lower() in (".heic", ".heif"):
                    return "HEIC pictures cannot be read; convert it to JPEG or PNG"
            if empty:
                return "is empty (0 bytes); replace it or take it out"
            return f"is no picture of a known format ({', '.join(FORMATS)}); replace or remove it"
        case _:
            return f"is damaged ({error or type(error).__name__}); replace it or take it out"


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA") and image.palette is not None:
        palette = image.getpalette("RGB") or []
        return palette[0::3] == palette[1::3] == palette[2::3]
    return image.mode in GREY


def _draft(image: Image.Image, size: tuple[int, int]) -> None:
    """Has a JPEG that is much too large decoded at a fraction of its size, still 3 times ours."""
    scale = 3 * max(size) / min(image.size)
    if scale < 1:
        image.draft(None, (math.ceil(image.width * scale), math.ceil(image.height * scale)))


def _to_mode(image: Image.Image, mode: Mode, background: str) -> Image.Image:
    if image.mode in SIXTEEN_BIT or image.mode in ("I", "F"):
        image = _to_eight_bit(image)
    elif image.mode not in MODES_WITHOUT_PROFILE:
        image = to_srgb(image)
    if image.has_transparency_data:
        image = lay_over(image, background)
    return image.convert("L" if mode == "grey" else "RGB")


def _to_eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, or of floating-point numbers in 0..1, to 8 bits; white stays white."""
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F":
        if not (low >= 0 and high <= 1):
            raise DataError(
                f"has floating-point pixels from {low:g} to {high:g}, where 0 to 1 is understood; "
                "save it with 8 or 16 bits"
            )
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if image.mode == "I" and (image.format == "TIFF" or low < 0 or high > 65_535):
        raise DataError(
            f"has 32-bit whole numbers from {low} to {high} as pixels, whose white is not known; "
            "save it with 8 or 16 bits"
        )
    return Image.fromarray(((values.astype(np.uint32) + 128) // 257).astype(np.uint8))


def _fit(
    image: Image.Image,
    size: tuple[int, int],
    fit: Fit | None,
) -> Image.Image:
    rows, columns = size
    if image.size == (columns, rows):
        return image
    match fit:
        case "crop":
            return ImageOps.fit(image, (columns, rows), Image.Resampling.LANCZOS)
        case "stretch":
            return image.resize((columns, rows), Image.Resampling.LANCZOS)
        case "pad":
            scale = min(columns / image.width, rows / image.height)
            inner = max(1, round(image.width * scale)), max(1, round(image.height * scale))
            padded = Image.new(image.mode, (columns, rows))
            corner = (columns - inner[0]) // 2, (rows - inner[1]) // 2
            padded.paste(image.resize(inner, Image.Resampling.LANCZOS), corner)
            return padded
        case None:
            raise DataError(
                f"is {image.height}x{image.width} pixels, expected {rows}x{columns}; "
                "pass --data.fit crop, pad or stretch"
            )
