"""The share of drawings of two digits that show two digits."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from draw.config.model import ConvnetConfig, DRAWConfig
from draw.data.images import ImageSet
from draw.data.in_memory import image_set
from draw.errors import DrawError
from draw.measure.accuracy import wilson_interval
from draw.measure.pair_share import SHARE_BELOW, alone, measure_pair_share
from draw.model.classifier import ClassifierOutput
from draw.model.convnet import Convnet
from draw.model.draw import DRAW
from draw.parts.state import Trajectory
from running import TINY_DIGITS, draw_command

SIDE = 60
PAIRS = DRAWConfig(
    rows=SIDE, columns=SIDE, glimpses=2, hidden_size=4, latent_size=3, read_size=2, write_size=3,
)  # fmt: skip
SINGLE = ConvnetConfig(rows=28, columns=28, filters=2, filter_size=5, stride=2, hidden_size=4)


def drawn(*strokes: tuple[int, int, int, int], ink: int = 255) -> np.ndarray:
    """White rectangles on black: upper row, left column, height, width of each."""
    canvas = np.zeros((SIDE, SIDE), dtype=np.uint8)
    for row, column, height, width in strokes:
        canvas[row : row + height, column : column + width] = ink
    return canvas


TALL, WIDE = (5, 8, 20, 4), (40, 30, 4, 18)
APART = drawn(TALL, WIDE)


class Sure(Convnet):
    """As sure as a digit is bright: of one with all pixels at 1 by 0.9."""

    def forward(self, images: Tensor) -> ClassifierOutput:
        probability = 0.9 * images.amax((1, 2, 3))
        logits = torch.stack([torch.logit(probability), torch.zeros_like(probability)], 1)
        return ClassifierOutput(logits, logits[None], None)


class Paints(DRAW):
    """Draws the pictures that it is given, in order, the brighter the higher the temperature."""

    pictures: Tensor

    def generate(
        self, n: int, *, noise: Tensor | None = None, temperature: float = 1.0, **_: Any
    ) -> Trajectory:
        made = temperature * self.pictures[self.painted : self.painted + n]
        self.painted += n
        return Trajectory(torch.logit(made, eps=1e-6)[None, :, None], None, None)


def painter(*pictures: np.ndarray) -> Paints:
    model = Paints(PAIRS)
    model.pictures, model.painted = torch.from_numpy(np.stack(pictures) / 255), 0
    return model


def data_set(*pictures: np.ndarray) -> ImageSet:
    return image_set(np.stack(pictures)[:, None])


def test_each_digit_is_put_into_the_middle_of_an_image_of_its_own() -> None:
    pictures = np.stack([APART, drawn(TALL), drawn((0, 0, 16, 2), WIDE)])
    found = alone(torch.from_numpy(pictures / 255.0)[:, None], 28, 28)
    assert found.shape == (2, 2, 28, 28)
    for digits, shapes in zip(found, ([(20, 4), (4, 18)], [(16, 2), (4, 18)]), strict=True):
        sizes = set()
        for digit in digits:
            at = digit.nonzero()
            sizes.add(tuple((at.amax(0) - at.amin(0) + 1).tolist()))
            assert digit.sum() == len(at), "nothing of the other one, nothing lost"
            assert (at.double().mean(0) - 14).abs().max() <= 1
        assert sizes == set(shapes)


def test_a_digit_near_the_other_is_cut_out_of_it() -> None:
    """Two strokes three pixels apart: of the grey edge of one nothing is on the other's image."""
    picture = drawn((5, 8, 20, 4), (5, 15, 20, 4)).astype(float) / 255
    picture[5:25, 12] = 0.3
    (pair,) = alone(torch.from_numpy(picture)[None, None], 28, 28)
    assert sorted(round(float(digit.sum()), 1) for digit in pair) == [80.0, 86.0]


def test_it_counts_pairs_of_which_the_classifier_is_sure_enough() -> None:
    bright, dim = APART, np.maximum(drawn(TALL), drawn(WIDE, ink=200))
    images = data_set(*(np.maximum(drawn(TALL), drawn(WIDE, ink=255 - i)) for i in range(50)))
    model = painter(bright, dim, drawn(TALL), bright, drawn(TALL, WIDE, (50, 2, 5, 5)), bright, dim)
    found = measure_pair_share(model, Sure(SINGLE), images, 7, batch_size=3)
    assert (found.drawings, found.apart, found.images, found.images_apart) == (7, 5, 50, 50)
    assert found.digits == 60
    low, high = wilson_interval(3, 5)
    assert (found.digits_low, found.digits_high) == pytest.approx((100 * low, 100 * high))
    # one number in fifty of the hundred digits, two images of the fifty, is below
    assert found.images_digits == pytest.approx(96)
    values = sorted([0.9] * 50 + [0.9 * (255 - i) / 255 for i in range(50)])
    assert found.least == pytest.approx(float(np.quantile(values, SHARE_BELOW)), abs=1e-6)
    assert json.loads(json.dumps(found.to_dict()))["digits"] == 60


def test_drawings_of_another_temperature_are_counted() -> None:
    images = data_set(APART, np.maximum(drawn(TALL), drawn(WIDE, ink=240)))
    shares = {
        temperature: measure_pair_share(
            painter(APART), Sure(SINGLE), images, 1, temperature=temperature
        )
        for temperature in (1.0, 0.9)
    }
    assert {one: share.temperature for one, share in shares.items()} == {1.0: 1.0, 0.9: 0.9}
    assert [share.digits for share in shares.values()] == [100, 0]


def test_without_a_drawing_of_two_pieces_nothing_is_claimed() -> None:
    found = measure_pair_share(painter(drawn(TALL)), Sure(SINGLE), data_set(APART), 1)
    assert (found.apart, found.digits, found.digits_low, found.digits_high) == (0, 0, 0, 100)


@pytest.mark.parametrize(
    ("images", "changes", "message"),
    [
        (data_set(drawn(TALL)), {}, "two digits, white on black, got .* none"),
        (image_set(np.zeros((2, 1, 28, 28), np.uint8)), {}, r"shape \(1, 60, 60\), got \(1, 28"),
        (data_set(APART), {"rows": SIDE}, r"smaller .* got .*\(1, 60, 28\)"),
        (data_set(APART), {"channels": 3}, r"grey .* got .*\(3, 28, 28\)"),
    ],
)
def test_what_does_not_fit_is_refused(
    images: ImageSet, changes: dict[str, int], message: str
) -> None:
    single = dataclasses.replace(SINGLE, **changes)
    with pytest.raises(DrawError, match=message):
        measure_pair_share(painter(APART), Convnet(single), images, 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two digits, which are strokes, and a classifier of single ones."""
    place = tmp_path_factory.mktemp("pairs")
    (place / "strokes").mkdir()
    for i in range(60):
        stroke = Image.fromarray(np.full((20, 5), 196 + i, np.uint8))
        stroke.save(place / "strokes" / f"{i:02}.png")
    shared = ("--train.steps", "1", "--data.cache-dir", "cache", "--precision", "fp32")
    own = ("--data.path", "strokes", *TINY_DIGITS)
    draw_command("train", "two-digits", "--out", "two", *own, *shared, cwd=place)
    small = ("--model.filters", "2", "--model.stride", "6", "--data.name", "digits")
    draw_command("train", "mnist-convnet", "--out", "judge", *small, *shared, cwd=place)
    return place


def test_the_verb(place: Path) -> None:
    said = draw_command(
        "judge", "two", "judge", "--n", "3", "--temperature", "0.5", "--json", "a.json", cwd=place
    )
    found = json.loads((place / "a.json").read_text())
    assert (found["drawings"], found["apart"]) == (3, 0), "it has learned nothing"
    assert 0 < found["images_apart"] <= found["images"] == 6
    assert "strokes" in found["data"]
    assert found["split"] == "test"
    assert found["classifier"]["model"] == "judge/best/model.safetensors"
    assert f"{100 * found['least']:.2f} %" in said.stdout
    assert found["temperature"] == 0.5
    assert "temperature 0.5" in said.stdout


def test_guidance_is_refused_where_no_class_is_told(place: Path) -> None:
    failed = draw_command("judge", "two", "judge", "--guidance", "2", cwd=place, check=1)
    assert re.search(
        r"expected no --guidance for two\S*, which is told no class, got 2;", failed.stderr
    )
