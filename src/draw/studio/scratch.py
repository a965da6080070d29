"""The folder of a studio's uploads and files to save: bounded, and gone when the studio is."""

import asyncio
import fcntl
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from draw.studio.guard import UPLOAD, Application, Receive, Scope, Send, answer
from draw.studio.sessions import JOIN

PREFIX, FORM = "draw-studio-", re.compile(r"draw-studio-[a-z0-9_]{8}")
"""Start and form of the folder's name among the system's temporary files, as `tempfile.mkdtemp`
makes it."""
MARKER = ".draw-studio"
"""File in the folder, locked (flock) as long as its studio lives."""
CONTENT = b"Uploads and files of a draw studio, which removes them when it ends.\n"
MOST_BYTES, MOST_FILES = 512 * 2**20, 2000
FRESH_SECONDS = 60.0
"""Age in seconds up to which a file may still be wanted, and is never removed to make room."""


@dataclass(frozen=True)
class Scratch:
    """A folder with a limit for all that is in it.

    Args:
        folder: path of the folder.
        most_bytes: most bytes of all its files.
        most_files: most files.
        fresh_seconds: age up to which a file is left alone.
    """

    folder: Path
    most_bytes: int = MOST_BYTES
    most_files: int = MOST_FILES
    fresh_seconds: float = FRESH_SECONDS

    def make_room(self, wanted: int) -> bool:
        """Remove the oldest files until there is room, and say whether there is.

        Args:
            wanted: bytes that are to come.
        """
        files = sorted(self._files())
        count, size = len(files), sum(length for _, length, _ in files) + wanted
        for modified, length, path in files:
            if count < self.most_files and size <= self.most_bytes:
                break
            if time.time() - modified < self.fresh_seconds:
                break
            with suppress(OSError):  # it was just removed, or is not the last of its folder
                path.unlink()
                count, size = count - 1, size - length
                path.parent.rmdir()
        return count < self.most_files and size <= self.most_bytes

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    found = path.lstat()
                    if name != MARKER:
                        yield found.st_mtime, found.st_size, path


class Room:
    """Middleware that lets an upload in where there is room for it, and bounds what pages save.

    Args:
        app: application that takes the uploads.
        scratch: folder of the uploads.
    """

    def __init__(self, app: Application, scratch: Scratch) -> None:
        self.app, self.scratch, self._coming = app, scratch, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; see the class."""
        path = scope["path"] if scope["type"] == "http" and scope["method"] == "POST" else ""
        if path not in (UPLOAD, JOIN):
            await self.app(scope, receive, send)
            return
        wanted = int(dict(scope["headers"])[b"content-length"]) if path == UPLOAD else 0
        self._coming += wanted
        try:
            room = await asyncio.to_thread(self.scratch.make_room, self._coming)
            if path == UPLOAD and not room:
                await answer(
                    send, 507,
                    f"expected at most {self.scratch.most_bytes / 2**20:g} MiB of pictures within "
                    f"{self.scratch.fresh_seconds:g} seconds; wait a little, then send it again",
                )  # fmt: skip
                return
            await self.app(scope, receive, send)
        finally:
            self._coming -= wanted


@contextmanager
def scratch_folder() -> Iterator[Scratch]:
    """Make a folder for all temporary files of this process, Gradio's too; removed at the end.

    Folders that killed studios left behind are removed first.
    """
    remove_left_behind(Path(tempfile.gettempdir()))
    before = tempfile.tempdir, os.environ.get("GRADIO_TEMP_DIR")
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    marker = os.open(folder / "marker", os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Locked before it has its name: a studio that starts now does not take it for left behind.
        fcntl.flock(marker, fcntl.LOCK_EX)
        os.write(marker, CONTENT)
        os.rename(folder / "marker", folder / MARKER)
        tempfile.tempdir = str(folder)
        os.environ["GRADIO_TEMP_DIR"] = str(folder / "uploads")
        yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(marker)
        tempfile.tempdir = before[0]
        os.environ.pop("GRADIO_TEMP_DIR", None)
        if before[1] is not None:
            os.environ["GRADIO_TEMP_DIR"] = before[1]


def remove_left_behind(parent: Path) -> None:
    """Remove the folders of studios that ended without doing so.

    Only folders whose name and marker are ours, that belong to this user, and whose marker nobody
    holds locked.

    Args:
        parent: folder in which they lie.
    """
    for folder in _listed(parent):
        if FORM.fullmatch(folder.name):
            with suppress(OSError):
                marker = os.open(
                    folder / MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                )
                try:
                    if _ours(folder, marker):
                        fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        shutil.rmtree(folder)
                finally:
                    os.close(marker)


def _listed(parent: Path) -> list[Path]:
    try:
        return list(parent.iterdir())
    except OSError:  # others' names in it are not to be known
        return []


def _ours(folder: Path, marker: int) -> bool:
    """A folder itself, no link, and its marker: both made by this user's studio."""
    outside, inside = folder.lstat(), os.fstat(marker)
    return (
        stat.S_ISDIR(outside.st_mode)
        and stat.S_ISREG(inside.st_mode)
        and outside.st_uid == inside.st_uid == os.geteuid()
        and os.read(marker, len(CONTENT) + 1) == CONTENT
    )
