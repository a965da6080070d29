"""A run that starts from another model: it has its sizes, says what differs, or is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from running import TINY_DIGITS, draw_command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on digits, and pictures."""
    place = tmp_path_factory.mktemp("origin")
    draw_command("train", "digits", *TINY_DIGITS, "--train.steps", "2", "--out", "first", cwd=place)
    (place / "pictures").mkdir()
    random = np.random.default_rng(0)
    for number in range(12):
        pixels = random.integers(0, 256, (30, 30), dtype=np.uint8)
        Image.fromarray(pixels).save(place / "pictures" / f"{number}.png")
    return place


FROM = ("--train.start-from", "first", "--train.steps", "1", "--precision", "fp32")


def told(place: Path, *arguments: str, check: int = 0) -> str:
    done = draw_command("train", *arguments, *FROM, cwd=place, check=check)
    return " ".join((done.stdout + done.stderr).split())


def model_of(run: Path) -> dict[str, object]:
    model: dict[str, object] = json.loads((run / "run.json").read_text())["config"]["model"]
    return model


def test_a_run_has_the_sizes_of_the_model_it_starts_from(place: Path) -> None:
    words = told(place, "digits", "--out", "second")
    assert model_of(place / "second") == model_of(place / "first")
    assert "starts from the weights of first, whose sizes it has: glimpses 2 (digits: 16)" in words
    assert "otherwise than there" not in words


def test_what_leaves_the_weights_may_differ_and_is_said(place: Path) -> None:
    words = told(place, "digits", "--out", "third", "--model.glimpses", "3")
    assert model_of(place / "third") == model_of(place / "first") | {"glimpses": 3}
    assert "otherwise than there: glimpses 3 (first: 2)" in words


def test_own_pictures_are_brought_to_the_size_and_mode_of_the_model(place: Path) -> None:
    told(place, "images", "--data.path", "pictures", "--out", "own", "--train.batch-size", "4")
    assert model_of(place / "own") == model_of(place / "first")
    data = json.loads((place / "own" / "run.json").read_text())["config"]["data"]
    assert (data["size"], data["mode"]) == ([28], "grey")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("digits", "--model.hidden-size", "9"), "expected model.hidden_size 8, got 9. Leave"),
        (
            ("images", "--data.path", "pictures", "--data.size", "12"),
            "expected model.rows (--data.size) 28, got 12, model.columns (--data.size) 28, got 12",
        ),
        (
            ("images", "--data.path", "pictures", "--data.mode", "colour"),
            "expected model.channels (--data.mode) 1, got 3",
        ),
        (("cluttered",), "expected a model like those of cluttered for train.start_from "),
    ],
)
def test_options_that_contradict_the_weights_are_refused(
    arguments: tuple[str, ...], expected: str, place: Path
) -> None:
    assert expected in told(place, *arguments, "--out", "none", check=1)
    assert not (place / "none").exists()
