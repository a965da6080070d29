"""The examples of CONTRIBUTING.md: a file and a line in a table, and the part works."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import benchmarks.__main__ as all_benchmarks
from benchmarks import measure
from draw.attention import SAMPLERS
from draw.config.model import ClassifierConfig
from draw.data import KNOWN_SETS, KnownSet
from draw.errors import KernelUnavailableError
from draw.kernels import BACKENDS
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.parts.conditions import CONDITIONS
from draw.parts.likelihood import LIKELIHOODS
from draw.parts.priors import PRIORS
from draw.training.start import start
from running import TINY, draw_command, image_set, on, with_compute, with_train

ROOT = Path(__file__).parents[1]
SECTIONS = dict(
    section.split("\n", 1) for section in (ROOT / "CONTRIBUTING.md").read_text().split("\n## ")[1:]
)
PARTS = {
    "A window": ("attention", SAMPLERS, "SAMPLERS"),
    "A prior": ("prior", PRIORS, "PRIORS"),
    "A condition": ("condition", CONDITIONS, "CONDITIONS"),
    "A likelihood": ("likelihood", LIKELIHOODS, "LIKELIHOODS"),
}


def blocks(section: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", SECTIONS[section], re.DOTALL)


def added(section: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the example's file defines, and the entry of the table."""
    code, line = blocks(section)
    names: dict[str, Any] = {"__name__": "example"}
    exec(code, names)
    return names, eval(f"{{{line}}}", names)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("section", PARTS)
def test_a_part(section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    field, table, _ = PARTS[section]
    ((name, made),) = added(section)[1].items()
    assert name not in table
    monkeypatch.setitem(table, name, made)
    model = dataclasses.replace(TINY.model, classes=3, **{field: name})
    config = with_train(dataclasses.replace(TINY, model=model), steps=2)
    labels: Callable[[int], np.ndarray] = lambda count: np.arange(count, dtype=np.int64) % 3  # noqa: E731
    training, validation = (
        dataclasses.replace(image_set(count, split), labels=labels(count))
        for count, split in ((10, "train"), (7, "validation"))
    )
    start(config, tmp_path / "run", training, validation).fit()
    loaded = load_model(str(tmp_path / "run")).drawing
    assert getattr(loaded.config, field) == name
    own = loaded.attention.reader if field == "attention" else getattr(loaded, field)
    assert type(own).__module__ == "example"
    assert torch.isfinite(loaded.generate(2).canvases).all()


@pytest.mark.parametrize("section", PARTS)
def test_a_file_and_its_places_are_named(section: str) -> None:
    text = SECTIONS[section]
    new, table = re.findall(r"`(src/draw/[\w/]+\.py)`", text)[:2]
    assert not (ROOT / new).exists()
    assert f"in `{PARTS[section][2]}`" in re.sub(r"\s+", " ", text)
    assert f"{PARTS[section][2]}: dict[" in (ROOT / table).read_text()


@pytest.mark.usefixtures("without_shape_checks")
def test_a_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, line = added("A backend")
    ((name, backend),) = line.items()
    assert name not in BACKENDS
    assert name == backend.name
    assert not (ROOT / f"src/draw/kernels/{name}.py").exists()
    assert f"`src/draw/kernels/{name}.py`" in SECTIONS["A backend"]
    monkeypatch.setitem(BACKENDS, name, backend)
    unroll, calls = type(backend).unroll, []
    monkeypatch.setattr(
        type(backend), "unroll", lambda *given: calls.append(name) or unroll(*given)
    )
    config = with_train(with_compute(TINY, backend=name), steps=2)
    start(config, tmp_path / "run", image_set(10), image_set(7, "validation")).fit()
    assert calls
    model, images = DRAW(TINY.model), torch.rand(2, 1, 6, 5)
    noise, weights = model.noise_for(2, seed=0), list(model.parameters())
    found = [
        torch.autograd.grad(on(one, model)(images, noise).bound.sum(), weights)
        for one in (name, "reference")
    ]
    assert all(map(torch.equal, *found))
    mask = 2.0 * (torch.rand(2, model.config.hidden_size) < 0.5)
    told = [on(one, model)(images, noise, unit_mask=mask).bound for one in (name, "reference")]
    assert torch.equal(*told), "dropout of the decoder"
    assert torch.isfinite(on(name, model).generate(2).canvases).all()
    with pytest.raises(KernelUnavailableError, match="of kind draw"):
        on(name, Classifier(ClassifierConfig())).choice  # noqa: B018


def test_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = blocks("A data set")
    ((name, known),) = eval(f"{{{line}}}", {"KnownSet": KnownSet}).items()
    assert name not in KNOWN_SETS
    monkeypatch.setitem(KNOWN_SETS, name, known)
    listed = draw_command("data", "list", cwd=tmp_path).stdout
    assert name in listed
    assert known.description in listed


def test_a_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path)
    names, line = added("A benchmark")
    ((title, module),) = line.items()
    assert title not in all_benchmarks.SECTIONS
    assert f"`benchmarks/{module}.py`" in SECTIONS["A benchmark"]
    names["main"](batch=2, glimpses=1)
    (result,) = tmp_path.glob("reconstruct_*.json")
    assert json.loads(result.read_text())["images_per_second"]["bound"] > 0
