"""CSV with a picture a line, as on Kaggle: `label,pixel0,pixel1,...`, or numbers alone."""

import codecs
import csv
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from draw.data.sources.labels import LABEL_COLUMNS, ROW_NUMBERS, is_number
from draw.data.sources.number_lines import (
    lines_at_once,
    parse,
    read_line,
    refuse_carriage_returns,
)
from draw.data.sources.pixels import CONVERSION, side_of
from draw.data.sources.source import Place
from draw.data.sources.stacks import ON_ITS_SIDE, Block, Label, Stack, is_emnist, set_name
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream, plain_name
from draw.data.store.splits import split_of
from draw.errors import DataError
from draw.terminal import one_line

SUFFIXES = (".csv", ".tsv")
SEPARATORS = ",;\t"
_PIXEL = re.compile(r"(?:pixel|pix|px|p|x|column|col|feature|attr|v)?[\s_.-]?\d+(?:x\d+)?", re.I)
"""What the column of a pixel is called: pixel0, p_17, 3x28."""


class Csv:
    """The format of CSV with a picture a line (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format: its suffix, and columns of pixels in its first line."""
        if plain_name(file.path).suffix.lower() not in SUFFIXES or file.stamp == "no file":
            return False
        return len(_pixels(_first_line(file)[1])) > 1

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files, one for each."""
        return [_stack(file) for file in files]


@dataclass(frozen=True)
class Columns:
    """Meaning of the columns of a file."""

    side: int
    pixels: tuple[int, ...]
    label: int | None
    has_header: bool
    """Whether the first line has names."""
    others: tuple[str, ...]
    """Names of those that are not used."""


def _first_line(file: FileEntry) -> tuple[str, list[str]]:
    """What separates the columns, and what stands in the first line of each; nothing in no CSV."""
    line = _raw_line(file).decode("utf-8-sig", errors="replace").strip("\r\n").partition("\r")[0]
    separator = max(SEPARATORS, key=line.count)
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error:  # such as a cell of more than 131,072 characters
        cells = []
    return separator, [text.strip() for text in cells]


def _raw_line(file: FileEntry) -> bytes:
    with open_stream(file.path) as stream:
        return read_line(stream, one_line(file.path))


def _is_headed(first: list[str]) -> bool:
    """Whether a line is of names; numbers among these differ, as those of pixels hardly do."""
    numbers = [text for text in first if _is_real(text)]
    return len(numbers) < len(first) and len(set(numbers)) == len(numbers)


def _is_real(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _pixels(first: list[str]) -> list[int]:
    """Which columns may be of pixels."""
    if not _is_headed(first):
        return [at for at, text in enumerate(first) if _is_real(text)]
    return [at for at, text in enumerate(first) if _PIXEL.fullmatch(text)]


def _columns(name: str, first: list[str]) -> Columns:
    pixels, others = _pixels(first), tuple[str, ...]()
    if not _is_headed(first):
        label = _label_without_names(name, first)
        side = side_of(len(pixels))
        if side is None and label is None:
            pixels, label = pixels[1:], 0  # by custom the label comes first
            side = side_of(len(pixels))
    else:
        side = side_of(len(pixels))
        rest = [at for at in range(len(first)) if at not in set(pixels)]
        labels = [at for at in rest if first[at].lower() in LABEL_COLUMNS]
        label = labels[0] if len(labels) == 1 else None
        others = tuple(
            first[at] for at in rest
            if at != label and first[at].lower() not in ROW_NUMBERS
        )  # fmt: skip
    if side is None:
        raise DataError(
            f"{name}: expected as many columns of pixels as a square picture has (784 for 28x28), "
            f"and possibly one named label, got {len(pixels):,}; for other sizes, and for colours, "
            "write an array: x.reshape(n, rows, columns) or x.reshape(n, rows, columns, 3)."
            f"{CONVERSION}"
        )
    return Columns(side, tuple(pixels), label, _is_headed(first), others)


def _label_without_names(name: str, first: list[str]) -> int | None:
    """Which column is of labels in a file without a header: that of texts, if there is one.

    Raises:
        DataError: if several are, or one among the pixels.
    """
    texts = [at for at, text in enumerate(first) if not _is_real(text)]
    if len(texts) > 1 or any(0 < at < len(first) - 1 for at in texts):
        raise DataError(
            f"{name}: expected one label before or after the pixels, since the first line has no "
            f"names, got {len(texts):,} columns without a number; name the columns label, pixel0, "
            "pixel1, ..."
        )
    return texts[0] if texts else None


def _stack(file: FileEntry) -> Stack:
    name = one_line(file.path)
    refuse_carriage_returns(_raw_line(file), name)
    separator, first = _first_line(file)
    columns = _columns(name, first)
    if any(
        other.lower() in ("split", "usage", "set", "fold", "subset") for other in columns.others
    ):
        raise DataError(
            f"{name}: expected a file for each split, got a column that tells of splits "
            f"({', '.join(columns.others)}); write train.csv, validation.csv and test.csv instead"
        )
    stem = plain_name(file.path).stem
    turned = is_emnist(stem)
    remarks = [f"columns not used: {one_line(', '.join(columns.others))}"] if columns.others else []
    if not columns.has_header and columns.label is not None:
        place = "last" if columns.label else "first"
        remarks.append(f"{file.path.name} has no header: what is {place} in a line is its label")
    return Stack(
        name=name,
        split=split_of((*file.parts[:-1], stem), name),
        blocks=_blocks(file, name, separator, columns, turned),
        set_name=set_name((*file.parts[:-1], stem)),
        remarks=(*remarks, ON_ITS_SIDE) if turned else tuple(remarks),
    )


def _blocks(
    file: FileEntry, name: str, separator: str, columns: Columns, turned: bool
) -> Callable[[], Iterator[Block]]:
    def blocks() -> Iterator[Block]:
        with open_stream(file.path) as stream:
            if columns.has_header:
                read_line(stream, name)
            for lines in lines_at_once(stream, name):
                lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
                numbers = parse(lines, separator, columns.pixels, name)
                pixels = numbers.reshape(-1, columns.side, columns.side)
                yield Block(
                    pixels.swapaxes(1, 2) if turned else pixels,
                    None
                    if columns.label is None
                    else _labels(lines, separator, columns.label, name),
                )

    return blocks


def _labels(lines: list[bytes], separator: str, at: int, name: str) -> list[Label | None]:
    texts = (line.decode("utf-8", errors="replace") for line in lines)
    try:
        cells = [row[at].strip() for row in csv.reader(texts, delimiter=separator)]
    except (csv.Error, IndexError) as error:
        start = lines[0][:40].decode(errors="replace")
        raise DataError(
            f"{name}: expected a label in column {at + 1:,} of each line, got something else "
            f"within {len(lines):,} lines from {start!r} on; leave the cell empty where there "
            "is none"
        ) from error
    return [_label(cell) for cell in cells]


def _label(text: str) -> Label | None:
    if text == "":
        return None
    whole = text.removesuffix(".0")  # how pandas writes whole numbers beside missing ones
    return int(whole) if is_number(whole) else text
