"""What a run says before it begins and after it is over: figures that hold, commands that work."""

import dataclasses
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.config.model import ClassifierConfig
from draw.config.presets import PRESETS
from draw.training.expectation import estimate, expectation, next_commands
from draw.training.pace import Pace
from draw.training.start import start
from running import TINY, TINY_DIGITS, draw_command, image_set, with_train


def last_commands(text: str) -> list[list[str]]:
    """The commands after the word "next" at the end of what a run says."""
    lines = [line[9:] for line in text[text.index("\nnext     ") + 1 :].splitlines()]
    return [shlex.split(line)[1:] for line in lines]


def test_the_commands_at_the_end_of_a_run_work(tmp_path: Path, plain_pictures: None) -> None:
    out = ("--train.steps", "2", "--out", "a run")
    done = draw_command("train", "digits", *TINY_DIGITS, *out, cwd=tmp_path)
    sample, animate, more = last_commands(done.stdout)
    draw_command(*sample, cwd=tmp_path)
    draw_command(*animate, cwd=tmp_path)
    assert (tmp_path / "drawing.gif").is_file()
    again = draw_command(*more, cwd=tmp_path).stdout
    assert "of 4 steps" in again
    assert last_commands(again)[-1][-1] == "8"


def test_of_a_classifier_there_are_others(tmp_path: Path) -> None:
    looks = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=4, read_size=2, classes=3)
    labels = np.arange(10) % 3
    images, few = (
        dataclasses.replace(image_set(10, split), labels=labels)
        for split in ("train", "validation")
    )
    trainer = start(dataclasses.replace(TINY, model=looks), tmp_path / "run", images, few)
    show, more = next_commands(trainer)
    assert show == f"draw glimpses {tmp_path / 'run'}"
    assert more == f"draw train --resume {tmp_path / 'run'} --train.steps 24"


@pytest.mark.parametrize(
    ("pace", "patience", "words"),
    [
        (Pace(0.02, 1.0), 10, "10 pictures, at most about 4 minutes: 10,000 steps of 64, looked "),
        (Pace(0.001, 1.0), None, "10 pictures, about 60 seconds: 10,000 steps"),
        (Pace(1.0, 1.0), None, "about 2.8 hours"),
    ],
)
def test_the_estimate_is_of_steps_and_evaluations(
    pace: Pace, patience: int | None, words: str
) -> None:
    config = with_train(PRESETS["images"](), patience=patience)
    assert words in estimate(config, image_set(10), pace)
    assert ("without a better one" in estimate(config, image_set(10), pace)) == bool(patience)


def test_what_would_do_better_is_named_where_it_is_open() -> None:
    config = PRESETS["images"]()
    few, many = image_set(10), image_set(2000)
    (line,) = expectation(config, few)
    assert line == (
        "expect soft shapes; 2,000 pictures would do better; starting from chars74k helps "
        "(--train.start-from chars74k)"
    )
    assert "pictures would" not in expectation(config, many)[0]
    grey = dataclasses.replace(config, model=dataclasses.replace(config.model, channels=1))
    begun = with_train(config, start_from="chars74k")
    assert all("starting" not in expectation(one, few)[0] for one in (grey, begun))


def test_a_run_on_own_pictures_says_what_to_expect_and_which_changes_it_chose(
    tmp_path: Path, plain_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draw.training.timing.SECONDS", 0.01)
    (tmp_path / "mine").mkdir()
    random = np.random.default_rng(0)
    for number in range(130):
        pixels = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "mine" / f"{number}.png")
    flags = ("--data.path", "mine", "--data.size", "8", "--data.mode", "colour")
    done = draw_command("train", "images", *flags, *TINY_DIGITS, "--train.steps", "1", cwd=tmp_path)
    assert re.search(r"104 pictures, at most about \d+ seconds: 1 steps of 8", done.stdout)
    assert "expect soft shapes; 2,000 pictures would do better" in done.stdout
    assert "--data.augment affine flip suits these pictures: mirrored ones" in done.stderr
    assert "changed a little (affine, flip)" in done.stdout
