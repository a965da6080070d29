"""Grey originals of a binarized set: found one by one, or refused."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from draw.config.data import DataConfig
from draw.data import ImageSet, Splits, load_splits
from draw.data.copies import write_copy
from draw.data.originals import originals, with_grey_training
from draw.errors import DataError
from running import draw_command


def grey_images(n: int, seed: int = 0) -> np.ndarray:
    """Smooth blots with much that is black and some that is white, as digits are."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:12, :10]
    centre_y, centre_x = random.uniform(2, 9, (2, n, 1, 1))
    width = random.uniform(1, 4, (n, 1, 1))
    blots = 400 * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / width**2) - 60
    return np.clip(blots, 0, 255).astype(np.uint8)[:, None]


def drawn(grey: np.ndarray, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.where(random.random(grey.shape) < grey / 255, 255, 0).astype(np.uint8)


def of(split: str, images: np.ndarray, labels: np.ndarray | None = None) -> ImageSet:
    binary = bool(np.isin(images, (0, 255)).all())
    return ImageSet("images", split, images, labels, "here", "", binary)


def sets() -> tuple[Splits, Splits]:
    """A binarized set in another order, and split otherwise, than the grey one."""
    grey = grey_images(60)
    labels = np.arange(60) % 7
    order = np.random.default_rng(2).permutation(40)
    bits = drawn(grey)
    binary = Splits(
        of("train", bits[order[:25]]), of("validation", bits[order[25:]]), of("test", bits[:39:-1])
    )
    return binary, Splits(
        of("train", grey[:33], labels[:33]),
        of("validation", grey[33:40], labels[33:40]),
        of("test", grey[40:], labels[40:]),
    )


def test_each_image_gets_the_grey_one_that_it_was_drawn_from() -> None:
    grey = grey_images(60)
    order = np.random.default_rng(3).permutation(60)[:40]  # some grey ones are nobody's
    found = originals(drawn(grey)[order], grey, progress=False)
    assert (found == order).mean() >= 0.95  # twins may be exchanged


def test_the_assignment_is_the_likeliest_of_all() -> None:
    grey = grey_images(30)
    bits = drawn(grey)[:20]
    logs = np.zeros((20, 30))
    for i, b in enumerate(bits // 255):
        for j, g in enumerate(np.clip(grey / 255, 1e-4, 1 - 1e-4)):
            logs[i, j] = np.log(np.where(b == 1, g, 1 - g)).sum()
    rows, best = linear_sum_assignment(logs, maximize=True)
    found = originals(bits, grey, progress=False)
    assert logs[rows, found].sum() == pytest.approx(logs[rows, best].sum(), abs=1e-3)


def test_no_grey_image_is_given_twice_where_two_would_like_it_best() -> None:
    grey = np.full((2, 1, 1, 8), 128, np.uint8)
    grey[0] = 200  # likelier for both
    bits = np.full((2, 1, 1, 8), 255, np.uint8)
    bits[0, 0, 0, 0] = 0
    assert originals(bits, grey, progress=False).tolist() == [1, 0]


def test_training_images_become_grey_and_all_get_labels(tmp_path: Path) -> None:
    binary, grey = sets()
    made = with_grey_training(binary, grey, progress=False)
    assert not made.train.binary
    assert made.validation.binary
    assert np.array_equal(made.validation.images, binary.validation.images)
    assert np.array_equal(made.test.images, binary.test.images)
    black = (made.train.images == 0) & (binary.train.images == 255)
    white = (made.train.images == 255) & (binary.train.images == 0)
    assert not black.any()
    assert not white.any()
    assert made.test.labels is not None
    assert (made.test.labels == (np.arange(60) % 7)[:39:-1]).mean() > 0.7
    test_images = {image.tobytes() for image in grey.test.images}
    assert not test_images & {image.tobytes() for image in made.train.images}
    write_copy(made, tmp_path / "made.npz")
    config = DataConfig(name="mnist", path=str(tmp_path / "made.npz"), cache_dir=str(tmp_path))
    read = load_splits(config, progress=False)
    assert read.train.binarization("dynamic") == "dynamic"
    assert read.test.binarization("dynamic") == "static"
    without = Splits(*(dataclasses.replace(one, labels=None) for one in vars(grey).values()))
    assert with_grey_training(binary, without, progress=False).test.labels is None


@pytest.mark.usefixtures("without_shape_checks")
def test_images_of_something_else_are_refused() -> None:
    binary, grey = sets()
    for wrong, words in (
        (grey.train.images[:, :, ::-1], r"of 25 images (\d+|many) are not"),
        (255 - grey.train.images, r"of 25 images (\d+|many) are not"),
        (grey.train.images[:9], "as many grey images as binary ones or more"),
        (grey.train.images.swapaxes(2, 3), "of one size, got"),
    ):
        with pytest.raises(DataError, match=words):
            originals(binary.train.images, wrong, progress=False)
    for one, other in ((grey, binary), (binary, binary), (grey, grey)):
        with pytest.raises(DataError, match="pixels are 0 or 1, and then the grey one"):
            with_grey_training(one, other, progress=False)


def test_the_verb(tmp_path: Path) -> None:
    binary, grey = sets()
    write_copy(binary, tmp_path / "binary.npz")
    write_copy(grey, tmp_path / "grey.npz")
    arguments = ["data", "originals", "binary.npz", "grey.npz", "made.npz", "--cache-dir", "cache"]
    assert "made.npz" in draw_command(*arguments, cwd=tmp_path).stdout
    with np.load(tmp_path / "made.npz") as arrays:
        assert not np.isin(arrays["train_images"], (0, 255)).all()
        assert np.array_equal(arrays["test_images"], binary.test.images[:, 0])
        assert arrays["test_labels"].shape == (20,)
    again = draw_command(*arguments, cwd=tmp_path, check=1)
    assert "made.npz exists already" in again.stderr
