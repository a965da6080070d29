"""Files that are either whole or not there: written to the side, then renamed."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from draw.errors import DrawError


def cache_folder() -> Path:
    """Where things are kept that can be made again: $XDG_CACHE_HOME/draw, or ~/.cache/draw."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "draw"


@contextmanager
def written_atomically(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to; renamed to `path` at the end, removed on any failure.

    Who may read it is what the user's umask says, whatever the library that writes it thinks.

    Raises:
        DrawError: if the system refuses (disk full, no permission); `path` is then as it was.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.writing{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.touch()
        mode = temporary.stat().st_mode
        yield temporary
        temporary.chmod(mode)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise DrawError(
            f"could not write {path}: {error.strerror or error}. What was there before is "
            "untouched; free some space or choose another folder, then try again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    """JSON for people to read, paths as text; numbers that are not finite are refused."""
    return json.dumps(value, indent=2, allow_nan=False, default=os.fspath)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, paths as text; numbers that are not finite are refused."""
    with written_atomically(path) as temporary:
        temporary.write_text(to_json(value) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DrawError: if it is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise DrawError(f"expected a file {path}, found none") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DrawError(f"{path} is damaged: expected JSON, {error}") from error
