"""Compiled libraries: from nobody else, whole, and made where the cache cannot hold them."""

import errno
import functools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from draw.errors import KernelUnavailableError, LibraryError
from draw.files import cache_folder
from draw.kernels.cpp import build, libraries

STAND_IN = {"unroll.cpp": b'extern "C" int answer() { return 42; }'}
"""Compiles at once."""
PLANTED = {"unroll.cpp": b'extern "C" int answer() { return 666; }'}

pytestmark = pytest.mark.skipif(
    not any(map(shutil.which, build.COMPILERS)), reason="no C++ compiler here"
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache, and a private folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    build._private_folder.cache_clear()
    yield tmp_path / "cache" / "draw" / "kernels"
    if build._private_folder.cache_info().currsize:
        build._private_folder().cleanup()
    build._private_folder.cache_clear()


REAL_COMPILE = build._compile


@functools.cache
def made_of(text: bytes) -> bytes:
    """What the compiler makes, once for all tests of this file."""
    compiler = next(filter(None, map(shutil.which, build.COMPILERS)))
    return REAL_COMPILE(compiler, {"unroll.cpp": text})


@pytest.fixture(autouse=True)
def quick_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_compile", lambda _, files: made_of(files["unroll.cpp"]))
    monkeypatch.setattr(build, "_fingerprint", lambda *_: "0")


@pytest.fixture
def planted() -> bytes:
    """A library that somebody else would like to have loaded."""
    return made_of(PLANTED["unroll.cpp"])


def replace_with(other: Callable[[Path], object]) -> Callable[[Path, bytes], object]:
    """A file that makes way for something else."""

    def replace(path: Path, _: bytes) -> None:
        path.unlink()
        other(path)

    return replace


def plant(path: Path, content: bytes) -> Path:
    """What somebody else made, with the checksum that it calls for."""
    elsewhere = path.parent.parent / "elsewhere"
    libraries.keep(elsewhere / path.name, content)
    return elsewhere


def plant_a_link(path: Path, content: bytes) -> None:
    elsewhere = plant(path, content)
    shutil.copy(libraries.checksum_file(elsewhere / path.name), libraries.checksum_file(path))
    path.unlink()
    path.symlink_to(elsewhere / path.name)


def plant_a_folder(path: Path, content: bytes) -> None:
    elsewhere = plant(path, content)
    shutil.rmtree(path.parent)
    path.parent.symlink_to(elsewhere)


def flip(share: float) -> Callable[[Path, bytes], None]:
    def change(path: Path, _: bytes) -> None:
        content = bytearray(path.read_bytes())
        content[int(share * (len(content) - 1))] ^= 0x40
        path.write_bytes(content)

    return change


def cut(share: float) -> Callable[[Path, bytes], None]:
    return lambda path, _: os.truncate(path, int(share * path.stat().st_size))


HARM: dict[str, Callable[[Path, bytes], object]] = {
    **{f"cut to {share}": cut(share) for share in (0, 0.001, 0.3, 0.5, 0.9, 0.999)},
    **{f"flipped at {share}": flip(share) for share in (0, 0.001, 0.1, 0.3, 0.5, 0.8, 1)},
    "longer": lambda path, _: path.write_bytes(path.read_bytes() + b"x"),
    "replaced by another": lambda path, content: path.write_bytes(content),
    "replaced by a link": plant_a_link,
    "replaced by a folder": replace_with(Path.mkdir),
    "replaced by a named pipe": replace_with(os.mkfifo),
    "replaced by a dead link": replace_with(lambda path: path.symlink_to("nowhere")),
    "its folder a link": plant_a_folder,
    "for others to write": lambda path, _: path.chmod(0o666),
    "for its group to write": lambda path, _: path.chmod(0o620),
    "without a checksum": lambda path, _: libraries.checksum_file(path).unlink(),
    "an empty checksum": lambda path, _: libraries.checksum_file(path).write_text(""),
    "a checksum that is no text": lambda path, _: libraries.checksum_file(path).write_bytes(
        b"\xff" * 64
    ),
    "a checksum for others to write": lambda path, _: libraries.checksum_file(path).chmod(0o606),
    "a checksum that is a pipe": lambda path, _: replace_with(os.mkfifo)(
        libraries.checksum_file(path), b""
    ),
}


@pytest.mark.parametrize("way", HARM)
def test_what_is_not_as_it_was_made_is_made_anew(way: str, planted: bytes, caplog) -> None:
    first = build.compile_library(STAND_IN)
    HARM[way](first, planted)
    with pytest.raises((LibraryError, OSError)):
        libraries.load(first)
    second = build.compile_library(STAND_IN)
    assert "the fast kernel is compiled anew" in caplog.text
    assert libraries.load(second).answer() == 42
    caplog.clear()
    assert build.compile_library(STAND_IN) in (first, second)


def test_what_another_user_made_is_not_loaded(monkeypatch, caplog) -> None:
    first = build.compile_library(STAND_IN)
    libraries.check(first)
    user = os.geteuid()
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(LibraryError, match="kernels is another user's"):
            libraries.load(first)
        with pytest.raises(KernelUnavailableError, match=r"another user's.*Set XDG_CACHE_HOME"):
            build.compile_library(STAND_IN)  # here its private folder is another's too
    monkeypatch.setattr(libraries, "_own", lambda folder: None)
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(LibraryError, match=r"\.so is another user's"):
        libraries.load(first)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755])
def test_its_folder_becomes_the_users_alone(mode: int, cache: Path) -> None:
    cache.mkdir(parents=True)
    cache.chmod(mode)
    library = build.compile_library(STAND_IN)
    assert library.parent == cache
    assert cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in cache.iterdir()} == {0o600}


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o077])
def test_the_umask_does_not_open_it(mask: int) -> None:
    before = os.umask(mask)
    try:
        assert build.compile_library(STAND_IN) == build.compile_library(STAND_IN)
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EPERM, errno.EIO]
)
@pytest.mark.parametrize("at", ["mkdir", "write_bytes"])
def test_a_cache_that_cannot_hold_it_is_said_and_does_without(
    number: int, at: str, cache: Path, monkeypatch, caplog
) -> None:
    usual = getattr(Path, at)

    def refuse(self: Path, *given: object, **options: object) -> object:
        if cache in (self, *self.parents):
            raise OSError(number, os.strerror(number))
        return usual(self, *given, **options)

    monkeypatch.setattr(Path, at, refuse)
    library = build.compile_library(STAND_IN)
    assert libraries.load(library).answer() == 42
    assert cache not in library.parents
    assert "It will be compiled again next time" in caplog.text
    assert os.strerror(number) in caplog.text


class NoExec:
    """What the system says of a file system from which no code may be loaded."""

    f_flag = os.ST_NOEXEC


def test_a_cache_without_programs_is_told_from_other_faults(cache, monkeypatch, caplog) -> None:
    usual = os.statvfs
    monkeypatch.setattr(os, "statvfs", lambda p: NoExec() if Path(p) == cache else usual(p))
    library = build.compile_library(STAND_IN)
    assert cache not in library.parents
    assert f"no code may be loaded from {cache} (its file system is noexec)" in caplog.text
    monkeypatch.setattr(os, "statvfs", lambda _: NoExec())
    with pytest.raises(KernelUnavailableError, match=r"noexec.*XDG_CACHE_HOME or TMPDIR"):
        build.compile_library(STAND_IN)


def test_a_relative_cache_is_not_followed(monkeypatch, tmp_path: Path, caplog) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", "planted")
    assert cache_folder() == tmp_path / "home" / ".cache" / "draw"
    assert "expected XDG_CACHE_HOME to be an absolute path, got planted" in caplog.text


def test_a_compiler_that_hangs_is_stopped_with_all_that_it_started(
    monkeypatch, tmp_path: Path
) -> None:
    """The driver waits for a child that holds its output, as g++ does for cc1plus."""
    child = tmp_path / "child"
    compiler = tmp_path / "g++"
    compiler.write_text(f"#!/bin/sh\nsleep 300 & echo $! > {child}\nwait\n")
    compiler.chmod(0o700)
    monkeypatch.setattr(build, "COMPILERS", ("g++",))
    monkeypatch.setattr(build, "_compile", REAL_COMPILE)
    monkeypatch.setattr(build, "COMPILING_SECONDS", 0.5)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(KernelUnavailableError, match=r"g\+\+.*timed out after 0\.5 seconds"):
        build.compile_library(STAND_IN)
    for _ in range(100):  # until whoever inherits it has collected it
        state = subprocess.run(
            ["ps", "-o", "stat=", "-p", child.read_text().strip()],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        if not state or state.startswith("Z"):
            break
        time.sleep(0.05)
    else:
        os.kill(int(child.read_text()), signal.SIGKILL)
        pytest.fail("the compiler's child goes on")
