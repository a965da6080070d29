"""House numbers (SVHN) cut out round their digits, as the paper's section 4.4 prepares them.

The data set has a picture a row and, in a column `digits`, the boxes of its digits: on the Hub
`{"bbox": [[x, y, width, height], ...], "label": [...]}`, in pixels from the upper left corner; a
list of such pairs will do as well. The box round all digits, grown by 30 % in both directions, is
what becomes an image.
"""

import hashlib
import itertools
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from draw.config.data import BadBoxes
from draw.data.sources.source import Source
from draw.data.store.decode import Box, Picture, read_header
from draw.errors import DataError, listing

logger = logging.getLogger("draw")

GROWTH = 30
"""Percent by which the box round all digits is made higher and wider (section 4.4)."""

Edges = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""


@dataclass
class Findings:
    """Findings about the boxes of a split."""

    pictures: int = 0
    whole: int = 0
    """Number of pictures of a set that has no boxes at all."""
    beyond: list[str] = field(default_factory=list)
    """Names of pictures with a box that reaches beyond their edge, where it is cut off."""
    bad: list[str] = field(default_factory=list)
    """Pictures without a box that can be used, and why."""


@dataclass(frozen=True)
class HouseNumbers:
    """A source (see `Source`) of the pictures of another, cut out round digits.

    Splits train and extra are one. Pictures of a source without boxes come whole.
    """

    pictures: Source
    bad_boxes: BadBoxes
    """Way to treat pictures that have no usable box."""
    _findings: dict[str, Findings] = field(default_factory=dict, compare=False, repr=False)

    def location(self) -> str:
        """The place of the pictures, and that they are cut out."""
        return f"{self.pictures.location()} cut out, bad boxes {self.bad_boxes}"

    def description(self) -> str:
        """Describe the source of the pictures."""
        return self.pictures.description()

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes of the source, if it has any."""
        return self.pictures.classes()

    def stamp(self) -> str:
        """Stamp that changes whenever the source may have changed."""
        return self.pictures.stamp()

    def fingerprint(self) -> str:
        """Hash of the pictures, and of how they are cut out."""
        parts = f"{self.pictures.fingerprint()} grown by {GROWTH} %, bad boxes {self.bad_boxes}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the cut-outs of each stored split, those of extra after those of train.

        Raises:
            DataError: at the end of a split some of whose pictures have no box that can be used,
                unless those are to be skipped.
        """
        stored = dict(self.pictures.splits())
        if {"train", "extra"} <= stored.keys():
            stored["train"] = itertools.chain(stored["train"], stored.pop("extra"))
        return {split: self._cut_out(split, pictures) for split, pictures in stored.items()}

    def remarks(self) -> tuple[str, ...]:
        """Report how many pictures are whole, were skipped, or have boxes beyond their edge."""
        found = self._findings.values()
        total, whole = sum(one.pictures for one in found), sum(one.whole for one in found)
        bad, beyond = sum(len(one.bad) for one in found), sum(len(one.beyond) for one in found)
        counts = {
            f"{whole:,} of {total:,} pictures come without boxes of digits and are whole": whole,
            f"{bad:,} without a box that can be used were skipped": bad,
            f"{beyond:,} with boxes beyond the edge of the picture were cut off there": beyond,
        }
        return (*self.pictures.remarks(), *(text for text, count in counts.items() if count))

    def _cut_out(self, split: str, pictures: Iterable[Picture]) -> Iterator[Picture]:
        found = Findings()
        for picture in pictures:
            found.pictures += 1
            if picture.digits is None:
                found.whole += 1
                yield picture
                continue
            try:
                rows, columns = read_header(picture).size
            except DataError:  # whoever decodes it says so
                yield picture
                continue
            try:
                edges = box_round(picture.digits)
                box = grow(edges, rows, columns)
            except DataError as error:
                found.bad.append(f"{picture.name}: {error}")
                continue
            left, top, right, bottom = edges
            if left < 0 or top < 0 or right > columns or bottom > rows:
                found.beyond.append(picture.name)
            yield picture._replace(box=box)
        self._tell(split, found)

    def _tell(self, split: str, found: Findings) -> None:
        """Refuses or names pictures with bad boxes; names once those beyond the edge."""
        where = f"of {found.pictures:,} {split} pictures in {self.description()}"
        if found.bad and self.bad_boxes == "refuse":
            raise DataError(
                f"expected a box round every digit, but {len(found.bad):,} {where} have none that "
                f"can be used:{listing(found.bad)}\npass --data.bad-boxes skip to leave them out, "
                "or mend their rows"
            )
        if split not in self._findings:  # the first of several times through
            if found.bad:
                logger.warning("skipped %s %s:%s", f"{len(found.bad):,}", where, listing(found.bad))
            if found.beyond:
                count = f"{len(found.beyond):,}"
                examples = listing(found.beyond, most=3)
                logger.info("%s %s have boxes beyond their edge:%s", count, where, examples)
        self._findings[split] = found


def box_round(digits: Any) -> Edges:
    """Compute the box round all digits of a picture.

    Args:
        digits: digits as stored, a dictionary of lists or a list of dictionaries.

    Raises:
        DataError: there is no box, or one that is not four numbers or has no area.
    """
    if isinstance(digits, Mapping):
        boxes = list(digits.get("bbox") or ())
    else:
        boxes = [digit.get("bbox") if isinstance(digit, Mapping) else digit for digit in digits]
    if not boxes:
        raise DataError("has no box")
    for box in boxes:
        if not _is_four_numbers(box):
            raise DataError(f"expected boxes of x, y, width, height, got {box}")
        if box[2] <= 0 or box[3] <= 0:
            raise DataError(f"has a box without area, {box} (x, y, width, height)")
    return (
        float(min(x for x, _, _, _ in boxes)),
        float(min(y for _, y, _, _ in boxes)),
        float(max(x + width for x, _, width, _ in boxes)),
        float(max(y + height for _, y, _, height in boxes)),
    )


def _is_four_numbers(box: Any) -> bool:
    return (
        isinstance(box, list | tuple)
        and len(box) == 4
        and all(isinstance(number, int | float) and math.isfinite(number) for number in box)
    )


def grow(edges: Edges, rows: int, columns: int) -> Box:
    """Enlarge a box about its centre, in whole pixels, as far as it is inside the picture.

    Args:
        edges: edges of the box in pixels.
        rows: height of the picture in pixels.
        columns: width of the picture in pixels.

    Raises:
        DataError: the box itself is outside the picture.
    """
    left, top, right, bottom = edges
    if right <= 0 or bottom <= 0 or left >= columns or top >= rows:
        raise DataError(
            f"has its boxes from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), outside of its "
            f"{columns}x{rows} pixels"
        )
    wider, higher = GROWTH * (right - left) / 200, GROWTH * (bottom - top) / 200
    return Box(
        max(0, math.floor(left - wider)),
        max(0, math.floor(top - higher)),
        min(columns, math.ceil(right + wider)),
        min(rows, math.ceil(bottom + higher)),
    )
