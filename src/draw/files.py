"""Files that are written whole (to the side, then renamed) and read only if regular."""

import itertools
import logging
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path

from draw.errors import DrawError

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """The folder of what can be made again: $XDG_CACHE_HOME/draw, or ~/.cache/draw.

    A relative path in that variable, which would lead wherever a command is started, is not
    followed, as its specification has it.

    Raises:
        DrawError: if there is no home.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "draw"
    if base:
        _say_relative(base)
    try:
        return Path.home() / ".cache" / "draw"
    except RuntimeError as error:
        raise DrawError(f"{error} Set HOME, or XDG_CACHE_HOME to a folder of yours") from error


@cache
def _say_relative(base: str) -> None:
    log.warning("expected XDG_CACHE_HOME to be an absolute path, got %s; using ~/.cache", base)


_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/.+", re.IGNORECASE | re.DOTALL)
"""With one slash too, as a `Path` has it."""


def address_advice(place: str | Path) -> str | None:
    """Say what to do with an address (https://, s3://, hf://) that came for a path; else None.

    Args:
        place: what was given as the path of a file or folder.
    """
    address = _ADDRESS.fullmatch(str(place))
    if address is None:
        return None
    if address[1].lower() == "file":
        return "pass its path alone"
    hub = ", or name a model or data set of the Hugging Face Hub by owner/name"
    known = address[1].lower() == "hf" or "huggingface.co/" in str(place)
    return f"download it first (and unpack it), then pass its path{hub if known else ''}"


def paths_beside(path: Path, *, folders: bool = False) -> list[str]:
    """List what lies beside a path that is perhaps misspelt; nothing if its folder is none.

    Args:
        path: path that is not there.
        folders: whether to list folders alone.
    """
    with suppress(OSError, ValueError):
        return [str(one) for one in sorted(path.parent.iterdir()) if one.is_dir() or not folders]
    return []


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a file beside `path` to write to, renamed to `path` at the end, removed on any failure.

    The file is new, with a name that nobody can foresee. A file that is replaced keeps its mode;
    who may use a new one is what the user's umask says, whatever the library that writes it thinks.
    A link is replaced itself: what it leads to is left as it is.

    Raises:
        DrawError: if `path` is a folder, a device or a pipe, or a link to one, or the system
            refuses (disk full, no permission); `path` is then as it was.
    """
    check_replaceable(path)
    temporary = path.parent / f".{secrets.token_hex(8)}.{os.getpid()}.writing{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = _create(temporary, path)
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        check_replaceable(path)
        os.replace(temporary, path)
    except OSError as error:
        raise DrawError(
            f"could not write {path}: {error.strerror or error}. What was there before is "
            "untouched; free some space or choose another folder, then try again"
        ) from error
    finally:
        with suppress(OSError):  # why it could not be written is the better message
            temporary.unlink(missing_ok=True)


@contextmanager
def write_folder_atomically(folder: Path) -> Iterator[Path]:
    """Give a folder beside `folder` to write to, renamed to it at the end, removed on any failure.

    Args:
        folder: folder that is new or empty.

    Raises:
        DrawError: if the system refuses (disk full, no permission, something in `folder` by now);
            `folder` is then as it was.
    """
    target = folder.resolve()
    name = f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.writing"
    beside = target.with_name(name)
    try:
        beside.mkdir(parents=True)
        yield beside
        os.rename(beside, target)
    except OSError as error:
        raise DrawError(
            f"could not write {folder}: {error.strerror or error}. What was there before is "
            "untouched; free some space or choose another folder, then try again"
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


_TEMPORARY = re.compile(r"\..+\.(\d{1,9})\.writing(\.[^.]+)?", re.DOTALL)
"""What `write_atomically` calls a file until it is whole."""


def is_temporary(path: Path) -> bool:
    """Whether a file is an unfinished one of `write_atomically`."""
    return bool(_TEMPORARY.fullmatch(path.name)) and not path.is_symlink() and path.is_file()


def free_path(path: Path) -> Path:
    """A path at which nothing is: the one that is asked for, or it with -2, -3 and so on."""
    names = (f"{path.name}-{number}" for number in itertools.count(2))
    others = (path.with_name(name) for name in names)
    return next(one for one in itertools.chain([path], others) if not os.path.lexists(one))


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files of processes that are no more, in a folder and those below it.

    Raises:
        DrawError: if the system refuses.
    """
    for inner, _, names in os.walk(folder):  # does not follow links
        for path in (Path(inner, name) for name in names):
            name = _TEMPORARY.fullmatch(path.name)
            if name and is_temporary(path) and not _lives(int(name[1])):
                remove_file(path)


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        DrawError: if the system refuses.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DrawError(
            f"could not make the folder {path}: {error.strerror or error}; choose another"
        ) from error


def remove_file(path: Path) -> None:
    """Remove a file.

    Raises:
        DrawError: if the system refuses, as where it is a folder.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DrawError(f"could not remove {path}: {error.strerror or error}") from error


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return process != os.getpid()


def check_replaceable(path: Path) -> None:
    """Refuse a path that cannot be the name of a result, where there is more than a regular file.

    Raises:
        DrawError: if the path is a folder, a device, a pipe, or a link to one of these.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # nothing is there, or a link that leads nowhere
        return
    if not stat.S_ISREG(mode):
        raise DrawError(
            f"expected the name of a file to write, got {path}, which is {_kind(mode)} and is left "
            "as it is; name another file (--json - writes to standard output)"
        )


def _create(new: Path, old: Path) -> int:
    """Makes an empty file that did not exist; gives the mode that it is to have when it is whole.

    That of the file it is to replace, if any: until then nobody else can use it.
    """
    replaced = old.is_file() and not old.is_symlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(new, flags, 0o600 if replaced else 0o666)
    try:
        return (old.stat().st_mode if replaced else os.fstat(file).st_mode) & 0o777
    finally:
        os.close(file)


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
TEXT_BYTES = 64 * 2**20
"""Largest text in bytes that is read; those of draw are a thousandth of it."""


def _kind(mode: int) -> str:
    return next((kind for holds, kind in _KINDS if holds(mode)), "something else")


def check_regular_file(path: Path) -> None:
    """Refuse a path that is not a regular file, or a link to one, before anything opens it.

    A named pipe or a device would make a program wait, or read, for ever.

    Raises:
        DrawError: if the path is missing, of another kind, or cannot be reached.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        what = "a link that leads nowhere" if path.is_symlink() else "none"
        raise DrawError(f"expected a file {path}, found {what}") from error
    except (OSError, ValueError) as error:  # a link that loops, a name that can be none
        reason = getattr(error, "strerror", None) or error
        raise DrawError(f"expected a regular file {path}, which cannot be: {reason}") from error
    if not stat.S_ISREG(mode):
        raise DrawError(f"{path} is no regular file: expected one, got {_kind(mode)}")


def obstacle_to_writing(path: Path) -> str | None:
    """Say why a file cannot be written, as far as is known beforehand; None if nothing is known."""
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.lstat()
            mode = path.stat().st_mode
            return next((f"it is {kind}" for holds, kind in _KINDS if holds(mode)), None)
        parent = next(one for one in path.absolute().parents if os.path.lexists(one))
        if not parent.is_dir():
            return f"{parent} is no folder"
        if not os.access(parent, os.W_OK | os.X_OK):
            return f"nothing may be written in {parent}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return None


def open_file(path: Path) -> BufferedReader:
    """Open a regular file to read its bytes.

    Raises:
        DrawError: if the file is missing, no regular file, or may not be read.
    """
    check_regular_file(path)
    try:
        return open(path, "rb")
    except OSError as error:
        raise DrawError(f"{path} cannot be read: {error.strerror or error}") from error


def read_text(path: Path, largest: int = TEXT_BYTES) -> str:
    """Read the text of a regular file in UTF-8, whatever the locale.

    Args:
        path: file to read.
        largest: most bytes that the file may have.

    Raises:
        DrawError: if the file is missing, no regular file, too large, or not UTF-8.
    """
    try:
        with open_file(path) as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            raise DrawError(f"{path} is too large: expected {largest:,} bytes at most")
        return content.decode()
    except OSError as error:
        raise DrawError(f"{path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DrawError(f"{path} is damaged: expected text in UTF-8, {error}") from error
