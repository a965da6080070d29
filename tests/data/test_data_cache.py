"""The cache of decoded images: whole or not at all, and never silently wrong."""

import json
import logging
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.config.data import DataConfig
from draw.data import DataError, check, describe, load_images, load_splits, prepare
from draw.data.load import find_or_build
from draw.data.store import cache
from draw.data.store import entry as build_module
from draw.data.store.cache import TAG, TAG_FILE, new_entry
from draw.files import cache_folder


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        name = folder / ("even", "odd")[number % 2] / f"{number}.png"
        name.parent.mkdir(exist_ok=True)
        picture = Image.new("L", (8, 8), 10 * number)
        picture.putpixel((7, 7), 255)
        picture.save(name)
    return DataConfig("images", path=str(folder), cache_dir=str(tmp_path / "cache"))


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all pictures that were decoded."""
    names = []
    original = build_module.decode

    def decode(picture, conversion):
        names.append(Path(picture.name).name)
        return original(picture, conversion)

    monkeypatch.setattr(build_module, "decode", decode)
    return names


def entry_of(config: DataConfig) -> Path:
    return find_or_build(config, ("train",), progress=False).entry


def same(one, other) -> bool:
    return all(
        np.array_equal(getattr(one, split).images, getattr(other, split).images)
        and np.array_equal(getattr(one, split).labels, getattr(other, split).labels)
        for split in ("train", "validation", "test")
    )


def left_over(config: DataConfig) -> list[str]:
    return [path.name for path in Path(config.cache_dir).iterdir() if path.name.startswith(".")]


def test_decoded_once_then_mapped(config: DataConfig, decoded: list[str]) -> None:
    first = load_splits(config, progress=False)
    assert len(decoded) == 20
    second = load_splits(config, progress=False)
    assert len(decoded) == 20
    assert same(first, second)
    assert first.train.fingerprint == second.train.fingerprint
    assert first.train.fingerprint != first.test.fingerprint
    assert isinstance(second.train.images, np.memmap)
    assert second.train.images.dtype == np.uint8
    with pytest.raises(ValueError, match="read-only"):
        second.train.images[0] = 0
    assert left_over(config) == []


def test_without_a_cache_dir_it_is_below_home(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache" / "draw"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert cache_folder() == tmp_path / "elsewhere" / "draw"


def test_originals_are_not_read_again(config: DataConfig, monkeypatch) -> None:
    load_splits(config, progress=False)
    monkeypatch.setattr("draw.data.sources.folder.digest_files", None)
    load_splits(config, progress=False)


def test_key_is_the_content_not_the_place_or_time(config: DataConfig, decoded, tmp_path) -> None:
    entry = entry_of(config)
    moved = tmp_path / "elsewhere"
    shutil.copytree(config.path, moved, copy_function=shutil.copy)
    other = DataConfig("images", path=str(moved), cache_dir=config.cache_dir)
    assert entry_of(other) == entry
    assert load_images(other, "train").source.startswith(str(moved))
    os.utime(moved / "even" / "0.png", (0, 0))
    assert entry_of(other) == entry
    assert len(decoded) == 20


@pytest.mark.parametrize("change", ["pixels", "added", "removed", "renamed"])
def test_a_change_of_the_originals_is_seen(config: DataConfig, change: str) -> None:
    entry = entry_of(config)
    picture = Path(config.path, "even", "0.png")
    match change:
        case "pixels":
            Image.new("L", (8, 8), 255).save(picture)
        case "added":
            Image.new("L", (8, 8)).save(picture.with_name("new.png"))
        case "removed":
            picture.unlink()
        case "renamed":
            picture.rename(picture.parents[1] / "odd" / "0.png")
    assert entry_of(config) != entry


@pytest.mark.parametrize(
    "fields", [{"size": (4,), "fit": "crop"}, {"mode": "colour"}, {"size": (8, 8)}]
)
def test_settings_have_entries_of_their_own(config: DataConfig, fields: dict) -> None:
    other = DataConfig("images", path=config.path, cache_dir=config.cache_dir, **fields)
    assert entry_of(other) != entry_of(config)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def edit(path: Path) -> None:
    path.write_text(path.read_text().replace('"binary": false', '"binary": true'))


DAMAGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a bit of an image": ("train.npy", flip),
    "a bit of a label": ("train-labels.npy", flip),
    "images cut off": ("train.npy", lambda path: os.truncate(path, 300)),
    "images gone": ("train.npy", Path.unlink),
    "meta gone": ("meta.json", Path.unlink),
    "meta cut off": ("meta.json", lambda path: os.truncate(path, 30)),
    "meta edited": ("meta.json", edit),
    "meta of another kind": ("meta.json", lambda path: path.write_text("[1, 2]")),
    "meta no text": ("meta.json", lambda path: path.write_bytes(b"\xff\xfe{}")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_and_repaired(
    config: DataConfig, decoded: list[str], caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    before = load_splits(config, progress=False)
    before = [np.array(before.train.images), np.array(before.train.labels)]
    name, do = DAMAGES[damage]
    entry = entry_of(config)
    do(entry / name)
    after = load_images(config, "train", progress=False)
    assert len(decoded) == 40
    np.testing.assert_array_equal(after.images, before[0])
    np.testing.assert_array_equal(after.labels, before[1])
    assert not after.binary
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert f"the decoded images in {entry} are damaged ({name}" in warning
    assert left_over(config) == []
    load_splits(config, progress=False)
    assert len(decoded) == 40


@pytest.mark.parametrize("use", [load_splits, check])
def test_an_entry_that_cannot_be_read_is_named(config: DataConfig, monkeypatch, use) -> None:
    entry = entry_of(config)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache, "verify", refuse)
    with pytest.raises(DataError, match=f"images in {entry}, got: Permission denied; make the"):
        use(config, progress=False)


def test_damage_to_another_split_does_not_matter(config: DataConfig, decoded) -> None:
    flip(entry_of(config) / "test.npy")
    load_images(config, "train", progress=False)
    assert len(decoded) == 20
    load_splits(config, progress=False)
    assert len(decoded) == 40


def test_a_note_that_leads_nowhere(config: DataConfig, decoded: list[str]) -> None:
    shutil.rmtree(entry_of(config))
    load_splits(config, progress=False)
    assert len(decoded) == 40
    (note,) = Path(config.cache_dir, "index").iterdir()
    for text in ("{", "[]", json.dumps({"entry": "gone"})):
        note.write_text(text)
        load_splits(config, progress=False)
    assert len(decoded) == 40


def test_a_full_disk(config: DataConfig) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (600, hard))  # of 16 * 64 bytes
    try:
        with pytest.raises(DataError) as error:
            load_splits(config, progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"cannot write decoded images to {config.cache_dir}: File too large" in str(error.value)
    assert "--data.cache-dir" in str(error.value)
    assert list(Path(config.cache_dir).iterdir()) == []
    load_splits(config, progress=False)


def test_a_cache_dir_that_is_a_file(config: DataConfig) -> None:
    Path(config.cache_dir).touch()
    with pytest.raises(DataError, match=r"cannot write decoded images to .*exists"):
        load_splits(config, progress=False)


def test_a_cache_that_may_not_be_read(config: DataConfig, monkeypatch) -> None:
    entry = entry_of(config)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("draw.data.store.cache.digest_file", refuse)
    with pytest.raises(DataError, match=f"images in {entry}, got: Permission denied; make"):
        load_splits(config, progress=False)
    assert entry.exists()


def test_nothing_is_left_after_an_interrupt(config: DataConfig, monkeypatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(build_module, "decode", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load_splits(config, progress=False)
    assert list(Path(config.cache_dir).iterdir()) == []


def test_what_was_abandoned_is_removed(config: DataConfig) -> None:
    cache = Path(config.cache_dir)
    old, new = (f".{'0' * 32}-7-{age}" for age in ("01d01d01", "0e0e0e0e"))
    for name, age in {old: 2 * 86_400, new: 60}.items():
        (cache / name).mkdir(parents=True)
        (cache / name / "train.npy").touch()
        (cache / name / TAG_FILE).write_text(TAG)
        os.utime(cache / name, (time.time() - age,) * 2)
    load_splits(config, progress=False)
    assert left_over(config) == [new]


def test_the_first_of_two_builders_wins(tmp_path: Path) -> None:
    entry = tmp_path / "cache" / "key"
    with new_entry(entry) as slow:
        with new_entry(entry) as fast:
            (fast / "meta.json").write_text("fast")
            assert not entry.exists()
        (slow / "meta.json").write_text("slow")
    assert (entry / "meta.json").read_text() == "fast"
    assert [path.name for path in entry.parent.iterdir()] == ["key"]


def test_two_processes_at_once(config: DataConfig) -> None:
    program = (
        "import sys; from draw.config.data import DataConfig; from draw.data import load_splits\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "s = load_splits(DataConfig('images', path=sys.argv[1], cache_dir=sys.argv[2]))\n"
        "print(s.train.fingerprint)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program, config.path, config.cache_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    results = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert results[0] == results[1] == (f"{load_images(config, 'train').fingerprint}\n", "")
    assert left_over(config) == []


def test_prepare_and_check(config: DataConfig, decoded: list[str]) -> None:
    report = prepare(config, progress=False)
    assert report.image_shape == (1, 8, 8)
    assert [(s.name, s.count, s.binary, s.classes) for s in report.splits] == [
        ("train", 16, False, 2),
        ("validation", 2, False, 1),
        ("test", 2, False, 1),
    ]
    assert report.folder == entry_of(config)
    assert report.size_in_bytes == sum(p.stat().st_size for p in report.folder.iterdir())
    assert (report.modes, report.sizes) == ({"L": 20}, ((8, 8, 20),))
    assert (report.duplicates, report.problems) == (None, ())
    mean = np.mean(load_images(config, "train").images) / 255
    assert report.splits[0].mean == pytest.approx(mean)
    checked = check(config, progress=False)
    assert (checked.duplicates, checked.problems) == (0, ())
    assert len(decoded) == 20


def test_check_tells_of_damage_and_repairs_it(config: DataConfig) -> None:
    flip(entry_of(config) / "test.npy")
    (problem,) = check(config, progress=False).problems
    assert "was damaged (test.npy does not match its checksum)" in problem
    assert check(config, progress=False).problems == ()


def test_check_counts_duplicates(config: DataConfig) -> None:
    for split in ("train", "test"):
        for number in range(6):
            path = Path(config.path, split, f"{number}.png")
            path.parent.mkdir(exist_ok=True)
            shade = number if split == "train" else number + 4
            Image.new("L", (8, 8), shade).save(path)
    shutil.rmtree(Path(config.path, "even"))
    shutil.rmtree(Path(config.path, "odd"))
    held_out = load_images(config, "validation").images[0, 0, 0, 0]
    expected, verb = (1, "is") if held_out in (4, 5) else (2, "are")
    report = check(config, progress=False)
    assert report.duplicates == expected
    assert f"{expected} of 6 test images {verb} also in train" in report.problems[0]


def test_describe_says_what_is_prepared(tmp_path: Path, no_network: None) -> None:
    listed = {entry.name: entry for entry in describe(str(tmp_path))}
    assert {"mnist", "binarized_mnist", "digits", "fashion-mnist", "omniglot"} <= listed.keys()
    assert all(entry.prepared is None for entry in listed.values())
    config = DataConfig("digits", cache_dir=str(tmp_path))
    entry = entry_of(config)
    listed = {entry.name: entry.prepared for entry in describe(str(tmp_path))}
    assert listed.pop("digits") == entry
    assert set(listed.values()) == {None}
