"""IDX, the format of MNIST (`train-images-idx3-ubyte`), of EMNIST, Fashion-MNIST and KMNIST.

A file begins with 0, 0, the type of its numbers and how many dimensions it has, then the length of
each, big-endian; the numbers follow. Files may end in .gz.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedIOBase

import numpy as np

from draw.data.sources.source import Place
from draw.data.sources.stacks import (
    ON_ITS_SIDE,
    Block,
    Label,
    Stack,
    is_emnist,
    read_rows,
    rows_at_once,
    set_name,
)
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream, plain_name, read_exactly
from draw.data.store.splits import split_of
from draw.errors import DataError
from draw.terminal import one_line

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
"""Types of numbers, by the third byte of a file."""
MOST_DIMENSIONS = 4
_NAME = re.compile(r"(?:idx[1-4]|ubyte)(?:[\W_]?(?:ubyte|int))?(?: ?\(\d+\))?$", re.I)
"""How names end, compression aside: idx3-ubyte, also idx2-int, and the number of a copy."""
_WORDS = re.compile(r"idx[1-4]|ubyte|int|images?|labels?|[\W_]+", re.I)


@dataclass(frozen=True)
class IdxFile:
    """Head of an IDX file."""

    file: FileEntry
    dtype: np.dtype
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """Name of the file in errors."""
        return one_line(self.file.path)

    @property
    def key(self) -> tuple[str, ...]:
        """Key that pictures share with their labels: folders and name without what differs."""
        words = [_WORDS.sub(" ", part).strip().lower() for part in self.file.parts[:-1]
                 if not _NAME.search(part)]  # fmt: skip
        own = _WORDS.sub(" ", plain_name(self.file.path).name).strip().lower()
        return (*words, re.sub(r"\bt10k\b", "test", own))

    @property
    def set_name(self) -> str:
        """Name of the set as a user can type it: the key, splits aside."""
        return set_name(re.sub(r"\s+", "-", part) for part in self.key)

    def numbers(self, count: int) -> Iterator[np.ndarray]:
        """Yield all numbers, so many lines of the first dimension at a time."""
        with open_stream(self.file.path) as stream:
            read_head(stream, self.name)
            yield from read_rows(stream, self.shape, self.dtype, count, self.name)


def read_head(stream: BufferedIOBase, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    """Read the type and the dimensions that an IDX file begins with.

    Raises:
        DataError: the file begins in another way.
    """
    zero, kind, dimensions = np.frombuffer(read_exactly(stream, 4, name), ">u2,u1,u1")[0].tolist()
    if zero != 0 or kind not in TYPES or not 1 <= dimensions <= MOST_DIMENSIONS:
        raise DataError(
            f"{name}: expected an IDX file, as its name says, but it does not begin as one; fetch "
            "it again"
        )
    shape = np.frombuffer(read_exactly(stream, 4 * dimensions, name), ">u4").tolist()
    return np.dtype(TYPES[kind]), tuple(shape)


class Idx:
    """The format IDX (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format, by its name, which ends in idx3 or ubyte."""
        name = plain_name(file.path).name
        return _NAME.search(name) is not None and file.stamp != "no file"

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files of pictures; labels are in the file of the same name otherwise."""
        pictures, labels = dict[tuple[str, ...], IdxFile](), dict[tuple[str, ...], IdxFile]()
        copies = list[str]()
        # Of copies the one to take is that which needs no unpacking, and lies highest.
        plain_first = sorted(files, key=lambda f: (f.path != plain_name(f.path), len(f.parts)))
        for file in plain_first:
            with open_stream(file.path) as stream:
                head = IdxFile(file, *read_head(stream, one_line(file.path)))
            found = pictures if len(head.shape) > 2 else labels
            first = found.setdefault(head.key, head)
            if first.shape != head.shape:
                raise DataError(
                    f"expected one file of each kind, got {first.name} of {first.shape} and "
                    f"{head.name} of {head.shape}; move one of them elsewhere"
                )
            if first is not head:
                copies.append(file.path.name)
        if not pictures:
            raise DataError(
                f"expected pictures in {place.path}, found IDX files of labels alone "
                f"({', '.join(one_line(head.name) for head in labels.values())}); put the file "
                "named images-idx3-ubyte beside"
            )
        remarks = (f"copies passed over: {', '.join(sorted(copies))}",) if copies else ()
        return [_stack(pictures[key], labels.get(key), remarks) for key in sorted(pictures)]


def _stack(pictures: IdxFile, labels: IdxFile | None, remarks: tuple[str, ...]) -> Stack:
    if len(pictures.shape) == 4 and pictures.shape[3] != 3:
        raise DataError(f"{pictures.name}: expected grey pictures or such of 3 colours, got the "
                        f"dimensions {pictures.shape}")  # fmt: skip
    if labels is None:
        remarks += (f"no labels beside {pictures.file.path.name}",)
    elif labels.shape[0] != pictures.shape[0]:
        raise DataError(
            f"expected a label for each picture, got {pictures.shape[0]:,} pictures in "
            f"{pictures.name} and {labels.shape[0]:,} labels in {labels.name}; one of them is of "
            "another set"
        )
    turned = is_emnist(pictures.file.path.name)
    return Stack(
        name=pictures.name,
        split=split_of(pictures.key, pictures.name),
        blocks=_blocks(pictures, labels, turned),
        set_name=pictures.set_name,
        remarks=(*remarks, ON_ITS_SIDE) if turned else remarks,
    )


def _blocks(
    pictures: IdxFile, labels: IdxFile | None, turned: bool
) -> Callable[[], Iterator[Block]]:
    count = rows_at_once(pictures.shape[1:], pictures.dtype.itemsize, pictures.name)

    def blocks() -> Iterator[Block]:
        numbers = None if labels is None else labels.numbers(count)
        for pixels in pictures.numbers(count):
            named: list[Label | None] | None = None
            if numbers is not None:
                of = next(numbers)
                named = (of if of.ndim == 1 else of[:, 0]).tolist()  # QMNIST's have eight numbers
            yield Block(pixels.swapaxes(1, 2) if turned else pixels, named)

    return blocks
