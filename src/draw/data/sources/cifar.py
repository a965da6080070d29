"""CIFAR's binary version: `data_batch_1.bin` to 5 and `test_batch.bin`, or `train.bin`, `test.bin`.

A picture is its label (CIFAR-100: the coarse one, then the fine), then its 32x32 pixels, red,
green and blue apart. The Python version is pickles, and is refused by name.
"""

import re
from collections.abc import Callable, Iterator

import numpy as np

from draw.data.sources.source import Place
from draw.data.sources.stacks import Block, Stack, read_rows
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream
from draw.data.store.splits import split_of
from draw.errors import DataError, DrawError
from draw.files import read_text
from draw.terminal import one_line

PIXELS = 3 * 32 * 32
AT_ONCE = 256
_CIFAR_10 = re.compile(r"data_batch_\d+\.bin|test_batch\.bin", re.I)
_CIFAR_100 = re.compile(r"train\.bin|test\.bin", re.I)
NAMES = "batches.meta.txt", "fine_label_names.txt"
"""Files with the names of the classes."""


class Cifar:
    """The binary version of CIFAR (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format, by its name and size, a whole number of pictures."""
        labels = _labels_each(file)
        size = file.stamp.partition(" ")[0]
        whole = size.isdigit() and labels and int(size) > 0 and int(size) % (labels + PIXELS) == 0
        return bool(whole)

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files, one for each."""
        classes = next((_names(file) for file in place.files if file.path.name in NAMES), None)
        return [_stack(file, classes) for file in files]


def _labels_each(file: FileEntry) -> int:
    """How many labels a picture of a file has; 0 if it is no file of CIFAR by its name."""
    name = file.path.name
    return 1 if _CIFAR_10.fullmatch(name) else 2 if _CIFAR_100.fullmatch(name) else 0


def _names(file: FileEntry) -> tuple[str, ...] | None:
    try:
        lines = read_text(file.path, largest=2**16).split()
    except DrawError as error:
        raise DataError(str(error)) from error
    return tuple(map(one_line, lines)) or None


def _stack(file: FileEntry, classes: tuple[str, ...] | None) -> Stack:
    name = one_line(file.path)
    fine = _labels_each(file) == 2
    return Stack(
        name=name,
        split=split_of((*file.parts[:-1], file.path.stem), name) or "train",
        blocks=_blocks(file, name),
        set_name="/".join(file.parts[:-1]) or "default",
        remarks=("labels are the fine ones, of 100 classes",) if fine else (),
        classes=classes,
    )


def _blocks(file: FileEntry, name: str) -> Callable[[], Iterator[Block]]:
    labels = _labels_each(file)
    width = labels + PIXELS

    def blocks() -> Iterator[Block]:
        with open_stream(file.path) as stream:
            shape = int(file.stamp.partition(" ")[0]) // width, width
            for rows in read_rows(stream, shape, np.dtype(np.uint8), AT_ONCE, name):
                pixels = rows[:, labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
                yield Block(pixels, rows[:, labels - 1].tolist())

    return blocks
