"""What is no image and no drawing is refused by every function that makes a picture of one."""

import inspect
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import draw.visualize
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.model.draw import DRAW
from draw.visualize import (
    animate,
    generation_strip,
    glimpse_strip,
    reconstruction_grid,
    reconstruction_strip,
    sample_grid,
    window_geometry,
)
from draw.visualize.animation import gif_of
from draw.visualize.completions import completion_strip
from draw.visualize.drawings import drawing_html, save_drawing
from draw.visualize.geometry import default_windows

pytestmark = pytest.mark.usefixtures("without_shape_checks")
IMAGES = torch.zeros(2, 1, 6, 5)
DRAWN = DRAW(
    DRAWConfig(rows=6, columns=5, channels=1, glimpses=2, hidden_size=4, latent_size=2)
).generate(2, seed=0)
NO_IMAGES: dict[str, Any] = {
    "array": np.zeros((2, 1, 6, 5), np.float32),
    "list": [IMAGES],
    "none": None,
    "stack of batches": torch.zeros(3, 2, 1, 6, 5),
    "pictures without channels": torch.zeros(2, 6, 5),
    "two channels": torch.zeros(2, 2, 6, 5),
    "drawings": DRAWN,
}
NO_DRAWINGS: dict[str, Any] = {"images": IMAGES, "tuple": tuple(DRAWN), "none": None}
OF_IMAGES: dict[str, Any] = {
    "sample_grid": sample_grid,
    "neighbours": lambda x, path: sample_grid(IMAGES, path, neighbours=x),
    "reconstruction_grid": lambda x, path: reconstruction_grid(x, IMAGES, path),
    "reconstructions": lambda x, path: reconstruction_grid(IMAGES, x, path),
    "reconstruction_strip": lambda x, path: reconstruction_strip(x, DRAWN, path),
    "animate": lambda x, path: animate(DRAWN, path.with_suffix(".gif"), images=x),
    "save_drawing": lambda x, path: save_drawing(DRAWN, path, images=x),
    "glimpse_strip": lambda x, path: glimpse_strip(x, DRAWN, path),  # type: ignore[arg-type]
    "completion_strip": lambda x, path: completion_strip(
        x, torch.ones(6, 5).bool(), IMAGES[None], path
    ),
    "window_geometry": lambda x, path: window_geometry(x, default_windows(6, 5), path),
}
MAY_BE_LEFT_OUT = ("neighbours", "animate", "save_drawing")
OF_DRAWINGS: dict[str, Any] = {
    "generation_strip": generation_strip,
    "reconstruction_strip": lambda x, path: reconstruction_strip(IMAGES, x, path),
    "animate": lambda x, path: animate(x, path.with_suffix(".gif")),
    "gif_of": lambda x, path: gif_of(x),
    "drawing_html": lambda x, path: drawing_html(x),
    "save_drawing": save_drawing,
}


@pytest.mark.parametrize(
    ("given", "function"),
    [
        (given, function)
        for given, function in itertools.product(NO_IMAGES, OF_IMAGES)
        if given != "none" or function not in MAY_BE_LEFT_OUT
    ],
)
def test_what_is_no_image_is_refused(given: str, function: str, tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="expected"):
        OF_IMAGES[function](NO_IMAGES[given], tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", OF_DRAWINGS)
@pytest.mark.parametrize("given", NO_DRAWINGS)
def test_what_is_no_drawing_is_refused(given: str, function: str, tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="expected drawings step by step"):
        OF_DRAWINGS[function](NO_DRAWINGS[given], tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def test_what_is_no_answer_of_a_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="expected answers as a glimpse classifier"):
        glimpse_strip(IMAGES, DRAWN, tmp_path / "glimpses.png")  # type: ignore[arg-type]


def test_completions_of_no_image_are_refused(tmp_path: Path) -> None:
    for images, answers in ((IMAGES[:0], IMAGES[None, :0]), (IMAGES, IMAGES[None, :1])):
        with pytest.raises(DrawError, match="expected answers to each of one or more images"):
            completion_strip(images, torch.ones(6, 5).bool(), answers, tmp_path / "picture.png")
    with pytest.raises(DrawError, match="expected answers of shape"):
        completion_strip(IMAGES, torch.ones(6, 5).bool(), IMAGES, tmp_path / "picture.png")


def test_every_public_function_of_images_or_drawings_is_tried() -> None:
    found = {
        name
        for name in draw.visualize.__all__
        if callable(made := getattr(draw.visualize, name))
        and not inspect.isclass(made)
        and {"path"}
        < {*inspect.signature(made).parameters} & {"path", "image", "images", "trajectory"}
    }
    assert found
    assert found <= {*OF_IMAGES, *OF_DRAWINGS}
