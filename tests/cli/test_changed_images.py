"""Runs whose images were changed since: which split is measured, and what is said of it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import draw
from draw.config.compute import PLAIN
from draw.runs.fingerprints import fingerprints_of
from draw.runs.paths import RUN_FILE
from draw.studio.folders import run_folders
from draw.studio.image_source import CHANGE_NOTE, examples, training_images
from draw.studio.models import Catalogue, Shelf
from draw.studio.observation import read
from draw.studio.run_comparison import compare_runs
from running import TINY_DIGITS, draw_command

pytestmark = pytest.mark.usefixtures("without_shape_checks")
TAIL = ("--data.size", "8", "--data.mode", "grey", "--data.augment", "--data.cache-dir", "cache")


def pictures(folder: Path, count: int = 40) -> None:
    random = np.random.default_rng(count)
    folder.mkdir()
    for k in range(count):
        pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02}.png")


def trained(place: Path, folder: str, run: str, *more: str) -> None:
    how = (*TINY_DIGITS, "--train.steps", "2", "--train.evaluate-every", "1", *TAIL, *more)
    draw_command("train", "images", "--data.path", folder, *how, "--out", run, cwd=place)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on pictures, some of which were taken away after the first, with a copy of all."""
    place = tmp_path_factory.mktemp("changed")
    pictures(place / "all")
    shutil.copytree(place / "all", place / "some")
    trained(place, "some", "runs/before")
    shutil.copytree(place / "runs" / "before", place / "old")
    values = json.loads((place / "old" / RUN_FILE).read_text())
    del values["made"]["images"], values["sha256"]
    (place / "old" / RUN_FILE).write_text(json.dumps(values))
    for k in range(8):
        (place / "some" / f"{k:02}.png").unlink()
    trained(place, "some", "runs/after", "--train.seed", "1")
    return place


def said(place: Path, *command: str, check: int | None = 0) -> str:
    """All words of a command, on one line."""
    done = draw_command(*command, cwd=place, check=check)
    return " ".join((done.stdout + done.stderr).split())


VERBS = [
    ("evaluate", "{}"),
    ("compare", "{}", "{}"),
    ("sample", "{}", "--nearest", "--n", "4"),
    ("figure", "6", "{}", "--n", "4"),
    ("reconstruct", "{}", "--n", "2"),
    ("latents", "{}"),
]


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_every_verb_says_that_a_runs_own_images_are_others_now(
    place: Path, verb: tuple[str, ...]
) -> None:
    words = [one.format("runs/before") for one in verb]
    told = said(place, *words)
    split = "train" if verb[0] in ("sample", "figure") else "test"
    assert (
        f"expected the {split} images that there were when runs/before/best/model.safetensors was"
        in told
    )
    assert "it may have been trained on some of these; put back what was there" in told
    named = [*words, "--data.path", "some"]
    assert "images that there were when" not in said(
        place, *named
    )  # somebody asks for these very images
    assert "images that there were when" not in said(
        place, *(one.format("runs/after") for one in verb)
    )


def test_a_model_beside_the_first_may_have_learned_from_its_test_images(place: Path) -> None:
    told = said(place, "compare", "runs/after", "runs/before")
    assert told.count("images that there were when") == 1
    assert "expected the test images that there were when runs/before/" in told


def test_a_run_without_fingerprints_is_told_apart_by_its_checkpoint(place: Path) -> None:
    assert list(fingerprints_of(place / "old")) == ["train"]
    assert "expected the train images that there were when old/best/" in said(
        place, "evaluate", "old"
    )


def test_no_card_is_written_with_figures_of_other_images(place: Path) -> None:
    told = said(place, "export", "runs/before", "--to", "given", check=1)
    assert "expected the train images that there were when runs/before was trained" in told
    assert not (place / "given").exists()
    moved = said(place, "export", "runs/before", "--to", "moved", "--data.path", "all")
    assert "images that there were when" not in moved
    other = said(place, "export", "runs/before", "--to", "other", "--data.path", "some")
    assert "expected the train images that there were when runs/before was trained" in other


def test_python_says_it_too(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = draw.load(place / "runs" / "before")
    draw.evaluate(model)
    assert "expected the test images that there were when the model was trained" in caplog.text
    caplog.clear()
    draw.evaluate(model, place / "some")
    draw.evaluate(place / "runs" / "after")
    assert "images that there were when" not in caplog.text


def test_the_studio_says_it_too(place: Path) -> None:
    shelf = Shelf(Catalogue(None, place / "runs"))
    for name, changed in (("before", True), ("after", False)):
        with shelf.use(f"runs/{name}") as loaded:
            for found in (examples(loaded), training_images(loaded)):
                assert found.note.endswith(CHANGE_NOTE) == changed
    runs = [read(place / "runs", name) for name in sorted(run_folders(place / "runs"))]
    told = compare_runs(runs[0], runs[1], PLAIN)
    assert told.count("images that there were when") == 1


def test_a_run_that_goes_on_with_another_test_split_says_so(tmp_path: Path) -> None:
    pictures(tmp_path / "set")
    (tmp_path / "test").mkdir()
    for k in range(9):
        shutil.move(tmp_path / "set" / f"{k:02}.png", tmp_path / "test")
    for name, to in (("set", "data/train"), ("test", "data/test")):
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.move(tmp_path / name, tmp_path / to)
    trained(tmp_path, "data", "run")
    (tmp_path / "data" / "test" / "03.png").unlink()
    told = said(tmp_path, "train", "--resume", "run", "--train.steps", "3")
    assert "expected the test images that there were when run was trained" in told
    assert "expected the validation images" not in told
    assert "expected the test images" in said(tmp_path, "evaluate", "run")  # still not the run's
    assert "images that there were when" not in said(
        tmp_path, "evaluate", "run", "--split", "validation"
    )


def test_a_run_that_began_anew_is_of_the_images_of_then(place: Path) -> None:
    """It was stopped before its first checkpoint, and resumed when there were others."""
    shutil.copytree(place / "runs" / "before", place / "anew")
    values = json.loads((place / "anew" / RUN_FILE).read_text())
    others = fingerprints_of(place / "runs" / "after")
    values["made"]["resumed"] = [
        {"step": 0, "changes": {}, "images": others},
        {"step": 1, "changes": {}, "images": {}},
    ]
    del values["sha256"]
    (place / "anew" / RUN_FILE).write_text(json.dumps(values))
    assert fingerprints_of(place / "anew") == others != fingerprints_of(place / "runs" / "before")


@pytest.mark.slow
def test_weights_of_a_run_on_the_folder_before_are_told_of(place: Path) -> None:
    """What this run holds out that one may have been trained on."""
    how = ("train", "images", "--data.path", "some", *TINY_DIGITS, *TAIL, "--train.steps", "2")
    for name, changed in (("before", True), ("after", False)):
        told = said(place, *how, "--train.start-from", f"runs/{name}", "--out", f"from-{name}")
        words = f"expected the test images that there were when runs/{name} was trained"
        assert (words in told) == changed
