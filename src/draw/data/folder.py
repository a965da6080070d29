"""A folder of pictures: which files count, which split and which class each belongs to."""

import hashlib
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from draw.data.decode import SUFFIXES, Picture
from draw.data.errors import DataError
from draw.data.splits import ALIASES

logger = logging.getLogger("draw")


class Found(NamedTuple):
    """A file below a folder."""

    path: Path
    parts: tuple[str, ...]
    """Its path relative to the folder."""
    stamp: str
    """Size and time of the last change."""


def find_files(folder: Path) -> tuple[Found, ...]:
    """All visible files below a folder, links followed, sorted by relative path.

    Raises:
        DataError: a folder cannot be listed.
    """
    found, visited = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True, onerror=_cannot_list):
        status = os.stat(parent)
        if (status.st_dev, status.st_ino) in visited:  # a link to a folder above would go on
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(parent, name)
            if not name.startswith("."):
                found.append(Found(path, path.relative_to(folder).parts, _stamp(path)))
    return tuple(sorted(found, key=lambda file: file.parts))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:  # such as a link to nothing: decoding reports it by name
        return "unreadable"
    if not stat.S_ISREG(status.st_mode):
        return "no file"
    return f"{status.st_size} {status.st_mtime_ns}"


def _cannot_list(error: OSError) -> None:
    raise DataError(
        f"expected a folder that can be listed, got {error.filename}: {error.strerror}; "
        "check that it exists and that you may read it"
    ) from error


def digest_files(files: tuple[Found, ...]) -> str:
    """SHA-256 of the relative paths and bytes of all files; the unreadable count as such."""
    digest = hashlib.sha256()
    for file in files:
        try:
            with file.path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError:  # decoding reports all such files by name
            content = b"unreadable"
        digest.update(os.fsencode("/".join(file.parts)) + b"\0" + content)
    return digest.hexdigest()


def stamp_files(files: tuple[Found, ...]) -> str:
    """Changes when a file comes, goes, or is written to; cheap, since nothing is read."""
    lines = (os.fsencode("/".join(file.parts) + "\0" + file.stamp) for file in files)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


@dataclass(frozen=True)
class PictureFolder:
    """A source (see `draw.data.source.Source`): a folder of pictures, at any depth.

    If it has a subfolder `train`, then that and its siblings `validation` (`val`, `valid`, `dev`)
    and `test` are splits; otherwise all pictures are one split. Below that the first subfolder is a
    picture's class, if there are at least two and no picture lies outside them. Hidden files are
    passed over; so are files whose suffix is not a picture's, which are counted.
    """

    folder: Path
    files: tuple[Found, ...]

    @cached_property
    def _sorted_out(self) -> tuple[tuple[Found, ...], tuple[Found, ...]]:
        """Pictures, and files that are passed over."""
        pictures, others = list[Found](), list[Found]()
        for file in self.files:
            is_picture = file.path.suffix.lower() in SUFFIXES and file.stamp != "no file"
            (pictures if is_picture else others).append(file)
        if not pictures:
            raise DataError(
                f"expected pictures or parquet files in {self.folder}, found {_kinds(others)}; "
                "pass --data.path with the folder that holds them"
            )
        if any(_split(file) == "train" for file in pictures):
            strays = [file for file in pictures if _split(file) is None]
            pictures = [file for file in pictures if _split(file) is not None]
            if strays:
                logger.warning("%s: outside its splits, not used: %s", self.folder, _kinds(strays))
            others += strays
        return tuple(pictures), tuple(others)

    @cached_property
    def _has_splits(self) -> bool:
        return any(_split(file) == "train" for file in self._sorted_out[0])

    def _class(self, file: Found) -> str | None:
        below = file.parts[1:] if self._has_splits else file.parts
        return below[0] if len(below) > 1 else None

    def location(self) -> str:
        """The folder's full path."""
        return str(self.folder.resolve())

    def description(self) -> str:
        """The folder, and how many of its files were passed over."""
        others = self._sorted_out[1]
        return str(self.folder) + (f" (passed over: {_kinds(others)})" if others else "")

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, sorted."""
        return self._classes

    @cached_property
    def _classes(self) -> tuple[str, ...] | None:
        of_pictures = [self._class(file) for file in self._sorted_out[0]]
        names = {name for name in of_pictures if name is not None}
        return tuple(sorted(names)) if len(names) > 1 and None not in of_pictures else None

    def stamp(self) -> str:
        """Changes with the names, sizes and times of the pictures."""
        return stamp_files(self._sorted_out[0])

    def fingerprint(self) -> str:
        """SHA-256 of the pictures' relative paths and bytes."""
        return digest_files(self._sorted_out[0])

    def splits(self) -> dict[str, Iterator[Picture]]:
        """The pictures of each split, sorted by relative path."""
        pictures = self._sorted_out[0]
        if not self._has_splits:
            return {"all": self._pictures(pictures)}
        names = sorted({file.parts[0] for file in pictures})
        return {
            name: self._pictures(tuple(file for file in pictures if file.parts[0] == name))
            for name in names
        }

    def remarks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def _pictures(self, files: tuple[Found, ...]) -> Iterator[Picture]:
        numbers = {name: number for number, name in enumerate(self._classes or ())}
        for file in files:
            yield Picture(printable(file.path), file.path, numbers.get(self._class(file) or ""))


def _split(file: Found) -> str | None:
    return ALIASES.get(file.parts[0].lower()) if len(file.parts) > 1 else None


def printable(path: Path) -> str:
    """A path as text that can be printed, whatever bytes it is made of."""
    return str(path).encode(errors="replace").decode()


def _kinds(files: list[Found] | tuple[Found, ...]) -> str:
    """Such as "3 files (2 .txt, 1 without suffix)"."""
    if not files:
        return "nothing"
    counts = Counter(file.path.suffix.lower() or "without suffix" for file in files)
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common(5))
    return f"{len(files):,} file{'s' * (len(files) > 1)} ({kinds})"
