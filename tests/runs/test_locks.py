"""One training at a time in a run folder: the lock, whom it names, and what ends it."""

import errno
import fcntl
import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from draw.errors import DrawError
from draw.runs.lock import LOCK_FILE, RunLock
from draw.training.finish import finish
from draw.training.start import resume, start
from running import TINY, image_set

TRAINING, VALIDATION = image_set(10), image_set(7, "validation", seed=1)
HOLDER = """
import sys, time
from pathlib import Path
from draw.runs.lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that trains in tmp_path."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_another_process_is_named_and_its_death_by_sigkill_frees_the_folder(
    tmp_path: Path, holder: subprocess.Popen[str]
) -> None:
    whose = rf"in use: process {holder.pid} on {platform.node()}, since \d{{4}}-.*wait for its end"
    with pytest.raises(DrawError, match=whose):
        RunLock(tmp_path).acquire()
    with pytest.raises(DrawError, match=whose):
        start(TINY, tmp_path, TRAINING, VALIDATION)
    assert os.listdir(tmp_path) == [LOCK_FILE]
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert json.loads((tmp_path / LOCK_FILE).read_text())["pid"] == holder.pid
    start(TINY, tmp_path, TRAINING, VALIDATION).fit()
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_run_is_locked_from_its_start_to_its_last_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    trainer = start(TINY, run, TRAINING, VALIDATION)
    pictures = trainer.task.pictures
    asked = []

    def while_pictures_are_made(*arguments: object) -> list[Path]:
        with pytest.raises(DrawError, match=f"in use: process {os.getpid()}"):
            resume(TINY, run, TRAINING, VALIDATION)
        asked.append(True)
        return pictures(*arguments)

    monkeypatch.setattr(trainer.task, "pictures", while_pictures_are_made)
    with pytest.raises(DrawError, match="in use"):
        resume(TINY, run, TRAINING, VALIDATION)
    finish(trainer, image_set(5, "test", seed=2))
    assert asked
    with pytest.raises(DrawError, match="all of its"):
        resume(TINY, run, TRAINING, VALIDATION)
    assert not (run / LOCK_FILE).exists()


def test_a_lock_ends_with_what_holds_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    with lock, lock:
        pass
    RunLock(tmp_path).acquire()  # held by nothing
    with RunLock(tmp_path), pytest.raises(DrawError, match="in use"):
        RunLock(tmp_path).acquire()
    assert os.listdir(tmp_path) == []


def test_a_fork_does_not_take_the_lock_with_it(tmp_path: Path) -> None:
    lock = RunLock(tmp_path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        lock.release()
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(DrawError, match="in use"):
        RunLock(tmp_path).acquire()
    lock.release()


def test_the_first_of_several_processes_holds_it_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunLock(tmp_path):
        monkeypatch.setenv("RANK", "1")
        RunLock(tmp_path).acquire()
        monkeypatch.setenv("RANK", "0")
        with pytest.raises(DrawError, match="in use"):
            RunLock(tmp_path).acquire()


def test_a_lock_file_that_was_removed_by_its_holder_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking the file, whoever held it gives it back."""
    holder, flock, opened = RunLock(tmp_path), fcntl.flock, []

    def late(descriptor: int, operation: int) -> None:
        opened.append(descriptor)
        if len(opened) == 1:
            holder.release()
        flock(descriptor, operation)

    holder.acquire()
    monkeypatch.setattr(fcntl, "flock", late)
    with RunLock(tmp_path):
        assert len(opened) == 2
        with pytest.raises(DrawError, match="in use"):
            RunLock(tmp_path).acquire()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_told_and_trained_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with RunLock(tmp_path):
        assert "file system without locks): see to it that no other process trains" in caplog.text


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "link", "socket-like text"])
def test_whatever_stands_in_the_place_of_the_lock(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / LOCK_FILE, tmp_path / "precious"
    elsewhere.write_text("mine")
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "dangling link":
            path.symlink_to(tmp_path / "nowhere")
        case "link":
            path.symlink_to(elsewhere)
        case _:
            path.write_bytes(b"\xff{{{")
            with RunLock(tmp_path):
                return
    with pytest.raises(DrawError, match=r"could not lock|no regular file"):
        RunLock(tmp_path).acquire()
    assert elsewhere.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
