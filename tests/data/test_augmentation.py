"""Changes of training images: what each does, that chance is a function of the step, and where."""

import dataclasses
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from draw.config.data import Augment, DataConfig
from draw.data import load_images
from draw.data.images import ImageSet
from draw.data.views.augmentation import (
    AUGMENTATIONS,
    KEEP_BINARY,
    affine,
    augmentation_of,
    colour,
    flip,
)
from draw.data.views.cluttered import Cluttered
from draw.data.views.crops import RandomCrop
from draw.data.views.two_digits import TwoDigits
from draw.errors import DrawError


def chance(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def images_of(n: int, channels: int = 1, rows: int = 12, columns: int = 9) -> np.ndarray:
    return chance(7).integers(0, 256, (n, channels, rows, columns), dtype=np.uint8)


def dots(n: int, rows: int = 41, columns: int = 21, row: int = 20, column: int = 10) -> np.ndarray:
    images = np.zeros((n, 1, rows, columns), np.uint8)
    images[:, :, row - 1 : row + 2, column - 1 : column + 2] = 255
    return images


def test_the_options_are_the_table() -> None:
    literal, _ = get_args(Augment)
    assert get_args(literal) == tuple(AUGMENTATIONS)
    assert set(AUGMENTATIONS) >= KEEP_BINARY


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_changes_images_as_chance_says(name: str, channels: int) -> None:
    images = images_of(8, channels)
    images.flags.writeable = False  # as a memory map is
    change = AUGMENTATIONS[name]
    first, again, other = (change(images, chance(seed)) for seed in (1, 1, 2))
    assert first.dtype == np.uint8
    assert first.shape == images.shape
    np.testing.assert_array_equal(first, again)
    assert (first != images).any()
    assert (first != other).any()
    assert change(images[:0], chance()).shape == (0, *images.shape[1:])


def test_an_affine_map_moves_a_dot_a_little_and_keeps_circles_round() -> None:
    moved = affine(dots(400), chance()).astype(float)[:, 0]
    weight = moved.sum((1, 2))
    rows = (moved.sum(2) * np.arange(41)).sum(1) / weight - 20
    columns = (moved.sum(1) * np.arange(21)).sum(1) / weight - 10
    assert 0.05 * 41 < abs(rows).max() < 0.075 * 41
    assert 0.05 * 21 < abs(columns).max() < 0.075 * 21
    # A bar 15 pixels below the middle, turned: it moves sideways as far as in square pixels.
    low = affine(dots(400, row=35), chance()).astype(float)[:, 0]
    aside = (low.sum(1) * np.arange(21)).sum(1) / low.sum((1, 2)) - 10 - columns
    turn_and_shear = 15 * (np.tan(np.pi / 12) + 0.2)
    assert 2 < abs(aside).max() < turn_and_shear
    assert 0.6 < weight.min() / (9 * 255) < weight.max() / (9 * 255) < 1.7


def test_beyond_the_edge_an_image_goes_on() -> None:
    images = np.full((50, 3, 8, 8), 200, np.uint8)
    np.testing.assert_array_equal(affine(images, chance()), images)


def test_half_of_the_images_are_mirrored() -> None:
    images = images_of(1000)
    found = flip(images, chance())
    mirrored = (found == images[..., ::-1]).all((1, 2, 3))
    assert ((found == images).all((1, 2, 3)) ^ mirrored).all()
    assert 430 < mirrored.sum() < 570


def test_colours_keep_what_is_light_and_what_is_dark() -> None:
    images = np.tile(np.linspace(60, 190, 9).astype(np.uint8), (100, 3, 12, 1))
    found = colour(images, chance())
    assert (np.diff(found.astype(int), axis=-1) >= 0).all()
    shift = found.mean((2, 3)) - images.mean((2, 3))
    assert 0.1 * 255 < abs(shift).max() <= 0.15 * 255 + 1
    assert (shift[:, 0] != shift[:, 1]).any()


def test_several_follow_one_another_and_an_unknown_one_is_refused() -> None:
    images, random = images_of(4), chance()
    expected = flip(affine(images, random), random)
    np.testing.assert_array_equal(augmentation_of(("affine", "flip"))(images, chance()), expected)
    assert augmentation_of(())(images, chance()) is images
    with pytest.raises(DrawError, match=r"expected data\.augment to be 'affine', .*got 'blur'"):
        augmentation_of(("blur",))


@pytest.mark.parametrize("view", [None, TwoDigits(30), Cluttered(30, 3, 2), RandomCrop(12, 12)])
def test_training_images_alone_are_changed(view) -> None:
    stored, labels = images_of(6, rows=12, columns=12), np.arange(6)
    plain = ImageSet("images", "train", stored, labels, "made here", "0" * 64, False, view)
    changed = ImageSet(
        "images", "train", stored, labels, "made here", "0" * 64, False, view, ("affine",)
    )
    numbers = np.arange(6)
    assert (changed.batch(numbers, chance())[0] != plain.batch(numbers, chance())[0]).any()
    np.testing.assert_array_equal(changed.evaluation_set().images, plain.evaluation_set().images)
    assert changed.evaluation_set().augment == ()
    for (one, _), (other, _) in zip(changed.blocks(), plain.blocks(), strict=True):
        np.testing.assert_array_equal(one, other)
    first, second = (changed.batch(numbers, chance(3)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])


def test_binary_images_are_not_made_grey(tmp_path) -> None:
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for n in range(3):
            bits = chance(n).integers(0, 2, (6, 5), dtype=np.uint8) * 255
            Image.fromarray(bits).save(tmp_path / "data" / split / f"{n}.png")
    config = DataConfig(
        "images", str(tmp_path / "data"), augment=("flip",), cache_dir=str(tmp_path / "cache")
    )
    assert load_images(config, "train").augment == ("flip",)
    greying = dataclasses.replace(config, augment=("flip", "affine"))
    with pytest.raises(DrawError, match=r"no --data\.augment affine with images that are binary"):
        load_images(greying, "train")
    object.__setattr__(greying, "augment", ("blur",))
    with pytest.raises(DrawError, match=r"expected data\.augment to be"):
        load_images(greying, "train")
