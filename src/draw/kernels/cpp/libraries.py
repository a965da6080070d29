"""Compiled libraries on disk, opened only where nobody else can have made or changed them.

Code is loaded from here, so a library counts only if it is a file of this user's that nobody else
may write to, in a folder of which the same is true, and is what its SHA-256, in a file beside it,
says. Anything else is compiled again.
"""

import ctypes
import hashlib
import os
import stat
from pathlib import Path

from draw.errors import LibraryError
from draw.files import write_atomically


def checksum_file(library: Path) -> Path:
    """Path of the file with the SHA-256 of a library."""
    return library.with_name(library.name + ".sha256")


def keep(library: Path, content: bytes) -> None:
    """Write a library, whole, and its SHA-256 beside it, for nobody else to write to.

    Raises:
        LibraryError: if the folder is another user's, or no code can be loaded from it.
        OSError: if the folder cannot be made.
        DrawError: if a file cannot be written.
    """
    _own(library.parent)
    digest = hashlib.sha256(content).hexdigest()
    for path, data in ((library, content), (checksum_file(library), digest.encode())):
        with write_atomically(path) as temporary:
            temporary.write_bytes(data)
        path.chmod(0o600)


def check(library: Path) -> None:
    """Refuse a library that cannot be loaded from its place.

    Raises:
        FileNotFoundError: if there is no such file.
        LibraryError: if the file is not what `keep` wrote, or could be somebody else's.
        OSError: if the file cannot be read.
    """
    os.close(_opened(library))


def read(path: Path) -> bytes:
    """Read a file that `keep` wrote, whatever it holds.

    Raises:
        FileNotFoundError: if there is none.
        LibraryError: if it is not what `keep` wrote, or could be somebody else's.
        OSError: if it cannot be read.
    """
    with os.fdopen(_opened(path), "rb") as file:
        file.seek(0)
        return file.read()


def load(library: Path) -> ctypes.CDLL:
    """Load a library into the process.

    Raises:
        LibraryError: if the file is not what `keep` wrote, or could be somebody else's.
        OSError: if the file cannot be read, or does not load.
    """
    descriptor = _opened(library)  # not closed: a later one of its number would pass for this one
    opened = Path(f"/proc/self/fd/{descriptor}")
    # by the descriptor, where there is such a path: whatever happens to the name in the meantime
    return ctypes.CDLL(str(opened if opened.exists() else library))


def _own(folder: Path) -> None:
    """Make a folder that only this user may enter, or see that nobody else may write to it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise LibraryError(f"{folder} is a link or no folder; remove it")
    if status.st_uid != os.geteuid():
        raise LibraryError(f"{folder} is another user's")
    if status.st_mode & 0o077:
        try:
            folder.chmod(0o700)
        except OSError:
            if status.st_mode & 0o022:
                raise
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise LibraryError(f"no code may be loaded from {folder} (its file system is noexec)")


def _opened(library: Path) -> int:
    """A descriptor of a library that was read through it and is what was kept."""
    _own(library.parent)
    descriptor = _open(library)
    try:
        with os.fdopen(_open(checksum_file(library)), "rb") as file:
            expected = file.read(100).decode(errors="replace")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise LibraryError(f"{library} is damaged: its SHA-256 is not the one beside it")
    except FileNotFoundError as error:
        os.close(descriptor)
        raise LibraryError(f"{library} has no SHA-256 beside it") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(path: Path) -> int:
    """A descriptor of a regular file that only this user can have written."""
    if path.is_symlink():
        raise LibraryError(f"{path} is a link")
    # without following a link made since, or waiting for the other end of a pipe
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    status = os.fstat(descriptor)
    faults = {
        "is no regular file": not stat.S_ISREG(status.st_mode),
        "is another user's": status.st_uid != os.geteuid(),
        "may be written to by other users": status.st_mode & 0o022,
    }
    for fault, there in faults.items():
        if there:
            os.close(descriptor)
            raise LibraryError(f"{path} {fault}")
    return descriptor
