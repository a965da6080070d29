"""Data sets and models at the edge of what makes sense: whole runs, from the start to the pictures.

tests/measure/test_classification.py has a data set of a single class.
"""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig
from draw.config.run import Config
from draw.data import ImageSet
from draw.training.finish import finish
from draw.training.start import start
from running import TINY, image_set, with_train

COLOURS = {"black": (0, 1), "grey": (100, 3), "white": (255, 1)}
"""Value and channels."""


def of_one_colour(count: int, value: int, split: str = "train", channels: int = 1) -> ImageSet:
    images = image_set(count, split, channels=channels)
    binary = value in (0, 255)
    return dataclasses.replace(images, images=np.full_like(images.images, value), binary=binary)


def with_model(config: Config = TINY, **changes: object) -> Config:
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **changes))


def finished(
    run: Path, config: Config, training: ImageSet, validation: ImageSet, test: ImageSet
) -> dict[str, object]:
    """The test's numbers of a run, whose pictures are whole."""
    result = finish(start(config, run, training, validation), test)
    assert result is not None
    assert result["test"]["images"] == test.count
    for picture in result["pictures"]:
        with Image.open(picture) as opened:
            opened.load()
            assert min(opened.size) > 5
    return result["test"]


@pytest.mark.parametrize(("value", "channels"), COLOURS.values(), ids=COLOURS)
def test_images_of_one_colour(tmp_path: Path, value: int, channels: int) -> None:
    """The bound goes to the entropy of the colour, and stays finite."""
    config = with_model(with_train(TINY, steps=60, evaluate_every=60), channels=channels)
    sets = [of_one_colour(9, value, split, channels) for split in ("train", "validation", "test")]
    test = finished(tmp_path / "run", config, *sets)
    p = min(max(value / 255, 1e-9), 1 - 1e-9)
    entropy = -30 * channels * (p * math.log(p) + (1 - p) * math.log(1 - p))
    assert entropy <= test["bound"] < entropy + 3 * channels
    assert test["bound_standard_error"] < 1


@pytest.mark.parametrize("attention", ["gaussian", "none"])
def test_one_step(tmp_path: Path, backend: str, attention: str) -> None:
    config = with_model(glimpses=1, attention=attention)
    sets = image_set(10), image_set(7, "validation", seed=1), image_set(5, "test", seed=2)
    test = finished(tmp_path / "run", config, *sets)
    assert test["kl_per_glimpse"] == (pytest.approx(test["kl"]),)


def test_one_glimpse(tmp_path: Path) -> None:
    model = ClassifierConfig(rows=6, columns=5, glimpses=1, hidden_size=4, read_size=1, classes=2)
    config = dataclasses.replace(TINY, model=model, data=DataConfig(name="images"))
    sets = [
        dataclasses.replace(image_set(count, split), labels=np.arange(count, dtype=np.int64) % 2)
        for count, split in ((10, "train"), (3, "validation"), (2, "test"))
    ]
    assert len(finished(tmp_path / "run", config, *sets)["error_by_glimpse"]) == 1


@pytest.mark.parametrize("training", [1, 3])
def test_data_sets_smaller_than_a_batch(tmp_path: Path, training: int) -> None:
    """A batch has 4 images here; the test images are fewer, and so are the pictures' rows."""
    sets = image_set(training), image_set(2, "validation", seed=1), image_set(1, "test", seed=2)
    test = finished(tmp_path / "run", TINY, *sets)
    assert test["bound_standard_error"] == 0
    assert math.isfinite(test["bound"])


def test_the_smallest_image_is_a_pixel(tmp_path: Path) -> None:
    config = with_model(rows=1, columns=1, read_size=1, write_size=1)
    sets = [
        dataclasses.replace(images, images=images.images[..., :1, :1].copy())
        for images in (image_set(10), image_set(7, "validation"), image_set(5, "test"))
    ]
    assert math.isfinite(finished(tmp_path / "run", config, *sets)["bound"])
