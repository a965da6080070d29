"""Files that are written whole (to the side, then renamed) and read only if regular."""

import json
import logging
import math
import os
import re
import secrets
import shutil
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

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


def null_if_not_finite(value: Any, name: str = "") -> tuple[Any, tuple[str, ...]]:
    """Replace each number that is NaN or infinite by null for JSON, and list their names.

    Args:
        value: plain values in dictionaries, lists and tuples.
        name: name of the whole, of which the names of its parts are made.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None, (name,)
    if isinstance(value, dict):
        parts = {
            key: null_if_not_finite(part, f"{name}.{key}" if name else str(key))
            for key, part in value.items()
        }
        whole: Any = {key: part for key, (part, _) in parts.items()}
        return whole, tuple(bad for _, names in parts.values() for bad in names)
    if isinstance(value, list | tuple):
        items = [null_if_not_finite(part, f"{name}[{at}]") for at, part in enumerate(value)]
        return [part for part, _ in items], tuple(bad for _, names in items for bad in names)
    return value, ()


def to_json(value: Any) -> str:
    """Format a value as JSON for people, paths as text; refuse numbers that are not finite."""
    return json.dumps(value, indent=2, allow_nan=False, default=os.fspath)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, paths as text; refuse numbers that are not finite."""
    with write_atomically(path) as temporary:
        temporary.write_text(to_json(value) + "\n", encoding="utf-8")


_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
JSON_BYTES = 64 * 2**20
"""Largest file in bytes that `read_json` takes; those of draw are a thousandth of it."""


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


def read_text(path: Path, largest: int = JSON_BYTES) -> str:
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


def parse_json(text: str) -> Any:
    """Parse JSON as the standard has it: finite numbers, each name once, bounded depth.

    Raises:
        ValueError: if the text is not JSON, or has a number of thousands of digits or thousands of
            levels.
    """
    try:
        return json.loads(
            text,
            parse_constant=_finite,
            parse_float=_finite,
            object_pairs_hook=_named_once,
        )
    except RecursionError as error:
        raise ValueError("too many levels of lists or objects within each other") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {text}")
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = [name for name, count in counts.items() if count > 1]
        raise ValueError(f"expected each name once, got more of {', '.join(twice)}")
    return values


def read_json(path: Path) -> Any:
    """Read a JSON file; see `parse_json`.

    Raises:
        DrawError: if the file is missing, no regular file, or not JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise DrawError(f"{path} is damaged: expected JSON, {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object, names with values.

    Raises:
        DrawError: if the file is missing, no regular file, or holds anything else.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise DrawError(f"{path} is damaged: expected a JSON object, got {type(values).__name__}")
    return values
