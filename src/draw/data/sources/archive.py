"""Archives, zip and tar, unpacked beside the other temporary files for as long as they are read.

What an archive can do is bounded: it writes below a new folder alone, whatever its names say; links
and devices are left out, and so are archives in it; and it may not unpack to more than some hundred
times its size, nor to more than the disk has room for.
"""

import bz2
import gzip
import logging
import lzma
import re
import shutil
import stat
import tarfile
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from io import BufferedIOBase, BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from draw.data.sources.source import Opener, Place, Source
from draw.data.sources.tree import FileEntry, digest_files, find_files, stamp_files
from draw.data.sources.unpack import MOST_TIMES, open_stream, unpacked_limit, with_limit
from draw.data.store.decode import Picture
from draw.data.store.splits import split_by_name, split_of
from draw.errors import DataError
from draw.files import open_file
from draw.terminal import one_line

logger = logging.getLogger("draw")

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
MOST_FILES = 5_000_000
BYTES_AT_ONCE = 2**20
UNPACKERS: dict[str, Callable[[BufferedReader], BufferedIOBase]] = {
    ".gz": gzip.open,
    ".tgz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
"""Functions that open compressed tar files, by the end of their names."""


class Entry(NamedTuple):
    """A file in an archive."""

    name: str
    stream: IO[bytes]


def is_archive(name: str) -> bool:
    """Whether a file is an archive that is unpacked, by its name."""
    return name.lower().endswith(SUFFIXES)


def archives_of(open_place: Callable[[Place], Source]) -> Opener:
    """Make the opener (see `Opener`) of archives.

    Args:
        open_place: function that opens what is in the archives.
    """

    def open_archives(place: Place) -> Source | None:
        files = tuple(f for f in place.files if is_archive(f.path.name) and f.stamp != "no file")
        return Archives(place, files, open_place) if files else None

    return open_archives


@dataclass(frozen=True)
class Archives:
    """A source (see `Source`) of what is in an archive, or in each of several.

    Of several each counts as a folder of its name where it lies, so that train.zip and test.zip are
    splits. A single one counts as the folder itself; where its name tells of a split, and what is
    in it of none, it is of that split.
    """

    place: Place
    files: tuple[FileEntry, ...]
    open_place: Callable[[Place], Source]

    def location(self) -> str:
        """Full path of the archives."""
        return self.place.location()

    def description(self) -> str:
        """The path, and how many files beside archives are passed over."""
        return self.place.description(self.files)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes of what is in the archives."""
        with self._inner.of_archives():
            return self._inner.source.classes()

    def stamp(self) -> str:
        """Stamp that changes with the names, sizes and times of the archives."""
        return stamp_files(self.files)

    def fingerprint(self) -> str:
        """SHA-256 of the archives' names and bytes."""
        return digest_files(self.files) + f" {self.place.config or ''}".rstrip()

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the pictures of each split of what is in the archives.

        Raises:
            DataError: if the name of a single archive tells of another split than what is in it.
        """
        with self._inner.of_archives():
            found = self._inner.source.splits()
        splits = {name: self._inner.pictures(pictures) for name, pictures in found.items()}
        told = split_of(_way(self.files[0]), one_line(self.files[0].path))
        if len(self.files) > 1 or len(splits) != 1 or told is None:
            return splits
        [(name, pictures)] = splits.items()
        if split_by_name(name) not in (None, told):
            raise DataError(
                f"{one_line(self.files[0].path)} is of {told} by its name, and what is in it of "
                f"{name}; rename it"
            )
        return {told: pictures}

    def remarks(self) -> tuple[str, ...]:
        """Remarks on what is in the archives, and on what of it was left out."""
        with self._inner.of_archives():
            return (*self._inner.source.remarks(), *self._inner.omissions)

    @cached_property
    def _inner(self) -> "_Unpacked":
        """What is in them, unpacked."""
        root = Path(tempfile.mkdtemp(prefix="draw-")).resolve()
        several = len(self.files) > 1
        folders = [root.joinpath(*_way(f)) if several else root for f in self.files]
        names = {root: self.place.path}
        for folder, file in zip(folders, self.files, strict=True):
            # two of one name but for its end are one folder
            again = folders.count(folder) > 1
            names[folder] = file.path.with_name(folder.name) if again else file.path
        rename = _renaming(names)
        try:
            left_out = list[str]()
            with _renamed(rename):
                for folder, file in zip(folders, self.files, strict=True):
                    left_out += unpack(file.path, folder)
                inner = replace(self.place, path=root, folder=root, files=find_files(root))
                source = self.open_place(inner)
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            raise
        weakref.finalize(source, shutil.rmtree, root, ignore_errors=True)
        return _Unpacked(source, tuple(left_out), rename)


class _Unpacked(NamedTuple):
    """What is in archives, for as long as it is read."""

    source: Source
    omissions: tuple[str, ...]
    """Remarks on what was left out."""
    rename: Callable[[str], str]
    """What makes a text about the folders that they are unpacked to one about the archives."""

    def of_archives(self) -> AbstractContextManager[None]:
        """A context whose errors and warnings name the archives, not the folders."""
        return _renamed(self.rename)

    def pictures(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        """Pictures whose names and errors do, too."""
        with self.of_archives():
            for one in pictures:
                yield one._replace(name=self.rename(one.name))


def _renaming(names: Mapping[Path, Path]) -> Callable[[str], str]:
    """What puts names of other places into a text, in one pass, whatever their number."""
    others = {one_line(before): one_line(after) for before, after in names.items()}
    longest_first = sorted(others, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return lambda text: pattern.sub(lambda found: others[found[0]], text)


@contextmanager
def _renamed(rename: Callable[[str], str]) -> Iterator[None]:
    """A context whose errors and warnings name places otherwise."""

    def rename_record(record: logging.LogRecord) -> bool:
        record.msg, record.args = rename(record.getMessage()), None
        return True

    logger.addFilter(rename_record)
    try:
        yield
    except DataError as error:
        raise DataError(rename(str(error))) from error
    finally:
        logger.removeFilter(rename_record)


def _way(file: FileEntry) -> tuple[str, ...]:
    """The folders that an archive lies in, and its name without suffixes."""
    name = file.path.name
    stem = next(name[: -len(end)] for end in reversed(SUFFIXES) if name.lower().endswith(end))
    return (*file.parts[:-1], stem)


def unpack(path: Path, folder: Path) -> list[str]:
    """Write the files of an archive below a folder.

    Args:
        path: path of the archive.
        folder: folder to write to; made if it is not there.

    Returns:
        Remarks on what was left out, for reports.

    Raises:
        DataError: the archive is damaged, encrypted or too large, or a name leads out of the
            folder.
    """
    name, count, skipped = one_line(path), 0, list[str]()
    folder.mkdir(parents=True, exist_ok=True)
    left = min(unpacked_limit(path.stat().st_size), shutil.disk_usage(folder).free)
    entries = _zip_entries if path.suffix.lower() == ".zip" else _tar_entries
    with _explained(name):
        for entry in entries(path, skipped):
            parts, count = _parts(entry.name, name), count + 1
            if is_archive(parts[-1]):
                skipped.append(entry.name)
                continue
            if count > MOST_FILES:
                raise DataError(f"{name}: expected at most {MOST_FILES:,} files, got more")
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                while content := entry.stream.read(BYTES_AT_ONCE):
                    left -= len(content)
                    if left < 0:
                        raise DataError(
                            f"{name}: unpacks to more than {MOST_TIMES} times its size, or than "
                            "the disk has room for; unpack it yourself if it is what it says, and "
                            "pass its folder"
                        )
                    file.write(content)
    if not skipped:
        return []
    return [
        f"of {path.name} not unpacked, as links, devices or archives: {len(skipped):,}, such as "
        f"{one_line(skipped[0])}"
    ]


def _parts(entry: str, archive: str) -> tuple[str, ...]:
    """The path of an entry below the folder.

    Raises:
        DataError: it would lie elsewhere.
    """
    path = PurePosixPath(entry)
    parts = tuple(part for part in path.parts if part != ".")
    if not parts or path.is_absolute() or ".." in parts or re.search(r"[\\\0]|^[A-Za-z]:", entry):
        raise DataError(
            f"{archive}: expected names of files in it, got {one_line(entry)}, which leads "
            "elsewhere; do not trust the archive"
        )
    return parts


def _zip_entries(path: Path, skipped: list[str]) -> Iterator[Entry]:
    with open_stream(path) as stream, zipfile.ZipFile(stream) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                skipped.append(info.filename)
                continue
            with archive.open(info) as content:
                yield Entry(info.filename, content)


def _tar_entries(path: Path, skipped: list[str]) -> Iterator[Entry]:
    most = unpacked_limit(path.stat().st_size)
    with open_file(path) as packed, ExitStack() as stack:
        stream: BufferedIOBase = packed
        opener = UNPACKERS.get(path.suffix.lower())
        if opener is not None:
            stream = stack.enter_context(opener(packed))
        whole = with_limit(stream, most, one_line(path))
        with tarfile.open(fileobj=whole, mode="r|") as archive:
            for info in archive:
                if info.isdir():
                    continue
                content = archive.extractfile(info) if info.isreg() else None
                if content is None:
                    skipped.append(info.name)
                    continue
                yield Entry(info.name, content)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except FileExistsError as error:
        raise DataError(f"{name}: has a file twice, {one_line(error.filename)}") from error
    except OSError as error:
        raise DataError(f"{name}: cannot be unpacked: {error.strerror or error}") from error
    except Exception as error:  # whatever a damaged archive makes the readers raise
        reason = str(error) or type(error).__name__
        raise DataError(
            f"{name}: is damaged, encrypted, or no archive ({reason}); fetch it again, or unpack "
            "it yourself and pass its folder"
        ) from error
