"""NumPy's `.npy` and `.npz`: Keras' `mnist.npz`, MedMNIST, dSprites, Quick, Draw!, your own.

What an array is, its shape says: pictures have two or three dimensions beside their number (or a
square number of pixels), labels one. Splits are told by the names of arrays (x_train, test_images)
or of files. Arrays of Python's objects are pickles, which could run any program: none is read.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BufferedIOBase
from typing import cast

import numpy as np
from numpy.lib import format as npy

from draw.data.sources.pixels import CONVERSION, picture_shape, reshape_pictures
from draw.data.sources.source import Place
from draw.data.sources.stacks import Block, Label, Stack, read_rows, rows_at_once, set_name
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream, read_exactly, unpacked_limit, with_limit
from draw.data.store.splits import split_of
from draw.errors import DataError
from draw.terminal import one_line

SUFFIXES = (".npy", ".npz")
WHOLE_BYTES = 2**31
"""Most bytes of an array that is read at once where it lies column by column."""
_LABEL = re.compile(r"(?:^|[\W_])(?:labels?|y|targets?|class(?:es)?)(?:$|[\W_])", re.I)


@dataclass(frozen=True)
class Array:
    """Head of an array: its shape, its type and its place."""

    file: FileEntry
    member: str
    """Name of the array in an .npz; empty for an .npy."""
    shape: tuple[int, ...]
    dtype: np.dtype
    by_column: bool

    @property
    def name(self) -> str:
        """Name of the array in errors."""
        return one_line(self.file.path) + (f", array {one_line(self.stem)}" if self.member else "")

    @property
    def stem(self) -> str:
        """Name of the array, or of its file."""
        return self.member.removesuffix(".npy") or self.file.path.stem

    @property
    def parts(self) -> tuple[str, ...]:
        """All names on the way to the array, its own last."""
        inner = (self.file.path.stem, self.stem) if self.member else (self.file.path.stem,)
        return (*self.file.parts[:-1], *inner)

    @property
    def split(self) -> str | None:
        """Split that the names stand for."""
        return split_of(self.parts, self.name)

    @property
    def picture_shape(self) -> tuple[int, ...] | None:
        """Rows and columns of the array's pictures, and 3 where they have colours; or None."""
        return picture_shape(self.shape)

    @property
    def is_of_labels(self) -> bool:
        """Whether the array has one whole number or text for each of something."""
        flat = len(self.shape) == 1 or (len(self.shape) == 2 and self.shape[1] == 1)
        return flat and self.dtype.kind in "iubUS"

    def numbers(self, count: int) -> Iterator[np.ndarray]:
        """Yield all numbers, so many lines of the first dimension at a time."""
        size = int(np.prod(self.shape)) * self.dtype.itemsize
        with _stream(self.file, self.member) as stream:
            _read_head(stream, self.name)
            if self.by_column:
                if size > WHOLE_BYTES:
                    raise DataError(
                        f"{self.name}: lies column by column (fortran_order) and is larger than "
                        f"{WHOLE_BYTES:,} bytes; save np.ascontiguousarray(x) instead"
                    )
                content = read_exactly(stream, size, self.name)
                whole = np.frombuffer(content, self.dtype).reshape(self.shape, order="F")
                yield from (whole[at : at + count] for at in range(0, self.shape[0], count))
                return
            yield from read_rows(stream, self.shape, self.dtype, count, self.name)


class Arrays:
    """The formats .npy and .npz (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format, by its suffix."""
        return file.path.suffix.lower() in SUFFIXES and file.stamp != "no file"

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files, one for each array of pictures."""
        arrays = [array for file in files for array in _heads(file)]
        pictures = [array for array in arrays if array.picture_shape and len(array.shape) > 2]
        pictures = pictures or [array for array in arrays if array.picture_shape]
        _check(place, arrays, pictures)
        unsplit = len(pictures) > 1 and not any(array.split for array in pictures)
        stacks, used = list[Stack](), set[Array]()
        for array in pictures:
            labels = _labels_of(array, arrays)
            # A file for each class, as of Quick, Draw!; so it is with folders of pictures.
            named = array.file.path.stem if unsplit and labels is None else None
            used |= {array} if labels is None else {array, labels}
            stacks.append(_stack(array, labels, named))
        others = ", ".join(one_line(array.stem) for array in arrays if array not in used)
        first = stacks[0]
        remarks = (f"arrays not used: {others}",) if others else ()
        return [replace(first, remarks=remarks), *stacks[1:]]


def _check(place: Place, arrays: list[Array], pictures: list[Array]) -> None:
    """See that arrays are stacks of pictures, one for each split of a file.

    Raises:
        DataError: they are not.
    """
    shapes = ", ".join(f"{one_line(a.stem)} {a.shape} {a.dtype}" for a in arrays[:8])
    objects = [array for array in arrays if array.dtype.hasobject]
    if not pictures and objects:
        raise DataError(
            f"{objects[0].name}: expected numbers, got Python's objects, which are a pickle that "
            "could run any program, and are not read; save the pictures alone, as np.stack(list)"
            f".{CONVERSION}"
        )
    if not pictures:
        raise DataError(
            f"expected an array of pictures in {place.path}, of the shape (n, rows, columns), "
            f"(n, rows, columns, 3) or (n, rows * rows), got {shapes}.{CONVERSION}"
        )
    for array in pictures:
        lone = len(array.shape) == 3 and array.shape[2] in (1, 3, 4)
        if lone or (len(array.shape) == 2 and array.shape[0] == array.shape[1]):
            raise DataError(
                f"{array.name}: expected many pictures in one array, got the shape {array.shape}, "
                "which may be a single one; stack them, np.stack(list of pictures)."
                f"{CONVERSION}"
            )
    for array in pictures:
        beside = [
            other.stem for other in pictures
            if (other.file, other.split) == (array.file, array.split)
        ]  # fmt: skip
        if len(beside) > 1:
            raise DataError(
                f"expected one array of pictures for each split in {one_line(array.file.path)}, "
                f"got {', '.join(map(one_line, beside))}, each of which may be; save the one to "
                "learn from alone, as x_train and x_test where it has splits"
            )


def _labels_of(pictures: Array, arrays: list[Array]) -> Array | None:
    """The array that has a label for each picture of another."""
    fitting = [
        array for array in arrays
        if array.is_of_labels and array.split == pictures.split
        and array.shape[0] == pictures.shape[0]
    ]  # fmt: skip
    beside = [array for array in fitting if array.file == pictures.file] or fitting
    named = [array for array in beside if _LABEL.search(array.stem)]
    for choice in (beside, named):
        if len(choice) == 1:
            return choice[0]
    return None


def _stack(pictures: Array, labels: Array | None, named: str | None) -> Stack:
    folders = pictures.file.parts[:-1]
    return Stack(
        name=pictures.name,
        split=pictures.split,
        blocks=_blocks(pictures, labels, named),
        set_name="default" if named else set_name((*folders, pictures.file.path.stem)),
    )


def _blocks(
    pictures: Array, labels: Array | None, named: str | None
) -> Callable[[], Iterator[Block]]:
    shape = pictures.picture_shape or ()
    count = rows_at_once(pictures.shape[1:], pictures.dtype.itemsize, pictures.name)

    def blocks() -> Iterator[Block]:
        numbers = None if labels is None else labels.numbers(count)
        for pixels in pictures.numbers(count):
            of: list[Label | None] | None = None if named is None else [named] * len(pixels)
            if numbers is not None:
                of = [_plain(label) for label in next(numbers).reshape(-1).tolist()]
            yield Block(reshape_pictures(pixels, shape), of)

    return blocks


def _plain(label: bytes | str | int) -> Label:
    if isinstance(label, bytes):
        return label.decode(errors="replace")
    return label if isinstance(label, str) else int(label)


def _heads(file: FileEntry) -> list[Array]:
    """The arrays of a file."""
    if file.path.suffix.lower() == ".npy":
        members = [""]
    else:
        with _zip(file) as archive:
            members = [name for name in archive.namelist() if name.endswith(".npy")]
    heads = []
    for member in members:
        with _stream(file, member) as stream:
            name = one_line(file.path) + (f", array {one_line(member)}" if member else "")
            heads.append(Array(file, member, *_read_head(stream, name)))
    return heads


def _read_head(stream: BufferedIOBase, name: str) -> tuple[tuple[int, ...], np.dtype, bool]:
    """Shape, type and order of an array."""
    try:
        major = npy.read_magic(stream)[0]
        read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, by_column, dtype = read(stream)
    except ValueError as error:
        raise DataError(
            f"{name}: expected an array of NumPy, as its name says ({error})"
        ) from error
    return shape, dtype, by_column and len(shape) > 1


@contextmanager
def _zip(file: FileEntry) -> Iterator[zipfile.ZipFile]:
    name = one_line(file.path)
    with open_stream(file.path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error) as error:
            raise DataError(f"{name}: is damaged, or no .npz ({error}); fetch it again") from error


@contextmanager
def _stream(file: FileEntry, member: str) -> Iterator[BufferedIOBase]:
    if not member:
        with open_stream(file.path) as stream:
            yield stream
        return
    with _zip(file) as archive, archive.open(member) as unpacked:
        most = unpacked_limit(archive.getinfo(member).compress_size)
        yield with_limit(cast(BufferedIOBase, unpacked), most, one_line(file.path))
