"""`.amat`, the text files of Larochelle and others: a picture a line, numbers with blanks between.

`binarized_mnist_train.amat`, `_valid` and `_test` are the set of the paper's Table 2. In others
(`mnist_train.amat`) the last number of a line is its label.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from draw.data.sources.number_lines import (
    lines_at_once,
    parse,
    read_line,
    refuse_carriage_returns,
)
from draw.data.sources.pixels import side_of
from draw.data.sources.source import Place
from draw.data.sources.stacks import Block, Stack, set_name
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream, plain_name
from draw.data.store.splits import split_of
from draw.errors import DataError
from draw.terminal import one_line

SUFFIX = ".amat"


class Amat:
    """The format .amat (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format, by its suffix."""
        return plain_name(file.path).suffix.lower() == SUFFIX

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files, one for each."""
        return [_stack(file) for file in files]


def _stack(file: FileEntry) -> Stack:
    name = one_line(file.path)
    with open_stream(file.path) as stream:
        line = read_line(stream, name)
    refuse_carriage_returns(line, name)
    count = len(line.split())
    side, labelled = side_of(count), side_of(count) is None
    side = side or side_of(count - 1)
    if side is None:
        raise DataError(
            f"{name}: expected as many numbers a line as a square picture has pixels (784 for "
            f"28x28), and possibly a label, got {count:,}"
        )
    stem = plain_name(file.path).stem
    return Stack(
        name=name,
        split=split_of((*file.parts[:-1], stem), name),
        blocks=_blocks(file.path, name, count, side, labelled),
        set_name=set_name((*file.parts[:-1], stem)),
        remarks=("the last number of a line is its label",) if labelled else (),
    )


def _blocks(
    path: Path, name: str, count: int, side: int, labelled: bool
) -> Callable[[], Iterator[Block]]:
    def blocks() -> Iterator[Block]:
        with open_stream(path) as stream:
            for lines in lines_at_once(stream, name):
                numbers = _digits(lines, count)
                if numbers is None:
                    numbers = parse(lines, None, None, name)
                if numbers.shape[1] != count:
                    raise DataError(f"{name}: expected {count:,} numbers a line, got "
                                    f"{numbers.shape[1]:,}")  # fmt: skip
                labels = numbers[:, -1].astype(np.int64).tolist() if labelled else None
                yield Block(numbers[:, : side * side].reshape(-1, side, side), labels)

    return blocks


def _digits(lines: list[bytes], count: int) -> np.ndarray | None:
    """The numbers of lines that hold nothing but the digits 0 and 1 with one blank between."""
    cut = [line.rstrip() for line in lines]
    if any(len(line) != 2 * count - 1 for line in cut):
        return None
    characters = np.frombuffer(b" ".join([*cut, b""]), np.uint8).reshape(len(cut), 2 * count)
    digits, blanks = characters[:, ::2] - ord("0"), characters[:, 1::2]
    return digits if digits.max() <= 1 and (blanks == ord(" ")).all() else None
