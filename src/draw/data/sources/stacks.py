"""Pictures that lie as numbers in a few large files, each a stack of pictures of one size.

A format says which files are its own (`takes`) and how they are read, block by block so that none
has to fit in memory (`stacks`). What is the same for all is here: splits by the names of files,
which number is white, labels as numbers or texts, sets beside each other.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BufferedIOBase
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from draw.data.sources.labels import LARGEST_LABEL, is_number
from draw.data.sources.pixels import to_eight_bit, white_of
from draw.data.sources.source import Opener, Place, Source
from draw.data.sources.tree import FileEntry, digest_files, stamp_files
from draw.data.sources.unpack import read_exactly
from draw.data.store.decode import MAX_PIXELS, Picture
from draw.data.store.splits import without_split
from draw.errors import DataError

BLOCK_BYTES = 2**20
"""About so much is read at once."""
Label = int | str
_PART, _ENDS = re.compile(r"\d+$"), re.compile(r"^[\W_]+|[\W_]+$")
_EMNIST = re.compile(r"(?:^|[\W_])emnist(?:$|[\W_])", re.I)
ON_ITS_SIDE = "EMNIST's pictures lie on their side in its files, and are turned upright"


class Block(NamedTuple):
    """Some pictures of a stack."""

    pixels: Shaped[np.ndarray, "block rows columns"] | Shaped[np.ndarray, "block rows columns 3"]
    labels: list[Label | None] | None = None


@dataclass(frozen=True)
class Stack:
    """Pictures of one size, one after another in a file."""

    name: str
    """How errors call it: the file, and what in it."""
    split: str | None
    """Split that the stack belongs to, as `split_by_name` has it."""
    blocks: Callable[[], Iterator[Block]]
    """All of them from the start, whenever it is called."""
    set_name: str
    """Name of the set, where several may lie beside each other."""
    remarks: tuple[str, ...] = ()
    """What reports should say of it."""
    classes: tuple[str, ...] | None = None
    """What the labels 0, 1, ... mean, where a file says it."""


def set_name(parts: Iterable[str]) -> str:
    """Name of the set whose pictures are in a file: splits and numbers of parts aside.

    Args:
        parts: parts of the file's path, without its suffix.
    """
    words = (_ENDS.sub("", without_split(_PART.sub("", part))) for part in parts)
    return "/".join(filter(None, words)) or "default"


def is_emnist(name: str) -> bool:
    """Whether a file is one of EMNIST by its name, whose pictures lie on their side."""
    return _EMNIST.search(name) is not None


@runtime_checkable
class StackFormat(Protocol):
    """Interface of a way that stacks of pictures lie in files."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format; at most its first bytes are looked at."""

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Describe the stacks that the files hold; their heads are read, and no pictures.

        Args:
            place: place of the files, for errors.
            files: files of the format.

        Raises:
            DataError: there are no pictures in the files, or some that cannot be distinguished.
        """


def stacks_of(form: StackFormat) -> Opener:
    """Make the opener (see `Opener`) of a format of stacks."""

    def open_stacks(place: Place) -> Source | None:
        files = tuple(file for file in place.files if form.takes(file))
        return Stacks(place, files, form) if files else None

    return open_stacks


class _Meaning(NamedTuple):
    """What the numbers and labels of some stacks stand for."""

    white: int
    """The number that stands for white: 1 or 255."""
    classes: tuple[str, ...] | None
    """What the labels mean, where they are texts."""


@dataclass(frozen=True)
class Stacks:
    """A source (see `Source`) of stacks of pictures in the files of one format.

    Splits are told by the names of files, or of what is in them. Numbers are whole ones from 0 to
    255, or lie between 0 and 1; all stacks of a set have the same.
    """

    place: Place
    files: tuple[FileEntry, ...]
    form: StackFormat

    @cached_property
    def _stacks(self) -> tuple[Stack, ...]:
        """Those of the set that is asked for, all with a split or none."""
        every = self.form.stacks(self.place, self.files)
        chosen = self.place.choose(stack.set_name for stack in every)
        stacks = [stack for stack in every if stack.set_name == chosen]
        told = [stack for stack in stacks if stack.split is not None]
        if told and len(told) < len(stacks):
            stray = next(stack for stack in stacks if stack.split is None)
            raise DataError(
                f"expected the names of all pictures in {self.place.path} to tell of a split, or "
                f"of none, but {told[0].name} is of {told[0].split} and {stray.name} of none; "
                "rename it, or move it elsewhere"
            )
        return tuple(stacks)

    @cached_property
    def _meaning(self) -> _Meaning:
        """Goes through all numbers once.

        Raises:
            DataError: they are none that are understood.
        """
        low, high, whole, named = np.inf, -np.inf, True, set[Label]()
        for stack in self._stacks:
            for pixels, labels in stack.blocks():
                low, high = np.minimum(low, pixels.min()), np.maximum(high, pixels.max())
                if pixels.dtype.kind == "f" and whole:
                    whole = bool((pixels == np.rint(pixels)).all())
                named |= {label for label in labels or () if label is not None}
        texts = {label for label in named if isinstance(label, str)}
        classes = None if all(map(is_number, texts)) else tuple(sorted(map(str, named)))
        white = white_of(low, high, whole, f"{self.place.path}", self._stacks[0].name)
        return _Meaning(white, classes)

    def location(self) -> str:
        """Full path of the place."""
        return self.place.location()

    def description(self) -> str:
        """Describe the path, and how many files in it are passed over."""
        return self.place.description(self.files)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, where a file has them or the labels are texts."""
        return self._meaning.classes or self._stacks[0].classes

    def stamp(self) -> str:
        """Stamp that changes with the names, sizes and times of the files."""
        return stamp_files(self.files)

    def fingerprint(self) -> str:
        """SHA-256 of the files' names and bytes, and which set of them."""
        return digest_files(self.files) + f" {self.place.config or ''}"

    def splits(self) -> dict[str, Iterator[Picture]]:
        """Yield the pictures of each split, in stored order."""
        parts: dict[str, list[Stack]] = {}
        for stack in self._stacks:
            parts.setdefault(stack.split or "all", []).append(stack)
        return {split: self._pictures(stacks) for split, stacks in parts.items()}

    def remarks(self) -> tuple[str, ...]:
        """Remarks of the format, and the number that was taken for white."""
        every = dict.fromkeys(remark for stack in self._stacks for remark in stack.remarks)
        white = ["pixels from 0 to 1, of which 1 is white"] if self._meaning.white == 1 else []
        return (*every, *white)

    def _pictures(self, stacks: list[Stack]) -> Iterator[Picture]:
        white, classes = self._meaning
        numbers = {text: number for number, text in enumerate(classes or ())}
        for stack in stacks:
            number = 0
            for pixels, labels in stack.blocks():
                eight_bit = to_eight_bit(pixels, white)
                for picture, label in zip(eight_bit, labels or [None] * len(pixels), strict=True):
                    name = f"{stack.name}, picture {number}"
                    number += 1
                    if label is not None:
                        label = numbers[str(label)] if classes else int(label)
                        if abs(label) > LARGEST_LABEL:
                            raise DataError(f"{name}: has the label {label}, which is too large")
                    yield Picture(name, picture, label)


def read_rows(
    stream: BufferedIOBase, shape: tuple[int, ...], dtype: np.dtype, count: int, name: str
) -> Iterator[Shaped[np.ndarray, "..."]]:
    """Yield the numbers of a stack, so many lines of its first dimension at a time.

    Args:
        stream: stream at the first of the numbers.
        shape: shape of all of the numbers.
        dtype: type of the numbers.
        count: number of lines at a time.
        name: name of the stack in errors.
    """
    size = int(np.prod(shape[1:])) * dtype.itemsize
    for first in range(0, shape[0], count):
        rows = min(count, shape[0] - first)
        content = read_exactly(stream, rows * size, name)
        yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])


def rows_at_once(shape: tuple[int, ...], size: int, name: str) -> int:
    """Number of pictures to read at once.

    Args:
        shape: shape of one picture.
        size: bytes of one number.
        name: name of the stack in errors.

    Raises:
        DataError: the pictures have no pixels, or too many.
    """
    pixels = int(np.prod(shape, dtype=np.float64))
    if not 0 < pixels <= MAX_PIXELS:
        raise DataError(
            f"{name}: expected pictures of 1 to {MAX_PIXELS:,} pixels, got "
            f"{'x'.join(map(str, shape))}"
        )
    return max(1, BLOCK_BYTES // (pixels * size))
