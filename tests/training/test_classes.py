"""As many classes as the images have, and which number is which."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import draw
from draw.config.data import DataConfig
from draw.config.presets import PRESETS
from draw.data import load_splits
from draw.data.images import class_names
from draw.errors import DrawError
from draw.models.kinds import make_model, run_config, task_for
from draw.training.classes import with_classes_of
from running import TINY_DIGITS, draw_command

pytestmark = pytest.mark.usefixtures("without_shape_checks")
FOLDERS = "a b", "cat", "dog", "owl"
NAMES = "classes: 0 a b, 1 cat, 2 dog, 3 owl"
SEEN = ("--data.size", "8", "--data.mode", "grey", "--data.augment", "--data.cache-dir", "cache")
SHORT = (*TINY_DIGITS, "--train.steps", "1", "--train.evaluate-every", "1")
TOLD = ("--model.condition", "class")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four classes."""
    place = tmp_path_factory.mktemp("classes")
    random = np.random.default_rng(0)
    for name in FOLDERS:
        (place / "set" / name).mkdir(parents=True)
        for k in range(12):
            pixels = random.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(place / "set" / name / f"{k:02}.png")
    return place


def trained(place: Path, preset: str, run: str, *more: str) -> tuple[int, str]:
    """Classes of a run that is begun, and what was said."""
    how = ("--data.path", "set", *SEEN, *SHORT, "--out", run, *more)
    done = draw_command("train", preset, *how, cwd=place)
    return run_config(place / run).model.classes, " ".join((done.stdout + done.stderr).split())


def test_a_model_of_own_pictures_has_their_classes(place: Path) -> None:
    classes, said = trained(place, "images", "own", *TOLD)
    assert classes == 4
    assert "--model.classes 4, as many as the images have" in said
    assert NAMES in said
    assert "is never seen" not in said
    draw_command("sample", "own", "--label", "3", "--n", "1", cwd=place)
    failed = draw_command("sample", "own", "--label", "4", "--n", "1", cwd=place, check=1)
    assert "expected labels from 0 to 3, got 4" in failed.stderr
    values = json.loads((place / "own" / "run.json").read_text())
    assert values["made"]["classes"] == dict(zip("0123", FOLDERS, strict=True))
    draw_command("export", "own", "--to", "exported", cwd=place)
    assert (
        "one of 4 (0 a b, 1 cat, 2 dog, 3 owl); the" in (place / "exported/README.md").read_text()
    )


def test_the_card_of_a_classifier_names_its_classes(place: Path) -> None:
    data = DataConfig("images", path=str(place / "set"), cache_dir=str(place / "cache"))
    splits = load_splits(data, progress=False)
    config = replace(PRESETS["mnist-convnet"](), data=data)
    remarks = task_for(config).remarks(make_model(config.model), splits.train)
    assert remarks == {"Classes": "0 a b, 1 cat, 2 dog, 3 owl"}


@pytest.mark.slow
def test_a_number_that_is_given_stays_and_is_said_to_be_too_large(place: Path) -> None:
    classes, said = trained(place, "images", "given", *TOLD, "--model.classes", "6")
    assert classes == 6
    assert "model.classes is 6, and the images have 4: a class from 4 on is never seen" in said
    assert "pass --model.classes 4" in said
    again = ("train", "--config", "given", *SEEN, "--data.path", "set", "--out", "again")
    done = draw_command(*again, cwd=place)
    assert "model.classes is 6" in done.stderr
    assert run_config(place / "again").model.classes == 6
    origin = (
        "--train.start-from",
        "given",
        "--out",
        "begun",
        "--data.path",
        "set",
        "--data.augment",
    )
    begun = draw_command("train", "images", *SHORT, *origin, *SEEN[-2:], cwd=place).stderr
    assert run_config(place / "begun").model.classes == 6
    assert "what the model makes of it is chance\n" in begun  # it cannot have another number


def test_pictures_without_classes_to_tell_are_as_before(place: Path) -> None:
    classes, said = trained(place, "images", "untold")
    assert classes == 10
    assert "classes" not in said


def test_a_preset_of_a_known_set_keeps_its_classes(place: Path) -> None:
    config = DataConfig("images", str(place / "set"), size=(8,), cache_dir=str(place / "cache"))
    splits = load_splits(config, progress=False)
    for name in ("mnist-class", "mnist-convnet", "cluttered"):
        preset = PRESETS[name]()
        assert with_classes_of(preset, splits, given=False) == preset
    own = PRESETS["mnist-convnet"]().with_changes({"data.name": "images"})
    assert with_classes_of(own, splits, given=False).model.classes == 4


def test_python_counts_labels_and_refuses_numbers_that_are_no_classes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    sizes = {"model.hidden_size": 4, "model.rows": 8, "model.columns": 8}
    cache = {"data.cache_dir": str(tmp_path / "cache")}
    short = {
        "train.steps": 1,
        "train.batch_size": 4,
        "train.evaluate_every": 1,
        "data.name": "images",
    }
    changes = {**sizes, **cache, **short}
    run = draw.train(
        "mnist-convnet", images, np.arange(40) % 3, out=tmp_path / "a", changes=changes
    )
    assert run.config.model.classes == 3
    with pytest.raises(DrawError, match="expected labels from 0 to 9"):
        draw.train("mnist-convnet", images, np.arange(40) * 50, out=tmp_path / "b", changes=changes)


def test_the_check_of_a_folder_says_which_number_is_which(place: Path) -> None:
    done = draw_command("data", "check", "--data.path", "set", *SEEN[:4], *SEEN[5:], cwd=place)
    assert NAMES in done.stdout


def test_names_that_are_the_numbers_are_not_named() -> None:
    assert class_names(None) == ""
    assert class_names(("0", "1", "2")) == ""
    assert class_names(("a", "b\n", "c"), most=2) == "0 a, 1 b\\n and 1 more"
