"""Changes that suit pictures: mirroring for what has no sides, never for letters or with labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from draw.config.data import DataConfig
from draw.data import load_images
from draw.data.views.augmentation_choice import MANY, UNLIKE, choose_augmentation, mirror_gap


def letters(n: int, text: str = "EFLRPGD") -> np.ndarray:
    """Letters of a font, at places of their own."""
    random, pages = np.random.default_rng(1), []
    for _ in range(n):
        page = Image.new("L", (16, 16), int(random.integers(0, 80)))
        at = tuple(random.integers(1, 6, 2))
        ImageDraw.Draw(page).text(
            at, text[random.integers(len(text))], int(random.integers(150, 255))
        )
        pages.append(np.asarray(page)[None])
    return np.stack(pages)


def sideless(n: int) -> np.ndarray:
    """Spots, light in the dark, of which none is likelier on one side."""
    random, pages = np.random.default_rng(2), []
    for _ in range(n):
        page = Image.new("L", (16, 16), 20)
        x, y, size = random.integers(-2, 12), random.integers(-2, 12), random.integers(4, 9)
        ImageDraw.Draw(page).ellipse((x, y, x + size, y + size), int(random.integers(150, 255)))
        pages.append(np.asarray(page)[None])
    return np.stack(pages)


def test_letters_are_not_mirrored_and_pictures_without_sides_are() -> None:
    kept = choose_augmentation(letters(120), labelled=False, binary=False)
    assert kept.names == ("affine",)
    assert "unlike" in kept.reason
    mirrored = choose_augmentation(sideless(120), labelled=False, binary=False)
    assert mirrored.names == ("affine", "flip")


def test_labels_few_many_and_binary_pictures_are_not_mirrored() -> None:
    images = sideless(120)
    for names, found in (
        (("affine",), choose_augmentation(images, labelled=True, binary=False)),
        (("affine",), choose_augmentation(images[:99], labelled=False, binary=False)),
        ((), choose_augmentation(images, labelled=False, binary=True)),
        ((), choose_augmentation(np.resize(images, (MANY, 1, 4, 4)), labelled=False, binary=False)),
    ):
        assert found.names == names
        assert found.reason


def test_pictures_of_one_colour_are_no_obstacle() -> None:
    assert mirror_gap(np.full((50, 3, 8, 8), 7, np.uint8)) == pytest.approx(0)


@pytest.mark.parametrize(
    ("folder", "letters"), [("chars74k_street", True), ("mnist", True), ("cifar10_jpeg", False)]
)
def test_real_sets(
    folder: str, letters: bool, tmp_path: Path, development_data: Callable[..., Path]
) -> None:
    from datasets import load_dataset

    files = str(development_data(folder) / "test-*.parquet")
    table = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    column = "img" if "img" in table.column_names else "image"
    some = [np.atleast_3d(np.asarray(row[column])) for row in table.select(range(300))]
    gap = mirror_gap(np.stack(some).transpose(0, 3, 1, 2))
    assert (gap > UNLIKE) == letters


def test_a_choice_is_made_for_training_alone_and_only_if_it_is_open(tmp_path: Path) -> None:
    for number, picture in enumerate(sideless(140)):
        path = tmp_path / "mine" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(picture[0]).save(path)
    where, cache = str(tmp_path / "mine"), str(tmp_path / "cache")
    asked = DataConfig("images", where, cache_dir=cache)
    found = DataConfig("images", where, cache_dir=cache, augment=None)
    assert load_images(asked, "train").augment == ()
    assert load_images(found, "train").augment == ("affine", "flip")
    assert load_images(found, "test").augment == ()
