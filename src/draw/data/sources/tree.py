"""The files below a folder, and a stamp of them."""

import hashlib
import os
import stat
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from draw.errors import DataError, DrawError
from draw.files import open_file


class FileEntry(NamedTuple):
    """A file below a folder."""

    path: Path
    parts: tuple[str, ...]
    """Path of the file relative to the folder, in parts."""
    stamp: str
    """Size and time of the last change."""


def find_files(folder: Path) -> tuple[FileEntry, ...]:
    """Find all visible files below a folder, links followed, sorted by relative path.

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
                found.append(FileEntry(path, path.relative_to(folder).parts, _stamp(path)))
    return tuple(sorted(found, key=lambda file: file.parts))


def found_file(path: Path) -> FileEntry:
    """A single file, as if its folder held nothing else."""
    return FileEntry(path, (path.name,), _stamp(path))


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


def digest_files(files: tuple[FileEntry, ...]) -> str:
    """SHA-256 of the relative paths and bytes of all files; the unreadable count as such."""
    digest = hashlib.sha256()
    for file in files:
        try:
            with open_file(file.path) as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except (OSError, DrawError):  # decoding reports all such files by name
            content = b"unreadable"
        digest.update(os.fsencode("/".join(file.parts)) + b"\0" + content)
    return digest.hexdigest()


def stamp_files(files: tuple[FileEntry, ...]) -> str:
    """Stamp that changes when a file comes, goes, or is written to; nothing is read for it."""
    lines = (os.fsencode("/".join(file.parts) + "\0" + file.stamp) for file in files)
    return hashlib.sha256(b"\n".join(lines)).hexdigest()


def kinds(files: list[FileEntry] | tuple[FileEntry, ...]) -> str:
    """Count files by suffix, in words such as "3 files (2 .txt, 1 without suffix)"."""
    if not files:
        return "nothing"
    counts = Counter(file.path.suffix.lower() or "without suffix" for file in files)
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in counts.most_common(5))
    return f"{len(files):,} file{'s' * (len(files) > 1)} ({kinds})"
