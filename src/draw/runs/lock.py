"""The lock of a run folder: one training at a time, all processes of one launch and no other.

The lock is the operating system's (flock), so that it ends with whoever holds it, even by SIGKILL.
"""

import fcntl
import json
import logging
import os
import platform
import stat
import weakref
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from draw.errors import DrawError, InUseError
from draw.json_files import read_json_object
from draw.launch import is_first_process

logger = logging.getLogger("draw")

LOCK_FILE = ".lock"
"""File in the run folder as long as it is locked, which names the owner of the lock."""


class RunLock:
    """The right to write into a run folder; the first process of a launch holds it for all.

    As a context it is held from the outermost entry, or from `acquire` before it, to that entry's
    exit.

    Args:
        run: the run folder, which exists.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / LOCK_FILE
        self._let_go: weakref.finalize[[Path, int, int], RunLock] | None = None
        self._entries = 0

    @property
    def _held(self) -> bool:
        """Whether this process holds it."""
        return self._let_go is not None and self._let_go.alive

    def acquire(self) -> None:
        """Take the lock, unless it is held already.

        Raises:
            InUseError: if another process holds the lock; it is named.
            DrawError: if the lock cannot be written.
        """
        if self._held or not is_first_process():
            return
        try:
            descriptor = self._locked()
            self._let_go = weakref.finalize(self, _let_go, self.path, descriptor, os.getpid())
            text = json.dumps({"pid": os.getpid(), "host": platform.node(), "since": _now()})
            os.ftruncate(descriptor, 0)
            os.write(descriptor, text.encode())
        except OSError as error:
            self.release()
            raise DrawError(
                f"could not lock {self.path.parent} by {self.path}: {error.strerror or error}. "
                "Free some space or choose another folder, then try again"
            ) from error

    def release(self) -> None:
        """Give the lock back, if this process holds it."""
        if self._let_go is not None:
            self._let_go()

    def __enter__(self) -> "RunLock":
        self.acquire()
        self._entries += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._entries -= 1
        if not self._entries:
            self.release()

    def _locked(self) -> int:
        """The open lock file, locked, and still the one of this name."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        while True:
            descriptor = os.open(self.path, flags, 0o666)
            try:
                opened = os.fstat(descriptor)
                if not stat.S_ISREG(opened.st_mode):
                    raise DrawError(f"{self.path} is no regular file; remove it, then try again")
                self._lock(descriptor)
                if self.path.exists() and os.path.samestat(opened, self.path.stat()):
                    return descriptor
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)  # whoever held it removed the file, and so the lock, meanwhile

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InUseError(
                f"{self.path.parent} is in use: {self._holder()} trains in it; wait for its end "
                "or stop it, or name another folder"
            ) from error
        except OSError as error:
            logger.warning(
                f"{self.path.parent} cannot be locked ({error.strerror or error}: a file system "
                "without locks): see to it that no other process trains in it"
            )

    def _holder(self) -> str:
        try:
            values = read_json_object(self.path)
        except DrawError:  # it is writing them, or has gone
            return "another process"
        pid, host, since = (values.get(name) for name in ("pid", "host", "since"))
        return f"process {pid} on {host}, since {since},"


def _now() -> str:
    return datetime.now(UTC).astimezone().isoformat(" ", "seconds")


def _let_go(path: Path, descriptor: int, pid: int) -> None:
    try:
        if os.getpid() == pid:  # not in a fork, whose end is not the end of the training
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)
