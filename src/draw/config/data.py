"""Config of the images that a model sees, and how they are made to fit it."""

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from draw.fields import (
    TABLE,
    Count,
    Rule,
    check_fields,
)

Mode = Literal["grey", "colour"]
Fit = Literal["crop", "pad", "stretch"]
BadBoxes = Literal["refuse", "skip"]
Split = Literal["train", "validation", "test"]
Binarize = Literal["none", "dynamic"]
Binarization = Literal["none", "static", "dynamic"]
"""Way in which the pixels that a model sees come to be 0 or 1: not at all, once and for all in the
stored images, or drawn anew at each use."""
_COLOUR = re.compile(r"black|white|#[0-9a-fA-F]{6}")
Augment = Annotated[Literal["affine", "flip", "colour"], TABLE]


class OneOrTwo(Rule):
    """A rule: rows and columns, or one number for both."""

    def violation(self, kind: str, value: Any) -> str | None:
        """Say what size was expected; None if the value is one."""
        return None if len(value) in (1, 2) else "one or two whole numbers (rows, columns)"


class Colour(Rule):
    """A rule: the name of a colour, as --data.background has them."""

    def violation(self, kind: str, value: Any) -> str | None:
        """Say what colour was expected; None if the value is one."""
        fits = _COLOUR.fullmatch(value)
        return None if fits else "black, white or #rrggbb such as #20a0ff"


Size = Annotated[tuple[Count, ...], OneOrTwo()]
Background = Annotated[str, Colour()]


@dataclass(frozen=True)
class DataConfig:
    """Config of a data set, and of how its images are made to fit the model."""

    name: str = "mnist"
    """A data set that `draw data list` names, or 'images' for your own."""
    path: str | None = None
    """A folder or file (docs/data.md has the formats) or a Hub name; by default name's own."""
    config: str | None = None
    """Which of several sets at --data.path, or of the Hub's configurations."""
    size: Size | None = None
    """Rows and columns in pixels, or one number for a square; by default as the images are."""
    mode: Mode | None = None
    """Turn every image into this mode; by default as the images are."""
    fit: Fit | None = None
    """Way to bring an image of another size to --data.size; by default it is refused."""
    background: Background | None = None
    """Ground that shows where pictures are transparent: black, white (by default) or #rrggbb."""
    invert: bool | None = None
    """Turn black into white and white into black; by default what name's own source has dark on
    white (`omniglot`), and nothing at a path."""
    binarize: Binarize = "none"
    """'dynamic' draws each pixel as 0 or 1, anew at each use, with its grey value as probability;
    images whose pixels are already 0 or 1 ("static") come through unchanged."""
    augment: tuple[Augment, ...] | None = ()
    """Changes of training images, anew at each use: 'affine' turns, scales, shears and shifts a
    little, 'flip' mirrors every second one, 'colour' changes brightness and contrast. None chooses
    by what the pictures are, and a run says what it chose."""
    bad_boxes: BadBoxes = "refuse"
    """Pictures of svhn whose boxes are missing or empty: an error, or left out and counted."""
    cache_dir: str | None = None
    """Folder of decoded images; by default ~/.cache/draw."""

    def __post_init__(self) -> None:
        check_fields("data.", self)

    @property
    def rows_and_columns(self) -> tuple[int, int] | None:
        """The image size that is asked for, as (rows, columns) in pixels."""
        return None if self.size is None else (self.size[0], self.size[-1])

    def with_absolute_places(self) -> "DataConfig":
        """The config with full paths: what a run, which may be resumed from anywhere, says."""
        path = self.path
        if path is not None and os.path.exists(os.path.expanduser(path)):  # else a Hub name
            path = os.path.abspath(os.path.expanduser(path))
        cache = self.cache_dir and os.path.abspath(os.path.expanduser(self.cache_dir))
        return dataclasses.replace(self, path=path, cache_dir=cache)

    def without_treatment(self) -> "DataConfig":
        """The config without what acts at each use of the images, and without the cache's folder.

        Where two configs are equal then, both are of the same stored images.
        """
        return dataclasses.replace(self, binarize="none", augment=(), cache_dir=None)

    def without_places(self) -> "DataConfig":
        """The config without paths and folders: what an exported model says of its data."""
        return dataclasses.replace(self, path=None, cache_dir=None)
