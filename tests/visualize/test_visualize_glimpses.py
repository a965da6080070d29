"""The classifier's picture (figure 5): windows, bars and words are where they belong."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from draw.attention.window import Window
from draw.model.classifier import ClassifierOutput
from draw.visualize import glimpse_strip
from draw.visualize.glimpses import RIGHT_COLOUR, WRONG_COLOUR
from draw.visualize.outlines import READ_COLOUR


def classified(logits: torch.Tensor) -> ClassifierOutput:
    """Two glimpses: the whole of a 10x10 image, then a quarter of it."""
    batch = logits.shape[1]
    middle, sigma = torch.full((2, batch), 5.5), torch.full((2, batch), 0.1)
    delta = torch.tensor([[9.0], [3.0]]).expand(2, batch)
    window = Window(middle, middle, delta, sigma, torch.ones(2, batch), size=2)
    return ClassifierOutput(logits[-1], logits, window)


def picture(path: Path, logits: torch.Tensor, **options: object) -> np.ndarray:
    images = torch.zeros(logits.shape[1], 1, 10, 10)
    glimpse_strip(images, classified(logits), path, **options)
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def count(pixels: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((np.abs(pixels - colour).sum(-1) < 10).sum())


def test_the_likeliest_class_is_blue_where_right_and_red_where_wrong(tmp_path: Path) -> None:
    sure_of_one = torch.tensor([[[0.0, 0.0, 0.0]], [[0.0, 9.0, 0.0]]])
    right = picture(tmp_path / "a.png", sure_of_one, labels=torch.tensor([1]))
    wrong = picture(tmp_path / "b.png", sure_of_one, labels=torch.tensor([2]))
    unknown = picture(tmp_path / "c.png", sure_of_one)
    assert count(right, WRONG_COLOUR) > 0, "at first it does not know, and says class 0"
    assert count(right, RIGHT_COLOUR) > 2 * count(wrong, RIGHT_COLOUR)
    assert count(wrong, WRONG_COLOUR) > count(right, WRONG_COLOUR)
    assert count(unknown, WRONG_COLOUR) == 0


def test_bars_are_as_high_as_probabilities(tmp_path: Path) -> None:
    def blue(probability: float) -> int:
        logit = float(torch.tensor(probability).logit())
        logits = torch.tensor([[[0.0, logit]]]).expand(2, 1, 2)
        pixels = picture(tmp_path / "bar.png", logits.contiguous(), steps=1)
        return count(pixels, RIGHT_COLOUR)

    assert blue(0.6) / blue(0.9) == pytest.approx(0.6 / 0.9, abs=0.06)


def test_windows_are_drawn(tmp_path: Path) -> None:
    assert count(picture(tmp_path / "a.png", torch.zeros(2, 1, 3)), READ_COLOUR) > 200


def test_an_answer_is_needed_for_each_image(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got 2 images and 1 answers"):
        glimpse_strip(
            torch.zeros(2, 1, 10, 10), classified(torch.zeros(2, 1, 3)), tmp_path / "a.png",
        )  # fmt: skip
    assert not (tmp_path / "a.png").exists()


def test_of_many_images_the_first_are_shown(tmp_path: Path) -> None:
    few = picture(tmp_path / "a.png", torch.zeros(2, 8, 3))
    many = picture(tmp_path / "b.png", torch.zeros(2, 30, 3))
    assert many.shape[0] == few.shape[0]
