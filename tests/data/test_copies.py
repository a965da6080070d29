"""Copies of data sets: what is read from them is what was written."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.config.data import DataConfig
from draw.data import ImageSet, Splits, load_splits
from draw.data.copies import write_copy
from running import draw_command


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Twenty-four pictures in colour of eleven classes, of which two are not in the test split."""
    random = np.random.default_rng(0)
    for split, classes in (("train", 11), ("test", 9)):
        for number in range(2 * classes):
            folder = tmp_path / "colours" / split / f"class {number % classes:02}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 256, (5, 4, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    return tmp_path / "colours"


def splits_of(path: str, place: Path, **more: str) -> Splits:
    config = DataConfig(name="images", path=path, cache_dir=str(place / "cache"), **more)
    return load_splits(config, progress=False)


def pairs(images: ImageSet) -> list[tuple[bytes, int]]:
    """Images with their labels, whatever their order."""
    assert images.labels is not None
    return sorted(zip(map(bytes, images.images), images.labels.tolist(), strict=True))


def assert_same(before: Splits, after: Splits) -> None:
    for one, other in zip(vars(before).values(), vars(after).values(), strict=True):
        assert pairs(one) == pairs(other)
        assert one.images.shape == other.images.shape


@pytest.mark.parametrize("to", ["copy.npz", "copy"])
def test_a_copy_of_a_folder_is_read_as_the_folder(colours: Path, tmp_path: Path, to: str) -> None:
    cache = ["--data.cache-dir", str(tmp_path / "cache")]
    done = draw_command(
        "data", "convert", "colours", to, *cache, "--json", "-", cwd=tmp_path
    )  # fmt: skip
    counts = json.loads(done.stdout)["images"]
    before, after = (splits_of(str(tmp_path / name), tmp_path) for name in ("colours", to))
    assert_same(before, after)
    assert counts == {images.split: images.count for images in vars(before).values()}


def test_names_of_classes_are_kept_or_said_to_be_lost(
    colours: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = splits_of(str(colours), tmp_path)
    write_copy(before, tmp_path / "copy")
    assert splits_of(str(tmp_path / "copy"), tmp_path).train.classes == before.train.classes
    assert "names" not in caplog.text
    write_copy(before, tmp_path / "copy.npz")
    assert "copy.npz has the classes by number, without their names: 0 class 00" in caplog.text
    names = tuple(f"a/b {number}" for number in range(11))  # no folder is called so
    renamed = (dataclasses.replace(one, classes=names) for one in vars(before).values())
    write_copy(Splits(*renamed), tmp_path / "other")
    assert "other has the classes by number, without their names: 0 a/b 0" in caplog.text
    assert_same(before, splits_of(str(tmp_path / "other"), tmp_path))


def test_a_set_by_name_and_images_made_to_fit(tmp_path: Path) -> None:
    cache = ["--data.cache-dir", str(tmp_path / "cache")]
    draw_command("data", "convert", "digits", "digits.npz", *cache, cwd=tmp_path)
    with np.load(tmp_path / "digits.npz") as arrays:
        shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes["train_images"] == (1439, 28, 28)
    assert shapes["test_labels"] == (179,)
    size = ["--data.size", "8", "--data.mode", "grey", "--data.fit", "stretch"]
    draw_command("data", "convert", "digits.npz", "small.npz", *size, *cache, cwd=tmp_path)
    with np.load(tmp_path / "small.npz") as arrays:
        assert arrays["validation_images"].shape == (179, 8, 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["colours", "there.npz"], "there.npz exists already and is left as it is"),
        (["nowhere/at/all", "new.npz"], "nowhere"),
        (["colours", "new.npz", "--data.path", "x"], "expected what to convert as FROM"),
        (["colours", "new.npz", "--data.name", "mnist"], "expected what to convert as FROM"),
        (["mnits", "new.npz"], "mnits"),
        (["colours", "new.zip"], "expected a new .npz file or a new folder, got new.zip"),
        (["colours", "new.TAR.gz"], "expected a new .npz file or a new folder, got new.TAR.gz"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_copied_is_told_and_nothing_written(
    colours: Path, tmp_path: Path, arguments: list[str], message: str, no_network: None
) -> None:
    (tmp_path / "there.npz").write_bytes(b"mine")
    cache = ["--data.cache-dir", str(tmp_path / "cache")]
    done = draw_command("data", "convert", *arguments, *cache, cwd=tmp_path, check=1)
    assert message in done.stderr
    assert (tmp_path / "there.npz").read_bytes() == b"mine"
    assert not [*tmp_path.glob("new*")]


def test_classes_without_images_stay_what_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 5), np.uint8)
    labels = np.arange(40) % 3 * 2
    np.savez(tmp_path / "gaps.npz", train_images=images, train_labels=labels)
    cache = ["--data.cache-dir", str(tmp_path / "cache")]
    done = draw_command("data", "convert", "gaps.npz", "copy", *cache, cwd=tmp_path, check=1)
    assert "expected every class from 0 to 4 to have an image" in done.stderr
    assert not (tmp_path / "copy").exists()
    draw_command("data", "convert", "gaps.npz", "copy.npz", *cache, cwd=tmp_path)
    assert_same(*(splits_of(str(tmp_path / name), tmp_path) for name in ("gaps.npz", "copy.npz")))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"train": np.arange(30) % 3}, "in every split or in none, .* got none in test"),
        ({"train": np.zeros(30, int), "test": np.zeros(9, int)}, "got class 0 alone"),
    ],
    ids=["train alone", "one class"],
)
def test_labels_that_folders_cannot_keep(
    labels: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(0)
    arrays = {
        f"{split}_images": random.integers(0, 256, (count, 6, 5), np.uint8)
        for split, count in (("train", 30), ("test", 9))
    }
    named = {f"{split}_labels": of for split, of in labels.items()}
    np.savez(tmp_path / "some.npz", **arrays, **named)
    cache = ["--data.cache-dir", str(tmp_path / "cache")]
    done = draw_command("data", "convert", "some.npz", "copy", *cache, cwd=tmp_path, check=1)
    assert re.search(message, done.stderr)
    assert "write copy.npz instead" in done.stderr
    assert not (tmp_path / "copy").exists()
    draw_command("data", "convert", "some.npz", "copy.npz", *cache, cwd=tmp_path)
    before, after = (splits_of(str(tmp_path / name), tmp_path) for name in ("some.npz", "copy.npz"))
    for one, other in zip(vars(before).values(), vars(after).values(), strict=True):
        assert (one.labels is None) == (other.labels is None) == (one.split not in kept_by(labels))
        if one.labels is not None:
            assert pairs(one) == pairs(other)


def kept_by(labels: dict[str, np.ndarray]) -> set[str]:
    """Splits with labels; validation is held out of train."""
    return {*labels, "validation"}
