"""Every file of a run folder damaged in every way: each verb works, or says in one line why not."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints
from draw.studio import observation
from draw.studio.models import Catalogue, Shelf
from running import TINY_DIGITS, draw_command

FILES = (
    "run.json", "metrics.jsonl", "checkpoints/step-00000002.safetensors",
    "checkpoints/step-00000003.safetensors", "best/config.json", "best/model.safetensors",
    "samples/step-00000002.png", "samples.png", "curves.png", "tensorboard/events",
)  # fmt: skip
FOLDERS = "checkpoints", "best", "samples", "tensorboard"
TRUTHS = (
    "run.json",
    "metrics.jsonl",
    "checkpoints/step-00000003.safetensors",
    "best/model.safetensors",
)
"""What a run cannot be made again without: damage to other files is for the slow tests."""


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def replaced(by: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        by(path)

    return damage


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": replaced(lambda path: None),
    "empty": replaced(lambda path: path.write_bytes(b"")),
    "half": halve,
    "a byte flipped": flip,
    "a folder": replaced(lambda path: (path / "inner").mkdir(parents=True)),
    "a dangling link": replaced(lambda path: path.symlink_to(path.parent / "nowhere")),
    "a link to itself": replaced(lambda path: path.symlink_to(path)),
    "a pipe": replaced(os.mkfifo),
}
OFTEN = "half", "a byte flipped", "a folder", "a pipe"
CASES = [
    pytest.param(name, damage, marks=() if name in TRUTHS and damage in OFTEN else pytest.mark.slow)
    for names, damages in ((FILES, DAMAGES), (FOLDERS, set(DAMAGES) - {"half", "a byte flipped"}))
    for name in names
    for damage in sorted(damages)
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run and its images; each test goes on with a copy for a step."""
    place = tmp_path_factory.mktemp("damaged")
    steps = ("--train.steps", "3", "--train.evaluate-every", "2", "--train.log-every", "1")
    every = ("--train.checkpoint-minutes", "1e-9", "--train.keep-checkpoints", "2")
    cache = ("--data.cache-dir", str(place / "cache"))
    draw_command(
        "train", "digits", "--out", "runs/a", *TINY_DIGITS, *steps, *every, *cache, cwd=place
    )
    (event,) = (place / "runs/a/tensorboard").iterdir()
    event.rename(event.with_name("events"))
    return place


@pytest.fixture
def place(whole: Path, tmp_path: Path) -> Iterator[Path]:
    shutil.copytree(whole / "runs", tmp_path / "runs")
    yield tmp_path
    shutil.rmtree(tmp_path / "runs")


def told(place: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and words of a verb that has to work, or to say in one line why it does not."""
    done = draw_command(*arguments, cwd=place, check=None)
    said = [line for line in done.stderr.splitlines() if line.startswith("draw: ")]
    assert (done.returncode, len(said)) in ((0, 0), (1, 1)), done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def look_at(place: Path) -> None:
    """What the studio reads of a run, and of its model."""
    observation.stamp(place / "runs", "runs/a")
    with suppress(DrawError):
        run = observation.read(place / "runs", "runs/a")
        assert observation.panels([run])
        assert observation.facts(run)
        assert observation.settings([run])
        observation.picture_of(run)
    shelf = Shelf(Catalogue(None, place / "runs"))
    with suppress(DrawError), shelf.use("runs/a") as loaded:
        loaded.drawing.generate(1)


@pytest.mark.usefixtures("plain_pictures", "without_shape_checks")
@pytest.mark.parametrize(("name", "damage"), CASES)
def test_a_damaged_file_of_a_run_is_done_without_or_told(
    place: Path, name: str, damage: str
) -> None:
    run, path = place / "runs" / "a", place / "runs" / "a" / name
    DAMAGES[damage](path)
    for weights in ("best", "last"):
        told(place, "sample", "runs/a", "--n", "1", "--weights", weights, "--out", "s.png")
    told(place, "evaluate", "runs/a", "--split", "validation")
    told(place, "figure", "11", "runs/a", "--out", "c.png")
    look_at(place)
    longer = ("--train.steps", "4")
    status, words = told(place, "train", "--resume", "runs/a", *longer)
    if status == 0:
        assert checkpoints(run)[-1].name == "step-00000004.safetensors"
        assert "test bound" in words
        assert "all of its 4 steps" in told(place, "train", "--resume", "runs/a", *longer)[1]
