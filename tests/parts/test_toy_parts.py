"""Whoever adds a part writes one file and one line in a table: it then works everywhere."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from draw.attention import ATTENTIONS
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.data import ImageSet
from draw.model.draw import DRAW
from draw.models.kinds import task_for
from draw.models.onnx import DRAWING_FILE
from draw.models.storage import load_model
from draw.parts.conditions import CONDITIONS
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.priors import PRIORS
from draw.studio import exploration, generation, reconstruction
from draw.studio.models import Catalogue, Shelf, describe
from draw.training.start import start
from running import TINY, TINY_DIGITS, draw_command, image_set, with_train
from toy_parts import Discretized, Halved, Parity, Wide

KINDS = {
    "attention": (ATTENTIONS, Halved),
    "prior": (PRIORS, Wide),
    "condition": (CONDITIONS, Parity),
    "likelihood": (LIKELIHOODS, Discretized),
}
TOYS = dict.fromkeys(KINDS, "toy")
TOLD = {"labels": np.array([7, 2])}


@pytest.fixture(scope="module", autouse=True)
def one_line_each() -> Iterator[None]:
    """Of each sort a part that the package does not have; `draw train digits` takes them all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ATTENTIONS, "toy", Halved)
        patch.setitem(PRIORS, "toy", Wide)
        patch.setitem(CONDITIONS, "toy", Parity)
        patch.setitem(LIKELIHOODS, "toy", Discretized)
        before = PRESETS["digits"]()

        def preset() -> Config:
            return dataclasses.replace(before, model=dataclasses.replace(before.model, **TOYS))

        patch.setitem(PRESETS, "digits", preset)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run `runs/toy` of a few steps."""
    place = tmp_path_factory.mktemp("toy")
    draw_command(
        "train", "digits", "--out", "runs/toy", *TINY_DIGITS, "--train.steps", "3",
        "--data.binarize", "none", "--data.cache-dir", "cache", cwd=place,
    )  # fmt: skip
    return place


@pytest.fixture
def loaded(place: Path, without_shape_checks: None) -> DRAW:
    model = load_model(str(place / "runs/toy")).drawing
    assert {field: getattr(model.config, field) for field in TOYS} == TOYS
    return model


def test_training_goes_on(place: Path) -> None:
    run = place / "runs/toy"
    draw_command("train", "--resume", "runs/toy", "--train.steps", "5", cwd=place)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert max(line["step"] for line in lines) == 5
    written = json.loads((run / "run.json").read_text())["config"]["model"]
    assert {field: written[field] for field in TOYS} == TOYS
    for picture in ("samples.png", "generation.gif", "reconstructions.png", "curves.png"):
        assert (run / picture).stat().st_size > 0


def test_the_toys_are_what_runs(loaded: DRAW) -> None:
    for field, (_, kind) in KINDS.items():
        assert isinstance(getattr(loaded, field), kind)
    assert loaded.choice.name == "reference"


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("field", KINDS)
def test_each_alone_learns_and_comes_back(field: str, tmp_path: Path) -> None:
    model = dataclasses.replace(TINY.model, rows=6, columns=4, **{field: "toy"})
    config = with_train(dataclasses.replace(TINY, model=model), steps=2)
    splits = [labelled(count, split) for count, split in ((10, "train"), (7, "validation"))]
    start(config, tmp_path / "run", *splits).fit()
    loaded = load_model(str(tmp_path / "run")).drawing
    assert isinstance(getattr(loaded, field), KINDS[field][1])
    assert (loaded.choice.name == "cpp") <= (field in ("likelihood", "condition"))
    before = task_for(config).make_model()
    moved = [
        name
        for (name, one), other in zip(loaded.named_parameters(), before.parameters(), strict=True)
        if name.startswith(field) and not torch.equal(one, other)
    ]
    assert moved


def labelled(count: int, split: str) -> ImageSet:
    found = image_set(count, split)
    labels = np.arange(count, dtype=np.int64) % 10
    return dataclasses.replace(found, images=found.images[..., :4], labels=labels)


def test_evaluation_and_importance_weighting(place: Path) -> None:
    draw_command(
        "evaluate", "runs/toy", "--importance-samples", "3", "--json", "found.json", cwd=place
    )
    found = json.loads((place / "found.json").read_text())
    assert found["importance_weighted"] <= found["bound"] + 5 * found["bound_standard_error"]
    assert "bits_per_dimension" in found


@pytest.mark.parametrize(
    "verb",
    [
        ("sample", "--n", "4", "--nearest", "--out", "samples.png"),
        ("animate", "--n", "2", "--out", "drawn.gif"),
        ("animate", "--n", "2", "--out", "drawn.png"),
        ("reconstruct", "--n", "2", "--out", "again.png"),
        ("reconstruct", "--n", "2", "--out", "again.gif"),
        ("info",),
    ],
    ids=lambda verb: f"{verb[0]} {verb[-1].partition('.')[2]}",
)
def test_verbs(place: Path, verb: tuple[str, ...]) -> None:
    said = draw_command(verb[0], "runs/toy", *verb[1:], cwd=place)
    assert said.stdout
    if "--out" in verb:
        assert (place / verb[-1]).stat().st_size > 0


@pytest.mark.parametrize("verb", [("sample", "out.png"), ("animate", "out.gif")])
def test_a_class_is_drawn(place: Path, verb: tuple[str, str]) -> None:
    arguments = (verb[0], "runs/toy", "--n", "2", "--label", "7", "--out", verb[1])
    draw_command(*arguments, cwd=place)
    context = draw_command(*arguments[:5], "10", *arguments[6:], cwd=place, check=1)
    assert "expected labels from 0 to 9, got 10" in context.stderr


@pytest.mark.parametrize("number", ["6", "7", "8", "11"])
def test_figures(place: Path, number: str) -> None:
    draw_command("figure", number, "runs/toy", "--out", f"figure-{number}.png", cwd=place)
    assert (place / f"figure-{number}.png").stat().st_size > 0


def test_save_and_load(loaded: DRAW, tmp_path: Path) -> None:
    loaded.save_pretrained(tmp_path)
    again = DRAW.from_pretrained(tmp_path)
    for one in (again, load_model(str(tmp_path)).drawing):
        assert torch.equal(one.generate(2, seed=1).canvases, loaded.generate(2, seed=1).canvases)


@pytest.fixture(scope="module")
def given(place: Path) -> Path:
    """The run's model as it is given away."""
    draw_command("export", "runs/toy", "--to", "given", "--onnx", cwd=place)
    return place / "given"


def test_export_with_card_and_onnx(given: Path, loaded: DRAW) -> None:
    again = load_model(str(given)).drawing
    noise = loaded.noise_for(2, 4)
    labels = torch.from_numpy(TOLD["labels"])
    drawn = loaded.generate(2, noise=noise, labels=labels)
    assert torch.equal(again.generate(2, noise=noise, labels=labels).canvases, drawn.canvases)
    session = onnxruntime.InferenceSession(
        (given / DRAWING_FILE).read_bytes(), providers=["CPUExecutionProvider"]
    )
    canvases = session.run(["canvases"], {"z": noise.numpy(), **TOLD})[0]
    np.testing.assert_allclose(canvases, drawn.canvases.numpy(), rtol=1e-4, atol=1e-3)
    card = (given / "README.md").read_text()
    for part in (loaded.attention, loaded.prior, loaded.condition):
        assert f": {part.description}" in card
    assert loaded.likelihood.title in card
    assert "one of 10; the figures are of images with their labels: -log p(x | class)." in card
    assert "labels = np.arange(9) % 10" in card
    snippet = card.partition("```python\n")[2].partition("```")[0]
    names: dict[str, object] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(given)
        exec(snippet, names)
    assert names["images"].shape == (9, 1, 28, 28)


@pytest.mark.usefixtures("loaded")
def test_studio(place: Path) -> None:
    shelf, name = Shelf(Catalogue(None, place / "runs")), "runs/toy"
    with shelf.use(name) as found:
        assert "; told whether it is odd" in describe(found)
    assert generation.classes(shelf, name) == 10
    asked = generation.request(name, 6, 1, 1.0, 7)
    *_, show = generation.generate(shelf, asked)
    assert sum(part["count"] for part in show.parts) == 6
    show.to_json()
    drawn = generation.trajectory(shelf, asked)
    assert drawn.canvases.shape[1] == 6
    exploration.interpolate_seeds(shelf, name, exploration.Ends(1, 2)).to_json()
    between = exploration.interpolate_images(shelf, name, 1, 2)
    assert all("class" in caption for caption in between.captions)
    exploration.change_step(shelf, name, 1, 2, 3).show.to_json()
    made = reconstruction.reconstruct(shelf, name, made_of_zeros())
    assert made.guess
    assert "told that the image is of class" in reconstruction.describe(made)
    assert not reconstruction.reconstruct(shelf, name, made_of_zeros(), label=3).guess


def made_of_zeros() -> np.ndarray:
    return np.zeros((1, 28, 28), np.uint8)
