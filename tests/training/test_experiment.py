"""A run, its evaluation and its folder from Python, beside what the command line makes of them."""

import inspect
import json
import re
import shutil
import threading
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import draw
from draw import DRAW, DataConfig, Run
from draw.config.presets import PRESETS
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.pretrained import shipped_models
from draw.runs.metrics import read_metrics
from running import TINY, TINY_MODEL, draw_command

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 3
CHANGES = {
    "model.glimpses": 2, "model.hidden_size": 8, "model.latent_size": 3, "model.read_size": 2,
    "model.write_size": 2, "train.batch_size": 8, "train.log_every": 1, "train.steps": 2,
    "train.evaluate_every": 1, "compute.precision": "fp32",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache, and a finished run beside it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("draw.data.store.cache.cache_folder", lambda: home / "cache")
        draw.train("images", IMAGES, out=home / "run", changes=CHANGES)
    return home


@pytest.fixture
def cache(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, and a cache of images that is not the user's."""
    monkeypatch.setattr("draw.data.store.cache.cache_folder", lambda: home / "cache")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(home: Path, cache: Path) -> Run:
    shutil.copytree(home / "run", cache / "run")
    return Run("run")


def test_a_run_on_an_array_goes_on_and_is_measured_from_the_command_line(
    run: Run, tmp_path: Path, plain_pictures: None
) -> None:
    assert run.config.model.image_shape == (1, 6, 5)
    assert run.step == 2
    assert run.test is not None
    shown = draw_command("evaluate", "run", "--json", "found.json", cwd=tmp_path)
    assert json.loads((tmp_path / "found.json").read_text())["bound"] == run.test["bound"], shown
    draw_command("train", "--resume", "run", "--train.steps", "3", cwd=tmp_path)
    assert run.step == 3
    assert {"samples.png", "generation.gif"} < {path.name for path in run.pictures}
    assert "step 3 of 3" in repr(run)


def test_it_is_the_same_run_as_the_command_lines(
    run: Run, tmp_path: Path, plain_pictures: None
) -> None:
    np.savez(tmp_path / "pictures.npz", x=IMAGES)
    flags = [
        *(text for name, value in CHANGES.items() if not name.startswith("compute")
          for text in (f"--{name.replace('_', '-')}", str(value))),
        *("--precision", "fp32", "--data.size", "6", "5", "--data.mode", "grey"),
    ]  # fmt: skip
    draw_command(
        "train", "images", "--data.path", "pictures.npz", *flags, "--out", "other", cwd=tmp_path
    )
    for name, value in Run("other").model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), name


def test_evaluate_is_the_test_of_the_run(run: Run) -> None:
    assert run.test is not None
    for model in (run.model, run.folder, str(run.folder)):
        assert draw.evaluate(model).to_dict()["bound"] == run.test["bound"]


def test_every_form_of_images_has_the_same_bound(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "whole.npz", x_train=IMAGES, x_test=IMAGES)
    x = torch.from_numpy(IMAGES)
    expected = draw.evaluate(run.model, IMAGES).to_dict()["bound"]
    for form in (x, x[:, None].float() / 255, [*x], tmp_path / "whole.npz", "whole.npz"):
        assert draw.evaluate(run.model, form).to_dict()["bound"] == expected
    data = DataConfig("images", "whole.npz")
    assert draw.evaluate(run.model, data).to_dict()["bound"] == expected


def test_binarization_is_that_of_training_unless_asked(cache: Path) -> None:
    model = DRAW(TINY_MODEL)
    grey, drawn = (draw.evaluate(model, IMAGES, binarize=how) for how in ("none", "dynamic"))
    assert draw.evaluate(model, IMAGES).to_dict() == grey.to_dict() != drawn.to_dict()
    model.data = DataConfig(binarize="dynamic")
    assert draw.evaluate(model, IMAGES).to_dict() == drawn.to_dict()


@pytest.mark.parametrize(
    ("images", "options", "says"),
    [
        (IMAGES.astype(np.float32), {}, "divide 8-bit"),
        (IMAGES, {"labels": LABELS}, "expected no labels for this DRAW"),
        (IMAGES, {"batch_size": 0}, "batch_size"),
        (IMAGES, {"importance_samples": -1}, "importance_samples"),
        (IMAGES[:, 1:], {}, r"got 40 of \[1, 5, 5\]"),
        ("nowhere", {}, "there is no folder"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(cache: Path, images, options, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        draw.evaluate(DRAW(TINY_MODEL), images, **options)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "valid"}, "split to be 'train', 'validation' or 'test', got 'valid'"),
        ({"seed": None}, "seed to be a whole number of at least 0, got None"),
        ({"binarize": "static"}, "binarize to be None or 'none' or 'dynamic', got 'static'"),
    ],
)
def test_names_that_mean_nothing_are_refused(cache: Path, options, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        draw.evaluate(DRAW(TINY_MODEL), IMAGES, **options)


@pytest.mark.usefixtures("without_shape_checks")
def test_numbers_of_numpy_are_whole_ones(cache: Path) -> None:
    model, plain = DRAW(TINY_MODEL), {"seed": 2, "importance_samples": 3, "batch_size": 7}
    found = draw.evaluate(model, IMAGES, **{name: np.int64(n) for name, n in plain.items()})
    assert found.to_dict() == draw.evaluate(model, IMAGES, **plain).to_dict()
    with pytest.raises(DrawError, match=r"train\.steps.*got np\.int64\(4\); pass it with \.item"):
        draw.train(TINY, IMAGES, out="run", changes={"train.steps": np.int64(4)})


def test_a_classifier_is_trained_and_measured_with_labels(cache: Path, monkeypatch) -> None:
    monkeypatch.setattr("draw.tasks.classification.Looking.pictures", lambda *_: [])
    sizes = {"model.filters": 2, "model.filter_size": 3, "model.stride": 1}
    train = {name: value for name, value in CHANGES.items() if not name.startswith("model")}
    config = PRESETS["cluttered-convnet"]()
    changes = {**train, **sizes, "model.hidden_size": 4, "model.classes": 3, "data.name": "images"}
    monkeypatch.setattr("draw.tasks.classification.Classifying.pictures", lambda *_: [])
    run = draw.train(config, IMAGES, LABELS, out="looks", changes=changes)
    assert 0 <= draw.evaluate(run.model, IMAGES, LABELS).to_dict()["error"] <= 100
    assert "% wrong" in repr(run)
    with pytest.raises(DrawError, match="expected labelled images"):
        draw.evaluate(run.model, IMAGES)


def test_a_class_conditional_model_learns_the_labels(cache: Path, plain_pictures: None) -> None:
    told = {**CHANGES, "model.condition": "class", "model.classes": 3}
    with pytest.raises(DrawError, match="no labels for a model that is told none"):
        draw.train("images", IMAGES, LABELS, out="run", changes=CHANGES)
    assert not Path("run").exists()
    run = draw.train("images", IMAGES, LABELS, out="run", changes=told)
    assert run.model.config.condition == "class"


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("config", "options", "says"),
    [
        ("mnits", {}, "expected a preset .*got 'mnits' .did you mean mnist"),
        (None, {}, r"the name of a preset, or a config .*\(\), got None"),
        (PRESETS["digits"], {}, r"PRESETS\['mnist'\]\(\), got <function"),
        (TINY.model, {}, "a config .*got DRAWConfig"),
        (TINY, {"changes": [("train.steps", 1)]}, "changes by the names of fields"),
        (TINY, {"changes": {"train.stepz": 1}}, "got 'train.stepz' .did you mean train.steps"),
        (TINY, {"changes": {"train.steps": -1}}, "train.steps"),
        (TINY, {"changes": {"train.minutes": 5.0, "train.steps": 500}}, "minutes 5 or .*steps 500"),
        (TINY, {"labels": LABELS}, "expected images for the labels"),
        (TINY, {"images": "nowhere", "labels": LABELS}, "no labels with a folder"),
        (TINY, {"images": IMAGES.astype(float)}, "divide 8-bit"),
        (TINY, {"images": IMAGES, "changes": {"model.rows": 9}}, "expected images of 9x5x1"),
    ],
)
def test_what_cannot_be_trained_is_refused(cache: Path, config, options, says: str) -> None:
    with pytest.raises(DrawError, match=says):
        draw.train(config, out="run", **options)
    assert not Path("run").exists()


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("folder", [None, 3, b"run"])
def test_what_is_no_path_is_no_run(folder: Any) -> None:
    with pytest.raises(DrawError, match="expected the path of a run folder, got"):
        Run(folder)


def test_test_images_without_a_class_are_refused_before_the_training(cache: Path) -> None:
    told = {**CHANGES, "model.condition": "class", "model.classes": 3}
    images, labels = {"train": IMAGES, "test": IMAGES[:5]}, {"train": LABELS}
    words = r"labelled images for a model that is told the class \(model\.condition class\), got"
    with pytest.raises(DrawError, match=words):
        draw.train("images", images, labels, out="run", changes=told)
    assert not Path("run").exists()


def test_a_test_that_could_not_be_made_is_refused_by_the_command_line(
    run: Run, tmp_path: Path
) -> None:
    """Before anything is trained, in a new run and in one that goes on."""
    np.savez(tmp_path / "told.npz", x_train=IMAGES, y_train=LABELS, x_test=IMAGES)
    told = ("--model.condition", "class", "--model.classes", "3", "--data.path", "told.npz")
    shape = ("--data.size", "6", "5", "--data.mode", "grey")
    new = draw_command("train", "images", *told, *shape, "--out", "new", cwd=tmp_path, check=1)
    assert "expected labelled images" in new.stderr
    assert not (tmp_path / "new").exists()
    values = json.loads((run.folder / "run.json").read_text())
    values["config"]["model"] |= {"condition": "class", "classes": 3}
    (run.folder / "run.json").write_text(json.dumps(values))
    before = read_metrics(run.folder / "metrics.jsonl")
    more = ("--train.steps", "9", "--data.path", "told.npz")
    again = draw_command("train", "--resume", "run", *more, cwd=tmp_path, check=1)
    assert "expected labelled images" in again.stderr
    assert read_metrics(run.folder / "metrics.jsonl") == before


def test_a_run_that_exists_is_left_alone(run: Run) -> None:
    before = (run.folder / "run.json").read_bytes()
    with pytest.raises(DrawError, match="exists already"):
        draw.train("images", IMAGES, out=run.folder, changes=CHANGES)
    assert (run.folder / "run.json").read_bytes() == before


def test_a_run_can_be_trained_in_a_thread(cache: Path, plain_pictures: None) -> None:
    made: list[Run] = []
    options = {"out": "run", "changes": CHANGES}
    thread = threading.Thread(
        target=lambda: made.append(draw.train("images", IMAGES, **options))  # type: ignore[arg-type]
    )
    thread.start()
    thread.join()
    assert made[0].test is not None


def test_a_folder_of_pictures_needs_no_more(cache: Path, plain_pictures: None) -> None:
    folder = cache / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    run = draw.train("images", folder, out="run", changes=CHANGES)
    assert run.config.model.image_shape == (1, 6, 5)
    assert run.config.data.path == str(folder)


def test_a_run_is_told_in_a_line_and_shows_its_curves(run: Run) -> None:
    told = repr(run)
    assert re.fullmatch(
        r"Run\('run': draws images of 6x5x1 in 2 steps; step 2 of 2; "
        r"validation [\d.]+ nats; test [\d.]+ nats\)",
        told,
    )
    html = run._repr_html_()
    (content,) = re.findall(r'src="data:image/png;base64,([^"]*)"', html)
    assert Image.open(BytesIO(b64decode(content))).format == "PNG"
    assert "http" not in html
    (run.folder / "metrics.jsonl").unlink()
    assert "img" not in run._repr_html_()


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match="expected a run folder"):
        Run(tmp_path)


def test_load_takes_what_the_command_line_takes(run: Run, tmp_path: Path) -> None:
    for name in ("run", tmp_path / "run", Path("run") / "best", "mnist-small"):
        model = draw.load(name)
        assert type(model) is DRAW
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert type(draw.load("cluttered")) is Classifier
    assert draw.load("mnist-small").data == DataConfig("binarized_mnist", binarize="dynamic")


@pytest.mark.parametrize("name", [3, None, ""])
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(DrawError, match=f"expected the name of a model: .*; got {name!r}"):
        inspect.unwrap(draw.load)(name)  # as it is without the checks of these tests


@pytest.mark.parametrize("name", shipped_models())
def test_a_misspelt_name_is_answered_with_the_near_ones(
    name: str, no_network: None, cache: Path
) -> None:
    (cache / "runs" / "mine").mkdir(parents=True)
    (cache / "runs" / "mine" / "run.json").touch()
    for wrong, right in ((name[:-1], name), (name + "s", name), ("runs/mien", "runs/mine")):
        if wrong not in shipped_models():
            with pytest.raises(DrawError, match=rf"no folder {wrong} .did you mean {right}"):
                draw.load(wrong)
