"""Tables with a picture a row: which columns hold pictures, labels and boxes, and their rows.

A picture is an image as `datasets` stores it; the same without its metadata, as pandas writes it (a
struct of bytes and path); the bytes of a file; or numbers, as lists of rows or as one list.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from draw.data.sources.labels import LABEL_COLUMNS, ROW_NUMBERS, label_column
from draw.data.sources.pixels import picture_shape, reshape_pictures, to_eight_bit, white_of
from draw.data.store.decode import Picture
from draw.errors import DataError
from draw.terminal import one_line

ROWS_AT_ONCE = 64
IMAGE_COLUMNS = ("image", "img")
"""Which column is taken where several hold pictures."""
PIXEL_COLUMNS = ("image", "img", "pixels", "pixel_values", "picture", "x")
"""Which lists of numbers may be pictures."""
TEXTS = ("string", "large_string", "string_view")
DIGITS_COLUMN = "digits"
"""Boxes and labels of the digits in a picture, as SVHN has them (see `draw.data.sets.svhn`)."""


@dataclass(frozen=True)
class Columns:
    """The columns of a table that matter, and how its rows become pictures."""

    folder: Path
    """Folder of the table, in which the files lie that rows may name."""
    features: Mapping[str, Any]
    """Type of each column, as of `datasets`."""
    streams: Callable[[], Iterable[Any]]
    """All streams of rows, to look through their labels and numbers."""
    picture_paths: set[str] = field(default_factory=set, compare=False, repr=False)
    """Full paths of the files that rows have given for their pictures."""

    @cached_property
    def image(self) -> str:
        """Name of the column of pictures.

        Raises:
            DataError: there is none, or it cannot be told from others.
        """
        encoded = [name for name, feature in self.features.items() if _is_image(feature)]
        bare = [name for name, feature in self.features.items() if _holds_files(feature)]
        numbers = [
            name for name, feature in self.features.items()
            if _depth(feature) and name.lower() in PIXEL_COLUMNS
        ]  # fmt: skip
        columns = encoded or bare or numbers
        chosen = [name for name in IMAGE_COLUMNS if name in columns] or columns
        if not chosen or (len(columns) > 1 and chosen == columns):
            had = ", ".join(f"{name} ({feature})" for name, feature in self.features.items())
            raise DataError(
                f"expected one column of pictures in {self.folder}, got {had}; name it image: "
                "datasets.Image(), the bytes of a file, or lists of pixels"
            )
        return chosen[0]

    @cached_property
    def label(self) -> str | None:
        """Name of the column of labels, if there is one."""
        named = [name for name, feature in self.features.items() if _holds_classes(feature)]
        usable = (name for name, feature in self.features.items() if _holds_labels(feature))
        return named[0] if named else label_column(usable)

    @cached_property
    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if the column has them; texts as labels are their own."""
        names = getattr(self.features[self.label], "names", None) if self.label else None
        return tuple(names) if names else self._texts

    @cached_property
    def _texts(self) -> tuple[str, ...] | None:
        """All different labels, sorted, where they are texts."""
        column = self.label
        if column is None or getattr(self.features[column], "dtype", "") not in TEXTS:
            return None
        texts = set[str]()
        for stream in self.streams():
            for table in stream.select_columns([column]).with_format("arrow").iter(1000):
                texts |= set(table[column].unique().to_pylist()) - {None}
        return tuple(sorted(texts))

    @cached_property
    def _white(self) -> int:
        """The number that stands for white, where pictures are numbers."""
        low, high, whole = np.inf, -np.inf, True
        for stream in self.streams():
            for table in stream.select_columns([self.image]).with_format("arrow").iter(1000):
                values = _numbers(table[self.image], f"{self.folder}, column {self.image}")
                if values.size:
                    low, high = np.minimum(low, values.min()), np.maximum(high, values.max())
                    whole = whole and bool((values == np.rint(values)).all())
        return white_of(low, high, whole, str(self.folder), f"column {self.image}")

    def remarks(self) -> tuple[str, ...]:
        """Name the columns of labels, of numbers and of texts that are not used."""
        unused = {
            name: f"{name} ({getattr(feature, 'dtype', None) or type(feature).__name__})"
            for name, feature in self.features.items()
            if name != self.label
        }
        others = [
            name
            for name in unused
            if _holds_classes(self.features[name]) or name.lower() in LABEL_COLUMNS
        ]
        rest = [
            name
            for name in unused
            if name not in others
            and name.lower() not in ROW_NUMBERS
            and _holds_values(self.features[name])
        ]
        labels = "no labels, which are numbers or texts"
        if self.label:
            labels = f"labels are of column {self.label}"
        lines = {f"{labels}, not ": others, "columns not used: ": rest}
        return tuple(
            begin + ", ".join(unused[name] for name in names)
            for begin, names in lines.items()
            if names
        )

    def stored_pictures(self, stream: Any) -> Any:
        """A stream whose pictures come as they are stored, in Arrow's tables."""
        from datasets import Image

        if _is_image(self.features[self.image]):
            stream = stream.cast_column(self.image, Image(decode=False))
        return stream.with_format("arrow")

    def pictures(self, rows: Any, shard: str) -> Iterator[Picture]:
        """Yield the picture of each row.

        Args:
            rows: stream of rows as they are stored.
            shard: name of the file, for errors.

        Raises:
            DataError: a row has no picture, or one that is not to be read.
        """
        numbers: dict[Any, Any] = {text: at for at, text in enumerate(self._texts or ())}
        first = 0
        for table in rows.iter(batch_size=ROWS_AT_ONCE):
            names = [f"{shard}, row {first + at}" for at in range(len(table))]
            first += len(table)
            labels = [None] * len(table)
            if self.label:
                labels = table[self.label].to_pylist()
            digits: list[Any] = [None] * len(table)
            if DIGITS_COLUMN in self.features:
                digits = [stored or () for stored in table[DIGITS_COLUMN].to_pylist()]
            stored = self._stored(table[self.image], names)
            for name, image, label, of_row in zip(names, stored, labels, digits, strict=True):
                yield Picture(name, image, numbers.get(label, label), of_row)

    def _stored(self, column: Any, names: list[str]) -> Iterator[Any]:
        if _depth(self.features[self.image]):
            yield from to_eight_bit(_numbers(column, names[0]), self._white)
            return
        for image, name in zip(column.to_pylist(), names, strict=True):
            yield self._data(image, name)

    def _data(self, image: Any, name: str) -> bytes | Path:
        if isinstance(image, bytes):
            return image
        if image and image["bytes"] is not None:
            return bytes(image["bytes"])
        if image and image.get("path"):
            return self._inside(str(image["path"]), name)
        raise DataError(f"{self.folder}: {name} has no picture; take the row out")

    def _inside(self, named: str, name: str) -> Path:
        """The picture that a row names by its path; it lies in the folder, also by links."""
        path = self.folder / named
        full = os.path.realpath(path)
        inside = Path(full).is_relative_to(os.path.realpath(self.folder))
        if not inside or (path.exists() and not path.is_file()):
            raise DataError(
                f"{self.folder}: expected {name} to hold a picture, or the path of one in this "
                f"folder, got {one_line(path)}, which is not read; put the picture into the row"
            )
        self.picture_paths.add(full)
        return path


def _numbers(column: Any, name: str) -> Shaped[np.ndarray, "..."]:
    """Pictures that are stored as lists of numbers.

    Raises:
        DataError: they differ in size, or are of no size that is known.
    """
    import pyarrow as pa

    values, shape = column.combine_chunks(), [len(column)]
    while True:
        values = values.storage if isinstance(values, pa.ExtensionArray) else values
        if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
                or pa.types.is_fixed_size_list(values.type)):  # fmt: skip
            break
        shape.append(len(values[0]) if len(values) and values[0].is_valid else 0)
        values = values.flatten()
    inner = picture_shape(tuple(shape))
    if values.null_count or inner is None or len(values) != np.prod(shape):
        raise DataError(
            f"{name}: expected lists of pixels of one size in each row, as rows of columns (of 3 "
            f"colours), or as one square list, got {'x'.join(map(str, shape[1:]))} in the first of "
            f"{shape[0]} rows and {len(values):,} numbers in all"
        )
    return reshape_pictures(values.to_numpy(zero_copy_only=False).reshape(shape), inner)


def _depth(feature: Any) -> int:
    """Number of lists within each other round numbers; 0 if a column is no list of numbers."""
    shape = getattr(feature, "shape", None)
    if shape is not None and hasattr(feature, "dtype"):
        return len(shape)
    inner = getattr(feature, "feature", None)
    if inner is None:
        return 0
    dtype = str(getattr(inner, "dtype", ""))
    if re.fullmatch(r"u?int\d+|float\d+|bool", dtype) and getattr(inner, "feature", None) is None:
        return 1
    return 1 + deeper if (deeper := _depth(inner)) else 0


def _is_image(feature: Any) -> bool:
    from datasets import Image

    return isinstance(feature, Image)


def _holds_files(feature: Any) -> bool:
    """Whether a column is of the bytes of files, or of such and their paths."""
    if isinstance(feature, Mapping):
        return "bytes" in feature and set(feature) <= {"bytes", "path"}
    return str(getattr(feature, "dtype", "")) in ("binary", "large_binary", "binary_view")


def _holds_classes(feature: Any) -> bool:
    from datasets import ClassLabel

    return isinstance(feature, ClassLabel)


def _holds_values(feature: Any) -> bool:
    """Whether a column is of numbers or texts."""
    dtype = str(getattr(feature, "dtype", ""))
    return re.fullmatch(r"u?int\d+|float\d+|bool", dtype) is not None or dtype in TEXTS


def _holds_labels(feature: Any) -> bool:
    """Whether a column is of whole numbers or texts."""
    dtype = str(getattr(feature, "dtype", ""))
    return re.fullmatch(r"u?int\d+", dtype) is not None or dtype in TEXTS
