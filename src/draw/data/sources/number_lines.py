"""Text files with a picture a line, in numbers: read some lines at a time."""

from collections.abc import Iterator, Sequence
from io import BufferedIOBase

import numpy as np
from jaxtyping import Float64

from draw.errors import DataError

LINE_BYTES = 2**25
"""The longest line: a picture of a thousand by a thousand in colour, in digits."""
BYTES_AT_ONCE = 2**20


def read_line(stream: BufferedIOBase, name: str) -> bytes:
    """Read the next line, with its end; empty where the file ends.

    Raises:
        DataError: the line is far too long, as a whole file is where none ends in a line feed.
    """
    line = stream.readline(LINE_BYTES + 1)
    if len(line) > LINE_BYTES:
        refuse_carriage_returns(line, name)
        raise DataError(
            f"{name}: expected a picture a line, got a line of more than {LINE_BYTES:,} bytes"
        )
    return line


def refuse_carriage_returns(line: bytes, name: str) -> None:
    """Refuse lines that end in a carriage return alone, of which several came as one.

    Args:
        line: the first line as it was read, with its end.
        name: name of the file, for errors.

    Raises:
        DataError: there are carriage returns within it.
    """
    if b"\r" in line.strip(b"\r\n"):
        raise DataError(
            f"{name}: expected lines that end in a line feed, got carriage returns alone, as in "
            "Excel's CSV (Macintosh); save it as CSV UTF-8 there, or: "
            "tr '\\r' '\\n' < old > new"
        )


def lines_at_once(stream: BufferedIOBase, name: str) -> Iterator[list[bytes]]:
    """Yield all lines that are left, empty ones apart, some at a time."""
    lines, size = list[bytes](), 0
    while line := read_line(stream, name):
        if not line.isspace():
            lines.append(line)
            size += len(line)
        if size > BYTES_AT_ONCE:
            yield lines
            lines, size = [], 0
    if lines:
        yield lines


def parse(
    lines: list[bytes], separator: str | None, columns: Sequence[int] | None, name: str
) -> Float64[np.ndarray, "lines numbers"]:
    """Parse lines as numbers, a row a line.

    Args:
        lines: lines of equally many numbers each.
        separator: text between the numbers; None for blanks.
        columns: numbers of the columns to take; by default all.
        name: name of the file, for errors.

    Raises:
        DataError: something in them is no number, or their lengths differ.
    """
    try:
        return np.loadtxt(
            lines, np.float64, comments=None, delimiter=separator, usecols=columns, ndmin=2,
            quotechar='"',
        )  # fmt: skip
    except ValueError as error:
        start = lines[0][:40].decode(errors="replace")
        raise DataError(
            f"{name}: expected lines of equally many numbers, got something else within "
            f"{len(lines):,} lines from {start!r} on ({error})"
        ) from error
