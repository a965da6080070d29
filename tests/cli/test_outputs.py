"""What is written: a new file or in the place of a regular one, never through or over others."""

import functools
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from PIL import Image

from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.files import write_atomically
from draw.json_files import write_json
from draw.model.draw import DRAW
from draw.models.onnx import Generator
from draw.models.storage import export_model
from draw.parts.state import Trajectory
from draw.runs.checkpoint import save_tensors
from draw.runs.metrics import append_metrics, forget_metrics_after
from draw.visualize import animate, generation_strip, sample_grid, training_curves
from draw.visualize.geometry import default_windows, window_geometry
from draw.visualize.sheet import save_picture
from running import TINY_MODEL, draw_command
from test_files import KINDS, link_in_a_loop, link_to_nothing, missing

LINES = [{"kind": "train", "step": 1, "images_seen": 4, "bound": 9.0, "kl": 1.0}]


@functools.cache
def drawings() -> Trajectory:
    return DRAW(TINY_MODEL).generate(2, seed=0)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "json": ("x.json", lambda path: write_json(path, [1])),
    "tensors": ("x.safetensors", lambda path: save_tensors(path, {"a": torch.zeros(1)}, {})),
    "model": ("model.safetensors", lambda path: export_model(
        path.parent, DRAW(TINY_MODEL), DataConfig(), {})),
    "png": ("x.png", lambda path: save_picture(Image.new("L", (3, 3)), path)),
    "webp": ("x.webp", lambda path: save_picture(Image.new("L", (3, 3)), path)),
    "grid": ("x.png", lambda path: sample_grid(drawings().images[-1], path)),
    "strip": ("x.png", lambda path: generation_strip(drawings(), path)),
    "gif": ("x.gif", lambda path: animate(drawings(), path)),
    "animated webp": ("x.webp", lambda path: animate(drawings(), path)),
    "mp4": ("x.mp4", lambda path: animate(drawings(), path)),
    "windows": ("x.svg", lambda path: window_geometry(
        torch.zeros(1, 6, 6), default_windows(6, 6, 2), path)),
    "curves": ("x.pdf", lambda path: training_curves(LINES, path)),
    "onnx": ("x.onnx", lambda path: Generator({path.name: b"1"}, 0.0).write(path.parent)),
}  # fmt: skip
"""Everything that writes a file into a place that the user names."""

NAMES = {"folder": "folder", "pipe": "named pipe", "unix_socket": "socket", "device": "device"}
IRREGULAR = [kind for kind in KINDS if kind not in (missing, link_in_a_loop, link_to_nothing)]


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def in_turn(values: Sequence[object]) -> list[object]:
    """Every writer with every value; what is not slow: JSON with each, the others with one.

    The values matter to `write_atomically` alone, through which all of them write.
    """
    first = dict(zip(WRITERS, itertools.cycle(values)))
    return [
        (writer, value)
        if writer == "json" or value == first[writer]
        else pytest.param(writer, value, marks=pytest.mark.slow)
        for writer, value in itertools.product(WRITERS, values)
    ]


def modes(folder: Path) -> dict[str, int]:
    return {path.name: path.lstat().st_mode for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("writer", "kind"), in_turn(IRREGULAR), ids=lambda value: getattr(value, "__name__", value)
)
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, writer: str, kind) -> None:
    name, write = WRITERS[writer]
    kind(tmp_path / name)
    before = modes(tmp_path)
    with pytest.raises(DrawError, match=r"expected the name of a file to write, got .*left as it"):
        write(tmp_path / name)
    assert {name: modes(tmp_path)[name] for name in before} == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("writer", "mode"), in_turn([0o600, 0o640, 0o400, 0o666]))
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, writer: str, mode: int) -> None:
    name, write = WRITERS[writer]
    (tmp_path / name).write_text("before")
    (tmp_path / name).chmod(mode)
    write(tmp_path / name)
    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    assert (tmp_path / name).read_bytes() != b"before"


@pytest.mark.parametrize(("writer", "mask"), in_turn([0o077, 0o027, 0o002]))
def test_a_new_file_is_what_the_umask_says(tmp_path: Path, writer: str, mask: int) -> None:
    name, write = WRITERS[writer]
    with umask(mask):
        write(tmp_path / name)
        (tmp_path / "plain").touch()
    assert len(set(modes(tmp_path).values())) == 1


@pytest.mark.parametrize("writer", WRITERS)
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, writer: str) -> None:
    name, write = WRITERS[writer]
    (tmp_path / "out").mkdir()
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "precious").chmod(0o600)
    (tmp_path / "out" / name).symlink_to(tmp_path / "precious")
    write(tmp_path / "out" / name)
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "out" / name).is_symlink()


def test_nobody_else_reads_what_is_to_be_private_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.touch(mode=0o600)
    with umask(0), write_atomically(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        temporary.write_text("1")


def test_the_name_while_writing_cannot_be_foreseen_nor_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, names = tmp_path / "x.json", set()
    for _ in range(3):
        with write_atomically(path) as temporary:
            assert (temporary.parent, temporary.suffix) == (tmp_path, ".json")
            names.add(temporary.name)
    assert len(names) == 3
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr("secrets.token_hex", lambda length: "0" * length)
    with write_atomically(path) as temporary:
        planted = temporary
    planted.symlink_to(tmp_path / "precious")
    with pytest.raises(DrawError, match=r"could not write .*exists"):
        write_json(path, [1])
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_takes_the_place_of_a_result_meanwhile_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(DrawError, match="pipe"), write_atomically(path) as temporary:  # noqa: PT012
        os.mkfifo(path)
        temporary.write_text("1")
    assert [one.name for one in tmp_path.iterdir()] == ["x.json"]
    assert path.is_fifo()


def test_a_name_as_long_as_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".json")
    write_json(path, [1])
    assert json.loads(path.read_text()) == [1]


def test_metrics_that_are_made_shorter_keep_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        append_metrics(path, LINES[0] | {"step": step})
    path.chmod(0o600)
    forget_metrics_after(path, 1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an exported model and a few pictures."""
    place = tmp_path_factory.mktemp("outputs")
    export_model(place / "model", DRAW(TINY_MODEL), DataConfig("images", binarize="none"), {})
    (place / "pictures").mkdir()
    for number in range(3):
        Image.new("L", (5, 6), 10 * number).save(place / "pictures" / f"{number}.png")
    return place


DATA = ("--data.path", "pictures", "--data.cache-dir", "cache")
WITH_JSON = [
    ("sample", "model", "--n", "1"),
    ("animate", "model", "--n", "1"),
    ("reconstruct", "model", "--n", "1", *DATA),
    ("evaluate", "model", *DATA),
    ("info", "model"),
    ("figure", "7", "model", "--n", "1"),
    ("data", "list", "--cache-dir", "cache"),
    ("data", "prepare", *DATA),
    ("data", "check", *DATA),
]
WITH_OUT = [
    (*verb, "--out", f"made{suffix}")
    for verb, suffix in (
        (WITH_JSON[0], ".png"), (WITH_JSON[1], ".gif"), (WITH_JSON[1], ".mp4"),
        (WITH_JSON[2], ".png"), (WITH_JSON[5], ".png"), (("figure", "3"), ".svg"),
    )
]  # fmt: skip


COMMANDS = [*((*verb, "--json", "made") for verb in WITH_JSON), *WITH_OUT]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    list(zip(COMMANDS, itertools.cycle(IRREGULAR))),
    ids=lambda value: " ".join(value[:3]) if isinstance(value, tuple) else value.__name__,
)
def test_no_verb_replaces_what_is_no_regular_file(
    place: Path, tmp_path: Path, arguments: tuple[str, ...], kind
) -> None:
    for name in ("model", "pictures"):
        (tmp_path / name).symlink_to(place / name)
    kind(tmp_path / arguments[-1])
    before = modes(tmp_path)
    told = draw_command(*arguments, cwd=tmp_path, check=1).stderr
    assert f"to be a file that can be written (it is a {NAMES[kind.__name__]}), got" in told
    assert repr(arguments[-1]) in told
    assert {name: modes(tmp_path)[name] for name in before} == before
