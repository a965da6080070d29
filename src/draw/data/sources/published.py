"""Files that the authors of a data set publish: fetched once, on request, and checked.

What is fetched goes to the folder of decoded images, under a name that says it is not whole until
its size and SHA-256 are those that are known; a fetch that was cut off goes on where it stopped.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BufferedWriter
from pathlib import Path
from typing import Any

from draw.data.sets.official import PublishedFile
from draw.data.sources.source import HUB_STAMP, Place, Source
from draw.data.sources.tree import find_files
from draw.data.store.decode import Picture
from draw.errors import DataError
from draw.files import check_replaceable, make_folder, open_file
from draw.hub import SECONDS_TO_ANSWER

logger = logging.getLogger("draw")

PLAIN = {"Accept-Encoding": "identity"}
"""Asks for the bytes themselves, so that they can be counted and resumed."""


@dataclass(frozen=True)
class PublishedSet:
    """A source (see `Source`): files that were fetched before (`download_files`)."""

    name: str
    files: tuple[PublishedFile, ...]
    folder: Path
    remedy: str
    open_place: Callable[[Place], Source]

    def location(self) -> str:
        """The name of the set, the same on every computer."""
        return f"published {self.name}"

    def description(self) -> str:
        """The name of the set, and that its files are the published ones."""
        return f"{self.name} (the published files)"

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes of the files."""
        return self._source.classes()

    def stamp(self) -> str:
        """Stamp that never changes: once prepared, a set is used without a look at its files."""
        return HUB_STAMP

    def fingerprint(self) -> str:
        """Hash of the files' content."""
        return self._source.fingerprint()

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the pictures of each split of the files."""
        return self._source.splits()

    def remarks(self) -> tuple[str, ...]:
        """Remarks on the files."""
        return self._source.remarks()

    @cached_property
    def _source(self) -> Source:
        if not all(is_whole(self.folder / file.name, file) for file in self.files):
            raise DataError(f"{self.name} needs a path: {self.remedy}")
        return self.open_place(Place(self.folder, self.folder, find_files(self.folder)))


def is_whole(path: Path, file: PublishedFile) -> bool:
    """Whether a file has the size and the SHA-256 of a published one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with open_file(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def download_files(files: Iterable[PublishedFile], folder: Path) -> None:
    """Download the files of a set that are not there yet; one process at a time does.

    Args:
        files: the files.
        folder: where to; made if it is not there.

    Raises:
        DataError: the network does not answer, or what it gives is something else.
    """
    from filelock import FileLock

    make_folder(folder)
    with FileLock(folder / ".lock"):
        for file in files:
            if not is_whole(folder / file.name, file):
                _fetch(file, folder / file.name)


def _fetch(file: PublishedFile, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    check_replaceable(part)
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    logger.info("fetching %s (%s bytes)", file.address, f"{file.size:,}")
    try:
        _refuse_silence(file.address)
        with part.open("ab") as stream:
            _download(file, stream)
            stream.flush()
            os.fsync(stream.fileno())
    except DataError:
        part.unlink(missing_ok=True)
        raise
    except Exception as error:  # of the HTTP client underneath, or of a full disk
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{file.address} could not be fetched ({reason}); what came of it is kept, and the "
            "same command goes on from there. Or fetch it elsewhere and pass --data.path FOLDER"
        ) from error
    if not is_whole(part, file):
        part.unlink()
        raise DataError(
            f"expected {file.address} to have {file.size:,} bytes and the SHA-256 {file.sha256}, "
            "got something else, which is removed; try again later, or pass --data.path FOLDER"
        )
    os.replace(part, target)


def _refuse_silence(address: str) -> None:
    """Ask for an answer within seconds, before a download that would try for minutes."""
    from huggingface_hub import get_session

    get_session().head(address, timeout=SECONDS_TO_ANSWER, headers=PLAIN)


def _download(file: PublishedFile, stream: BufferedWriter) -> None:
    from huggingface_hub.file_download import http_get

    limited: Any = _Limited(stream, file)
    http_get(
        file.address,
        limited,
        resume_size=stream.tell(),
        headers=dict(PLAIN),
        expected_size=file.size,
        displayed_filename=file.name,
    )


class _Limited:
    """A file to write to that takes no more than the size that is known."""

    def __init__(self, stream: BufferedWriter, file: PublishedFile) -> None:
        self._stream, self._file = stream, file

    def write(self, content: bytes) -> int:
        if self._stream.tell() + len(content) > self._file.size:
            raise DataError(
                f"expected {self._file.address} to have {self._file.size:,} bytes, got more; try "
                "again later, or pass --data.path FOLDER"
            )
        return self._stream.write(content)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, place: int) -> int:
        return self._stream.seek(place)

    def truncate(self) -> int:
        return self._stream.truncate()
