"""Device, backend and precision on the command line: for every verb that runs a model."""

import json
from pathlib import Path

import pytest
import torch

from draw.cli import VERBS
from draw.config.compute import ComputeConfig
from draw.errors import DrawError
from draw.studio.models import Catalogue, Shelf
from running import TINY_DIGITS, draw_command

RUNS_NONE = {"models", "page"}
"""Verbs that run no model."""
FLAGS = "--device", "--backend", "--precision"
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this computer has a GPU")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run."""
    folder = tmp_path_factory.mktemp("compute")
    steps = ("--train.steps", "2", "--train.evaluate-every", "2")
    draw_command("train", "digits", "--out", "run", *TINY_DIGITS, *steps, cwd=folder)
    return folder


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_that_runs_a_model_has_the_flags(verb: str, tmp_path: Path) -> None:
    preset = ["digits"] if verb == "train" else []
    told = draw_command(verb, *preset, "--help", cwd=tmp_path).stdout
    for flag in FLAGS:
        assert (f"{flag} " in told) == (verb not in RUNS_NONE), flag


def bounds(place: Path, *flags: str) -> list[float]:
    done = draw_command("reconstruct", "run", "--n", "2", "--json", "-", *flags, cwd=place)
    return [image["bound"] for image in json.loads(done.stdout)["images"]]


def test_a_precision_has_its_effect(place: Path) -> None:
    exact, rounded = bounds(place), bounds(place, "--precision", "bf16")
    assert exact == bounds(place, "--precision", "fp32", "--device", "cpu")
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.05)
    assert bounds(place, "--backend", "reference") == pytest.approx(exact, rel=1e-5)


def test_a_measurement_says_how_it_was_made(place: Path) -> None:
    flags = ("--backend", "reference", "--precision", "bf16", "--device", "cpu")
    done = draw_command("evaluate", "run", "--json", "-", *flags, cwd=place)
    assert json.loads(done.stdout)["compute"] == {
        "device": "cpu", "backend": "reference (as asked)", "precision": "bf16 (as asked)",
    }  # fmt: skip
    told = json.loads(draw_command("info", "run", "--json", "-", *flags, cwd=place).stdout)
    assert (told["device"], told["backend"]) == ("cpu", "reference (as asked)")
    assert told["precision"] == "bf16 (as asked)"
    assert told["compute"] == {"device": "auto", "backend": "auto", "precision": "fp32"}


@without_gpu
@pytest.mark.parametrize(
    "command",
    [
        ("sample", "run"), ("evaluate", "run"), ("info", "run"), ("studio", "run"),
        ("figure", "6", "run"), ("compare", "run", "run"), ("export", "run", "--to", "given"),
        ("train", "digits", "--out", "new"), ("train", "--resume", "run"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_device_that_is_not_there_is_refused(command: tuple[str, ...], place: Path) -> None:
    steps = ("--train.steps", "3") if "--resume" in command else ()
    done = draw_command(*command, *steps, "--device", "cuda:7", cwd=place, check=1)
    assert "expected a GPU that is there (torch sees none), got cuda:7" in done.stderr
    assert not (place / "new").exists()
    assert not (place / "given").exists()


def test_a_backend_that_cannot_run_is_refused(place: Path) -> None:
    done = draw_command("sample", "run", "--backend", "graph", cwd=place, check=1)
    assert "the backend graph cannot run: it runs on cuda, the model is on cpu" in done.stderr


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("--model.kernel", "fused"), "--backend (what was fused is cpp on a CPU"),
        (("--model.kernel=auto",), "--backend"),
        (("--train.precision", "bf16"), "--precision"),
    ],
)
def test_the_flags_of_before_are_refused_by_the_new_ones(old, new: str, place: Path) -> None:
    for start in (["digits", "--out", "new"], ["--resume", "run"]):
        told = draw_command("train", *start, *old, cwd=place, check=1).stderr
        assert f"expected {new}" in told
        assert "which is its old name" in told
    assert not (place / "new").exists()


def test_figures_of_a_card_are_not_measured_in_16_bits(place: Path) -> None:
    flags = ("--to", "given", "--precision", "bf16")
    told = draw_command("export", "run", *flags, cwd=place, check=1).stderr
    assert "expected --precision fp32 or tf32" in told
    assert "--dtype" in told
    told = draw_command("export", "mnist", "--to", "given", "--device", "cpu", cwd=place, check=1)
    assert "expected a run folder for" in told.stderr
    assert not (place / "given").exists()


@pytest.mark.parametrize("flag", [("--device", "cpu"), ("--backend", "cpp")])
def test_a_figure_without_a_model_takes_none(flag: tuple[str, str], place: Path) -> None:
    told = draw_command("figure", "3", *flag, cwd=place, check=1).stderr
    assert f"expected {flag[0]} with figure 5, 6" in told


def test_the_studio_runs_models_so(place: Path) -> None:
    catalogue = Catalogue(str(place / "run"), place)
    shelf = Shelf(catalogue, compute=ComputeConfig("cpu", "reference", "bf16"))
    with shelf.use(next(iter(catalogue.choices()))) as loaded:
        assert str(loaded.drawing.choice) == "reference (as asked)"
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")
    with pytest.raises(DrawError, match="got tf32: tf32 is for GPUs"):
        Shelf(catalogue, compute=ComputeConfig("cpu", precision="tf32"))
