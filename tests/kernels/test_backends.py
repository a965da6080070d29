"""The table of backends: anybody's may be in it, and nothing compiles before it has to."""

import copy
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch

from draw.config.compute import BackendName
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import KernelUnavailableError
from draw.kernels import BACKENDS, choose
from draw.measure.bound import evaluate
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models.storage import load_model
from draw.training.finish import finish
from draw.training.start import resume, resumed_config, start
from running import TINY, TINY_MODEL, draw_command, image_set, on, with_compute, with_train
from toy_backend import Toy

SMALL = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=8, read_size=2, classes=3)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """A backend that somebody added, with a line at the end of the table."""
    toy = Toy()
    monkeypatch.setitem(BACKENDS, "toy", toy)
    return toy


@pytest.fixture
def preferred(monkeypatch: pytest.MonkeyPatch) -> Toy:
    """The same with its line at the beginning."""
    toy, others = Toy(), dict(BACKENDS)
    for name in others:
        monkeypatch.delitem(BACKENDS, name)
    for name, backend in {"toy": toy, **others}.items():
        monkeypatch.setitem(BACKENDS, name, backend)
    choose._note.cache_clear()
    return toy


def test_the_help_names_those_of_the_table() -> None:
    assert set(get_args(get_args(BackendName)[0])) == {"auto", *BACKENDS}


@pytest.mark.usefixtures("plain_pictures", "without_shape_checks")
def test_a_backend_of_somebodys_own_trains_measures_and_draws(toy: Toy, tmp_path: Path) -> None:
    run, (train, test) = tmp_path / "run", (image_set(8), image_set(4, "test"))
    config = with_train(with_compute(TINY, backend="toy"), steps=2)
    finish(start(config, run, train, test), test)
    written = json.loads((run / "run.json").read_text())
    assert written["config"]["compute"]["backend"] == "toy"
    assert written["made"]["compute"]["backend"] == "toy (as asked)"
    assert toy.calls["unroll"] >= 4, "two steps, a validation, a test"
    model = on("toy", load_model(str(run)).drawing)
    toy.calls.clear()
    evaluate(model, test.images, importance_samples=2)
    model.generate(2)
    model.reconstruct(torch.rand(2, 1, 6, 5))
    assert toy.calls["unroll"] >= 2
    assert toy.calls["trajectory"] == 2
    longer = with_train(with_compute(config, backend="reference"), steps=3)
    toy.calls.clear()
    resume(resumed_config(run, longer), run, train, test).fit()
    assert not toy.calls
    again = json.loads((run / "run.json").read_text())
    assert again["config"]["compute"]["backend"] == "reference"
    (resumed,) = again["made"]["resumed"]
    assert resumed["changes"]["compute.backend"] == ["toy", "reference"]
    assert resumed["compute"]["backend"] == "reference (as asked)"


def test_the_first_without_an_obstacle_runs(preferred: Toy, caplog) -> None:
    model, classifier = DRAW(TINY_MODEL), on("auto", Classifier(SMALL))
    assert str(model.choice) == "toy (counts what it computes)"
    model(torch.rand(2, 1, 6, 5))
    assert preferred.calls == {"unroll": 1}
    assert "toy" not in classifier.choice.reason, "nobody expects it of this kind"
    classifier.backend = "toy"
    with pytest.raises(KernelUnavailableError, match="models of kind draw, this one is of kind"):
        _ = classifier.choice
    preferred.in_the_way = "it is Sunday"
    with caplog.at_level(logging.WARNING, "draw"):
        for _ in range(2):
            assert "not toy: it is Sunday" in model.choice.reason
    assert caplog.text.count("it is Sunday") == 1
    with pytest.raises(KernelUnavailableError, match="the backend toy cannot run: it is Sunday"):
        on("toy", model).choice  # noqa: B018


def test_a_backend_for_another_device_is_not_asked(preferred: Toy, monkeypatch) -> None:
    monkeypatch.setattr(Toy, "devices", frozenset(("cuda",)))
    preferred.in_the_way = "never said"
    assert "toy" not in str(DRAW(TINY_MODEL).choice)
    with pytest.raises(KernelUnavailableError, match="it runs on cuda, the model is on cpu"):
        on("toy", DRAW(TINY_MODEL)).choice  # noqa: B018


def test_what_a_backend_keeps_of_a_model_is_not_its_copys(toy: Toy) -> None:
    model = on("toy", DRAW(TINY_MODEL))
    model.execution.kept["toy"] = object()
    other = copy.deepcopy(model)
    assert (other.backend, other.execution.kept) == ("toy", {})
    assert "toy" in model.execution.kept


# Nothing compiles before the first call that needs it


@pytest.fixture
def compiler(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only compiler of this computer, which writes down each call to this file, and fails."""
    calls, folder = tmp_path / "calls", tmp_path / "bin"
    folder.mkdir()
    script = folder / "g++"
    script.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexit 1\n')
    script.chmod(0o755)
    for name in ("clang++", "c++"):
        (folder / name).symlink_to(script)
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), os.environ["PATH"]]))
    return calls


QUICK: dict[str, Callable[[Path], object]] = {
    "making a DRAW": lambda _: DRAW(TINY_MODEL),
    "making a classifier": lambda _: Classifier(SMALL),
    "a model that must run on cpp": lambda _: on("cpp", DRAW(DRAWConfig(glimpses=2))),
    "loading a model": lambda _: load_model("mnist-small"),
    "draw models": lambda place: draw_command("models", cwd=place),
    "draw info": lambda place: draw_command("info", "mnist-small", cwd=place),
    "draw info of cpp": lambda place: draw_command("info", "mnist", "--backend", "cpp", cwd=place),
    "draw --help": lambda place: draw_command("--help", cwd=place),
    "draw train --help": lambda place: draw_command("train", "digits", "--help", cwd=place),
}


@pytest.mark.parametrize("way", QUICK)
def test_nothing_is_compiled_by(way: str, compiler: Path, tmp_path: Path) -> None:
    done = QUICK[way](tmp_path)
    assert not compiler.exists(), compiler.read_text()
    if "info" in way:
        assert "to be compiled at its first use" in done.stdout


def test_the_first_call_compiles(compiler: Path) -> None:
    model = DRAW(TINY_MODEL)
    assert "to be compiled" in model.forecast.reason
    assert not compiler.exists()
    model(torch.rand(2, 1, 6, 5))
    assert compiler.exists()
    assert "not cpp: " in model.choice.reason
    assert model.forecast == model.choice, "it is known now"


def test_a_forecast_of_what_is_compiled_is_the_choice(backend: str) -> None:
    model = on(backend, DRAW(TINY_MODEL))
    assert model.choice == model.forecast
