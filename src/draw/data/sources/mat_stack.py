"""`train_32x32.mat` and `test_32x32.mat`, the cropped digits of SVHN, in MATLAB's format 5.

`X` has the shape (rows, columns, 3, n); `y` has the labels 1 to 10, of which 10 is the digit 0.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from draw.data.sources.source import Place
from draw.data.sources.stacks import Block, Label, Stack, rows_at_once
from draw.data.sources.tree import FileEntry
from draw.data.sources.unpack import open_stream, unpacked_limit
from draw.data.store.splits import split_of
from draw.errors import DataError
from draw.terminal import one_line

_NAME = re.compile(r"(.*)_\d+x\d+\.mat", re.I)


class MatStack:
    """The format of SVHN's cropped digits (see `StackFormat`)."""

    def takes(self, file: FileEntry) -> bool:
        """Whether a file is of the format, by its name, which ends in the size."""
        return _NAME.fullmatch(file.path.name) is not None and file.stamp != "no file"

    def stacks(self, place: Place, files: tuple[FileEntry, ...]) -> list[Stack]:
        """Stacks of the files, one for each."""
        return [_stack(file) for file in files]


def _stack(file: FileEntry) -> Stack:
    name = one_line(file.path)
    shapes = {what: shape for what, shape, _ in _matlab(file, "whosmat")}
    shape, labels = shapes.get("X", ()), shapes.get("y", ())
    if len(shape) != 4 or shape[2] not in (1, 3):
        raise DataError(
            f"{name}: expected an array X of rows x columns x 3 x pictures, as SVHN's "
            f"train_32x32.mat has it, got {shapes}"
        )
    if labels and int(np.prod(labels, dtype=np.float64)) != shape[3]:
        raise DataError(f"{name}: expected a label y for each of {shape[3]:,} pictures, got y of "
                        f"the shape {labels}")  # fmt: skip
    most, size = unpacked_limit(file.path.stat().st_size), np.prod(shape, dtype=np.float64)
    if size > most:
        raise DataError(f"{name}: expected at most {most:,} bytes of pixels, got {size:,.0f}, more "
                        "than a file of its size can hold")  # fmt: skip
    stem = file.path.stem
    extra = "extra" if stem.lower().startswith("extra") else None  # SVHN's third part
    return Stack(
        name=name,
        split=split_of((*file.parts[:-1], stem), name) or extra,
        blocks=_blocks(file, name, shape, bool(labels)),
        set_name="/".join(file.parts[:-1]) or "default",
        remarks=("the label 10 is the digit 0",) if labels else (f"no labels in {stem}",),
    )


def _blocks(
    file: FileEntry, name: str, shape: tuple[int, ...], labelled: bool
) -> Callable[[], Iterator[Block]]:
    rows, columns, colours, total = shape
    count = rows_at_once(shape[:3], 1, name)

    def blocks() -> Iterator[Block]:
        values = _matlab(file, "loadmat", variable_names=["X", "y"])
        pixels = values["X"].transpose(3, 0, 1, 2)
        if pixels.dtype.kind not in "uif" or pixels.shape != (total, rows, columns, colours):
            raise DataError(f"{name}: expected numbers as pixels, got {pixels.dtype}")
        if colours == 1:
            pixels = pixels[..., 0]
        for first in range(0, total, count):
            labels: list[Label | None] | None = None
            if labelled:
                stored = values["y"].reshape(-1)[first : first + count].astype(np.int64)
                labels = np.where(stored == 10, 0, stored).tolist()
            yield Block(pixels[first : first + count], labels)

    return blocks


def _matlab(file: FileEntry, verb: str, **options: Any) -> Any:
    """What a function of `scipy.io` makes of a file.

    Raises:
        DataError: it cannot be read.
    """
    import scipy.io

    with open_stream(file.path) as stream:
        try:
            return getattr(scipy.io, verb)(stream, **options)
        except Exception as error:  # whatever a damaged file makes it raise
            raise DataError(
                f"{one_line(file.path)}: expected MATLAB's format 5, as SVHN's train_32x32.mat "
                f"has it ({error or type(error).__name__}); fetch it again"
            ) from error
