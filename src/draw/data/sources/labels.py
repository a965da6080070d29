"""Labels of pictures in a folder: in files of metadata, or by the folders they are in.

The files are metadata.jsonl and metadata.csv, as `datasets` knows them. Each row has a `file_name`,
relative to the file it stands in, and whatever else there is to say of that picture. Of the rest a
label is used, a whole number or a text; nothing is read from a path.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from draw.data.store.splits import split_by_name
from draw.errors import DataError, DrawError
from draw.files import read_text
from draw.json_files import parse_json

METADATA_FILES = ("metadata.jsonl", "metadata.csv")
LABEL_COLUMNS = ("label", "labels", "class", "target", "y", "digit", "character")
"""What a column of labels is called, in any format and in either case; the first is taken."""
ROW_NUMBERS = ("", "id", "index", "imageid", "image_id", "unnamed: 0")
"""What a column is called that counts the rows."""
LARGEST_LABEL = 2**31 - 1
_MASK = re.compile(
    r"(?:^|[\W_])(?:masks?|annotations?|segmentations?|(?:ground[\W_]?)?truth|gt)(?:$|[\W_])", re.I
)
"""What folders and pictures are called that say of other pictures what is where in them."""

Parts = tuple[str, ...]
"""Path relative to the folder of all pictures, in parts."""


class Labels(NamedTuple):
    """Labels of pictures, and what there is to say of them."""

    of: Mapping[Parts, int]
    """Labels by the pictures' paths; a picture that is missing here has none."""
    classes: tuple[str, ...] | None
    """Names of the labels 0, 1, ..., if they are known."""
    remarks: tuple[str, ...]
    """Remarks for reports, for example on labels that could not be used."""


def label_column(names: Iterable[str]) -> str | None:
    """The name of the column of labels among some names, if there is one."""
    known = {name.lower(): name for name in names}
    return next((known[name] for name in LABEL_COLUMNS if name in known), None)


def number_texts(texts: Mapping[Parts, str]) -> tuple[dict[Parts, int], tuple[str, ...]]:
    """Number texts by their place in sorted order, and list which number stands for which."""
    classes = tuple(sorted(set(texts.values())))
    numbers = {text: number for number, text in enumerate(classes)}
    return {parts: numbers[text] for parts, text in texts.items()}, classes


def label_by_folder(pictures: Collection[Parts]) -> Labels:
    """Label pictures by the first folders, splits aside, that are not the same for all of them.

    There are none unless there are two classes at least, and every picture is in one.

    Args:
        pictures: relative paths of the pictures.
    """
    folders = {
        parts: tuple(name for name in parts[:-1] if split_by_name(name) is None)
        for parts in pictures
    }
    inside = [names for names in folders.values() if names]
    ends = min(inside, default=()), max(inside, default=())  # what these share, all share
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False)))
    found = {parts: names[same] for parts, names in folders.items() if len(names) > same}
    numbers, classes = number_texts(found)
    if len(classes) < 2:
        return Labels({}, None, ())
    outside = [parts for parts in pictures if parts not in found]
    if outside:
        remark = (
            f"no labels: {len(outside):,} of {len(folders):,} pictures, such as "
            f"{'/'.join(outside[0])}, lie outside the folders of classes ({_few(classes)})"
        )
        return Labels({}, None, (remark,))
    return Labels(numbers, classes, tuple(_remarks_on_masks(found)))


def _remarks_on_masks(found: Mapping[Parts, str]) -> Iterator[str]:
    """A line for each class whose pictures have the names of others, and its own is of masks."""
    stems = defaultdict[str, set[str]](set)
    for parts, kind in found.items():
        stems[kind].add(_MASK.sub("", PurePosixPath(parts[-1]).stem))
    for kind in sorted(stems):
        others = set[str]().union(*(names for other, names in stems.items() if other != kind))
        if _MASK.search(kind) and stems[kind] <= others:
            yield (
                f"the pictures in {kind} are named as others are: they are learned from as "
                "pictures of a class; if they are masks of the others, take the folder out"
            )


def _few(names: tuple[str, ...], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def read_labels(files: Mapping[Parts, Path], pictures: frozenset[Parts]) -> Labels:
    """Read the labels that files of metadata give to pictures.

    Args:
        files: files of metadata, by their paths relative to the folder of all pictures.
        pictures: relative paths of the pictures.

    Raises:
        DataError: a file cannot be read, or is not what its name says.
    """
    found, unusable, remarks, strays = dict[Parts, Any](), set[str](), list[str](), 0
    for parts, path in files.items():
        columns = set[str]()
        for row in _rows(path):
            columns |= row.keys()
            picture = _normal(parts[:-1], row.get("file_name"))
            if picture not in pictures:
                strays += 1
                continue
            column = label_column(row)
            value = None if column is None else row[column]
            if _is_label(value):
                found[picture] = value
            elif value is not None:
                unusable.add(f"{column} such as {value!r:.40}")
        if "file_name" not in columns or label_column(columns) is None:
            had = ", ".join(sorted(columns)) or "nothing"
            remarks.append(f"{'/'.join(parts)} not used: no file_name with a label, but {had}")
    if unusable:
        what = ", ".join(sorted(unusable))
        remarks.append(f"labels of metadata that are no whole number and no text, not used: {what}")
    if strays:
        remarks.append(f"{strays:,} rows of metadata name no picture here")
    if all(isinstance(value, int) or is_number(value) for value in found.values()):
        return Labels({parts: int(v) for parts, v in found.items()}, None, tuple(remarks))
    of, classes = number_texts({parts: str(value) for parts, value in found.items()})
    return Labels(of, classes, tuple(remarks))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = read_text(path).removeprefix("\ufeff")  # with which Excel begins a file
    except DrawError as error:
        raise DataError(str(error)) from error
    if path.suffix == ".csv":
        yield from _rows_of_csv(text, path)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            raise DataError(f"{path}, line {number}: expected JSON, {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: expected an object, got {line:.40}")
        yield row


def _rows_of_csv(text: str, path: Path) -> Iterator[dict[str, Any]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    try:
        for row in rows:
            if any(row.pop(None, ())):
                raise DataError(
                    f"{path}, line {rows.line_num}: expected {len(row)} columns, as its first line "
                    "has, got more; put a text with commas into quotes"
                )
            yield row
    except csv.Error as error:
        raise DataError(f"{path}, after line {rows.line_num}: expected CSV, {error}") from error


def _normal(folder: Parts, name: Any) -> Parts | None:
    return (*folder, *PurePosixPath(name).parts) if isinstance(name, str) else None


def _is_label(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_LABEL


def is_number(text: str) -> bool:
    """Whether a text is a whole number that can be a label."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) < len(str(LARGEST_LABEL))
