"""What the command line meets around it: variables, folders, disks, terminals, memory."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from draw import cli
from draw.errors import DrawError
from draw.files import obstacle_to_writing, write_atomically
from draw.launch import LEAST
from draw.visualize.figures import window_figure
from running import draw_command, python_process


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full after so many bytes of a file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_full_disk_is_told_of_any_picture(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"window{suffix}"
    with files_of_at_most(2000), pytest.raises(DrawError, match=r"could not write .*too large"):
        window_figure(None, (), 2, path)
    assert list(tmp_path.iterdir()) == []


def test_the_reason_is_not_hidden_by_what_cleans_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(Path, "unlink", refuse)
    with (
        pytest.raises(DrawError, match=r"could not write .*: no space"),
        write_atomically(tmp_path / "file"),
    ):
        raise OSError("no space")


def test_a_notebooks_backend_of_matplotlib_is_not_asked_for(tmp_path: Path) -> None:
    code = (
        "import os; os.environ['MPLBACKEND'] = 'module://nowhere'\n"
        "from draw.visualize.plots import make_figure, save_figure; from pathlib import Path\n"
        "figure = make_figure(figsize=(1, 1)); figure.subplots().plot([1, 2])\n"
        "save_figure(figure, Path('curve.png'))\n"
        "assert os.environ['MPLBACKEND'] == 'module://nowhere'\n"
    )
    python_process("-c", code, cwd=tmp_path)
    assert (tmp_path / "curve.png").stat().st_size > 0


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("value", ["x", "", "-1", "1.5", "nan", "\u0663"])
def test_what_launchers_set_is_a_number(
    name: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    done = draw_command("models", cwd=tmp_path, check=1)
    assert f"expected {name} (environment) to be a whole number of at least" in done.stderr


def raising(error: BaseException) -> Callable[..., Any]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_a_folder_that_is_gone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_dispatch", raising(AssertionError()))
    with monkeypatch.context() as patch:
        patch.setattr(cli.os, "getcwd", raising(FileNotFoundError()))
        with pytest.raises(DrawError, match="is no longer there; change to another"):
            cli._check_working_folder()


def test_the_end_of_the_input_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_dispatch", raising(EOFError()))
    done = draw_command("train", "images", cwd=tmp_path, check=1)
    assert "expected an answer, got the end of the input" in done.stderr


@pytest.mark.parametrize(
    "allocate", [lambda: torch.empty(2**50), lambda: bytearray(2**60)], ids=["torch", "python"]
)
def test_no_memory_is_told(
    allocate: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_dispatch", lambda _: allocate())
    done = draw_command("sample", cwd=tmp_path, check=1)
    assert done.stderr.startswith("draw: what was asked for does not fit into memory")


def test_other_errors_keep_their_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_dispatch", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        draw_command("sample", cwd=tmp_path)


def test_what_stands_in_the_way_of_a_file_is_known_before(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    expected = {
        "new": None,
        "new/deeper/file": None,
        "file": None,
        ".": "it is a folder",
        "pipe": "it is a named pipe",
        "file/inside": "file is no folder",
        "loop": "symbolic links",
        "x" * 300: "too long",
    }
    for name, reason in expected.items():
        obstacle = obstacle_to_writing(tmp_path / name)
        assert obstacle is None if reason is None else reason in str(obstacle), name
