"""Reading of files that may be compressed, so that no small one fills the memory or the disk."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader, RawIOBase
from pathlib import Path

from draw.errors import DataError, DrawError
from draw.files import open_file
from draw.terminal import one_line

MOST_TIMES = 500
"""Pictures unpack to a few times their size, drawings of few lines to some hundred."""
FREE_BYTES = 2**26
"""Bytes that anything may unpack to."""
GZIP = ".gz"


def unpacked_limit(packed: int) -> int:
    """How many bytes so many compressed ones may become."""
    return max(FREE_BYTES, MOST_TIMES * packed)


class _Bounded(RawIOBase):
    """A stream that ends in an error where it has more bytes than it may have."""

    def __init__(self, stream: BufferedIOBase, most: int, name: str) -> None:
        self._stream, self._left, self._name = stream, most, name

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as there is something left.

        Raises:
            DataError: there is more than is allowed.
        """
        content = self._stream.read(len(buffer))
        self._left -= len(content)
        if self._left < 0:
            raise DataError(
                f"{self._name}: unpacks to more than {MOST_TIMES} times its size, which no "
                "pictures do; unpack it yourself if it is what it says, and pass that"
            )
        buffer[: len(content)] = content
        return len(content)


def with_limit(stream: BufferedIOBase, most: int, name: str) -> BufferedReader:
    """Limit a stream: it ends in a `DataError` where it has more bytes than it may have.

    Args:
        stream: stream that is read.
        most: most bytes.
        name: name of the stream in the error.
    """
    return BufferedReader(_Bounded(stream, most, name))


@contextmanager
def open_stream(path: Path) -> Iterator[BufferedIOBase]:
    """Open the bytes of a file, unpacked where its name ends in .gz.

    Raises:
        DataError: the file cannot be read, is damaged, or unpacks to far too much.
    """
    try:
        with open_file(path) as file:
            if path.suffix.lower() != GZIP:
                yield file
                return
            most = unpacked_limit(path.stat().st_size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                yield with_limit(unpacked, most, one_line(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{one_line(path)}: is damaged ({error}); fetch it again") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{one_line(path)}: cannot be read ({reason})") from error
    except DrawError as error:
        raise error if isinstance(error, DataError) else DataError(str(error)) from error


def plain_name(path: Path) -> Path:
    """Path without the suffix that says that a file is compressed."""
    return path.with_suffix("") if path.suffix.lower() == GZIP else path


def read_exactly(stream: BufferedIOBase, count: int, name: str) -> bytes:
    """Read so many bytes of a stream.

    Raises:
        DataError: the stream ends before.
    """
    content = stream.read(count)
    if len(content) < count:
        raise DataError(f"{name}: ends in the middle of a picture; fetch it again")
    return content
