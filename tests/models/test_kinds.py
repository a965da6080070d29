"""A kind of models is a line in a table: what is added there works everywhere, as what it is."""

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from draw.config.compute import PLAIN
from draw.config.data import DataConfig
from draw.config.model import (
    FORMAT,
    ClassifierConfig,
    ConvDRAWConfig,
    DRAWConfig,
    ModelConfig,
    to_file,
)
from draw.config.presets import PRESETS
from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.data.load import load_splits
from draw.errors import DrawError
from draw.model.classifier import Classifier, ClassifierOutput
from draw.model.draw import DRAW
from draw.model.pretrained import WEIGHTS, Model, Pretrained
from draw.models import kinds
from draw.models.kinds import KINDS, Kind, check_loadable, kind_of, make_model, run_config, task_for
from draw.models.storage import export_model, load_model
from draw.parts.layers import Affine
from draw.studio.models import Catalogue
from draw.studio.observation import read
from draw.tasks import Classifying, Drawing, Looking, Task
from draw.training.finish import finish
from draw.training.start import resume, resumed_config, start
from running import TINY_MODEL, draw_command

SOURCE = Path(kinds.__file__).parents[1]


@dataclasses.dataclass(frozen=True)
class PlainConfig(ModelConfig):
    """A kind that is nothing like draw's own."""

    kind = "plain"
    classes: int = 2


class Plain(Model):
    def __init__(self, config: PlainConfig) -> None:
        super().__init__()
        self.config = config
        channels, rows, columns = config.image_shape
        self.answers = Affine(channels * rows * columns, config.classes)

    def forward(self, images: Float[Tensor, "batch channels rows columns"]) -> ClassifierOutput:
        logits = self.answers(images.flatten(1)).float()
        return ClassifierOutput(logits, logits[None], None)


def test_a_kind_whose_model_is_none_of_its_task_is_refused() -> None:
    """Or training would go well, and the pictures after it fail."""
    for task, base in ((Drawing, "DRAW"), (Looking, "Classifier")):
        with pytest.raises(DrawError, match=rf"to be a {base} or to extend it, .*; got Plain\."):
            Kind(PlainConfig, Plain, task)
    assert not Kind(PlainConfig, Plain, Classifying).draws


@dataclasses.dataclass(frozen=True)
class PaleConfig(DRAWConfig):
    """A kind with the very fields of DRAW's config, so that nothing but its name tells it."""

    kind = "pale"


class Pale(DRAW):
    def __init__(self, config: PaleConfig) -> None:
        super().__init__(config)
        self.paleness = nn.Parameter(torch.zeros(()))

    def initial_state(self, batch: int) -> Any:
        state = super().initial_state(batch)
        return state._replace(canvas=state.canvas + self.paleness)


TOYS = {
    "plain": (Kind(PlainConfig, Plain, Classifying), PlainConfig(rows=6, columns=6)),
    "pale": (
        Kind(PaleConfig, Pale, Drawing),
        PaleConfig(
            rows=6, columns=6, glimpses=2, hidden_size=6, latent_size=3, read_size=2, write_size=2
        ),
    ),
    "conv": (
        KINDS["conv"],
        ConvDRAWConfig(rows=6, columns=6, glimpses=2, hidden_size=18, latent_size=9, stride=2),
    ),
}


@pytest.fixture(params=["plain", pytest.param("pale", marks=pytest.mark.slow), "conv"])
def toy(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A run of a kind that has been registered in one line."""
    kind, model = TOYS[request.param]
    monkeypatch.setitem(KINDS, request.param, kind)
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for i in range(12):
            picture = random.integers(0, 99, (6, 6), dtype=np.uint8) + 150 * (i % 2)
            path = tmp_path / f"pictures/{part}/{i % 2}/{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture.astype(np.uint8)).save(path)
    data = DataConfig(
        name="images", path=str(tmp_path / "pictures"), size=(6,), mode="grey",
        cache_dir=str(tmp_path / "cache"),
    )  # fmt: skip
    train = TrainConfig(steps=2, batch_size=4, evaluate_every=1, log_every=1, learning_rate=0.01)
    config = Config(request.param, model, data, train, PLAIN)
    monkeypatch.setitem(PRESETS, request.param, lambda: config)
    return config


def is_it(model: nn.Module, config: Config) -> None:
    assert type(model) is KINDS[config.preset].model
    assert type(model.config) is type(config.model)


def test_a_kind_trains_resumes_and_is_given_away(toy: Config, tmp_path: Path) -> None:
    splits, run = load_splits(toy.data), tmp_path / "run"
    result = finish(start(toy, run, splits.train, splits.validation), splits.test)
    assert result is not None
    assert json.loads((run / "run.json").read_text())["config"]["model"]["kind"] == toy.preset
    assert run_config(run).model == toy.model
    longer = dataclasses.replace(toy, train=dataclasses.replace(toy.train, steps=4))
    trainer = resume(resumed_config(run, longer), run, splits.train, splits.validation)
    is_it(trainer.bare_model, toy)
    assert finish(trainer, splits.test) is not None
    for weights in ("best", "last"):
        is_it(load_model(str(run), weights).model, toy)
    stored = json.loads((run / "best/config.json").read_text())
    assert (stored["kind"], stored["format"]) == (toy.preset, FORMAT)
    is_it(load_model(str(run / "best")).model, toy)
    assert (
        read(tmp_path, f"{tmp_path.name}/run").task.score
        == KINDS[toy.preset].task(toy, toy.model, list).score
    )


def test_a_kind_has_every_verb(toy: Config, tmp_path: Path) -> None:
    draws, name = KINDS[toy.preset].draws, toy.preset
    draw_command("train", name, "--out", "run", cwd=tmp_path)
    draw_command("train", "--resume", "run", "--train.steps", "3", cwd=tmp_path)
    told = json.loads(draw_command("info", "run", "--json", "-", cwd=tmp_path).stdout)
    assert (told["kind"], told["is"]) == (name, type(make_model(toy.model)).__name__)
    assert ("backend" in told) == draws
    draw_command("figure", "11", "run", cwd=tmp_path)
    assert (tmp_path / "figure-11.png").exists()
    words = draw_command("export", "run", "--to", "given", cwd=tmp_path).stdout
    assert "given" in words
    card = (tmp_path / "given/README.md").read_text()
    assert f"A model that {'draws' if draws else 'classifies'} images of 6x6x1" in card
    assert ("![](generation.gif)" in card) == draws
    for picture in re.findall(r"!\[\]\((.*?)\)", card):
        assert (tmp_path / "given" / picture).exists()
    scores = {}
    for folder in ("run", "given"):
        said = draw_command(
            "evaluate", folder, "--data.path", "pictures", "--json", "-", cwd=tmp_path
        ).stdout
        scores[folder] = json.loads(said)["bound" if draws else "error"]
    assert scores["run"] == scores["given"]
    is_it(load_model(str(tmp_path / "given")).model, toy)
    sampled = draw_command("sample", "given", "--n", "2", cwd=tmp_path, check=None)
    assert (sampled.returncode == 0) == draws
    looked = draw_command("glimpses", "given", "--data.path", "pictures", cwd=tmp_path, check=None)
    assert looked.returncode == 1
    assert "expected a classifier with a window" in looked.stderr
    offered = Catalogue(None, tmp_path).choices()
    assert ("run" in {Path(name).name for name in offered}) == draws


def test_the_models_of_the_package_are_listed_beside_one_of_another_kind(
    toy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw_command("train", toy.preset, "--out", "run", cwd=tmp_path)
    draw_command("export", "run", "--to", "weights/toy", cwd=tmp_path)
    monkeypatch.setattr("draw.model.pretrained.WEIGHTS", tmp_path / "weights")
    listed = json.loads(draw_command("models", "--json", "-", cwd=tmp_path).stdout)
    assert [(one["name"], one["what"]) for one in listed] == [("toy", task_for(toy).what)]


def test_nothing_of_a_kind_that_is_gone_becomes_another(
    toy: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(toy.model)
    export_model(tmp_path / "exported", model, toy.data, {})
    saved = [tmp_path / "exported"]
    if isinstance(model, Pretrained):
        model.save_pretrained(tmp_path / "saved")
        is_it(load_model(str(tmp_path / "saved")).model, toy)
        is_it(type(model).from_pretrained(tmp_path / "saved"), toy)
        saved.append(tmp_path / "saved")
    monkeypatch.delitem(KINDS, toy.preset)
    for folder in saved:
        with pytest.raises(DrawError, match=r"'draw', 'classifier'( or|,) 'convnet'|outside draw"):
            load_model(str(folder))
        for ours in (DRAW, Classifier):
            with pytest.raises(DrawError, match=r"expected model\.kind to be|outside draw"):
                ours.from_pretrained(folder)
    for make in (make_model, kind_of, lambda one: task_for(dataclasses.replace(toy, model=one))):
        with pytest.raises(DrawError, match=rf"got {type(toy.model).__name__}; name the model"):
            make(toy.model)
    with pytest.raises(DrawError, match=r"or name it in draw\.models\.kinds\.KINDS"):
        check_loadable(model)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"kind": "cubist"},
            r"expected model\.kind to be 'draw'(, 'classifier', 'convnet' or 'conv')?, got",
        ),
        ({"kind": 3}, r"expected model\.kind to be text"),
        ({"kind": None}, r"expected model\.kind to be text"),
        ({"kind": "convnet"}, r"unknown ConvnetConfig field|kind to be 'draw', got 'convnet'"),
        ({"format": FORMAT + 1}, rf"of format {FORMAT} at most, got {FORMAT + 1}.*newer"),
        ({"format": "1"}, "expected format to be a whole number"),
    ],
)
def test_a_kind_or_format_that_is_not_known_is_refused(
    changes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    export_model(tmp_path, DRAW(TINY_MODEL), DataConfig(), {})
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values | changes))
    for load in (load_model, DRAW.from_pretrained):
        with pytest.raises(DrawError, match=says):
            load(str(tmp_path))


def test_another_kind_is_not_read_as_ones_own(tmp_path: Path) -> None:
    looks = Classifier(ClassifierConfig(rows=6, columns=6, glimpses=1, hidden_size=4, read_size=2))
    looks.save_pretrained(tmp_path)
    with pytest.raises(DrawError, match=r"expected model\.kind to be 'draw', got 'classifier'"):
        DRAW.from_pretrained(tmp_path)


BEFORE_KINDS = "chars74k", "mnist", "mnist-no-attention", "mnist-small"
"""Models of the package that were stored before kinds had names."""
CLASSIFIER_BEFORE_KINDS = {
    "rows": 100, "columns": 100, "channels": 1, "glimpses": 8, "hidden_size": 256,
    "read_size": 12, "classes": 10, "window_clip": 10.0, "kernel": "auto",
    "data": {
        "name": "cluttered-mnist", "path": None, "size": None, "mode": None, "fit": None,
        "binarize": "none", "bad_boxes": "refuse", "cache_dir": None,
    },
}  # fmt: skip
"""What a classifier's config.json held then."""


@pytest.mark.parametrize("name", [*BEFORE_KINDS, "cluttered"])
def test_what_was_stored_before_kinds_had_names_loads_as_before(name: str, tmp_path: Path) -> None:
    stored = WEIGHTS / name
    if name == "cluttered":
        stored = tmp_path
        stored.joinpath("config.json").write_text(json.dumps(CLASSIFIER_BEFORE_KINDS))
        shutil.copy(WEIGHTS / name / "model.safetensors", stored)
    values = json.loads((stored / "config.json").read_text())
    assert not {"kind", "format"} & values.keys()
    loaded = load_model(str(stored))
    expected = "classifier" if name == "cluttered" else "draw"
    assert loaded.model.config.kind == expected
    assert loaded.kind is KINDS[expected]
    assert values.pop("kernel") == "auto"  # how to run a model is no part of what it is
    del values["data"]
    assert to_file(loaded.model.config).items() >= values.items()


def test_the_table_and_the_configs_have_the_same_names() -> None:
    assert {kind.config.kind: kind for kind in KINDS.values()} == KINDS
    for name, kind in KINDS.items():
        config = kind.config()
        assert kind_of(config) is KINDS[name]
        task = task_for(Config("any", config))
        assert isinstance(task, Task)
        assert task.score == task.curves[0].field


CLASS = r"\b(DRAW|ConvDRAW|Classifier|Convnet)(Config)?\b"
LADDER = re.compile(
    rf"is(instance|subclass)\(.*{CLASS}|\bcase {CLASS}|\btype\(.*\) (is|==|in|!=)( not)? \(?{CLASS}"
    r"|(?<!\bdtype)\.kind\b.* (==|!=|in) ?[\"'(]"
)
ALLOWED = {
    "models/kinds.py": "the table",
}


def ladders() -> Iterator[tuple[str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        for line in path.read_text().splitlines():
            if LADDER.search(line):
                yield str(path.relative_to(SOURCE)), line.strip()


def test_no_kind_is_asked_for_outside_the_table() -> None:
    assert [found for found in ladders() if found[0] not in ALLOWED] == []


@pytest.mark.parametrize(
    "line",
    [
        "if isinstance(model, DRAW):", "case ConvDRAWConfig():",
        "if isinstance(self.config, DRAWConfig | ConvnetConfig):",
        "case ClassifierConfig():", "if issubclass(kind, Classifier):", "if type(model) is DRAW:",
        'if config.kind == "draw":', 'if loaded.model.config.kind in ("draw", "pale"):',
    ],
)  # fmt: skip
def test_the_search_finds_a_ladder(line: str) -> None:
    assert LADDER.search(line)
