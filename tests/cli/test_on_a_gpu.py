"""Every verb with everything on a GPU: nothing of the host's may meet the device's."""

import json
from pathlib import Path

import pytest
import torch

from running import TINY_DIGITS, TINY_WITHOUT_WINDOWS, draw_command

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

STEPS = "--train.steps", "4", "--train.evaluate-every", "2"
PARTS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "told": ("--model.condition", "class", "--model.label-dropout", "0.5"),
    "other": ("--model.prior", "learned", "--model.attention", "rotated"),
    "without": ("--model.attention", "none", "--train.decoder-dropout", "0.2"),
    "moved": ("--data.augment", "affine"),
    "reference": ("--backend", "reference"),
}
VERBS: dict[str, tuple[str, ...]] = {
    "sample": ("sample", "plain", "--nearest"),
    "sample a class": ("sample", "told", "--label", "7", "--guidance", "1.5"),
    "sample, other parts": ("sample", "other"),
    "reconstruct": ("reconstruct", "plain"),
    "animate": ("animate", "plain", "--out", "a.gif"),
    "complete": (
        "complete",
        "plain",
        "plain/samples.png",
        "--mask",
        "left",
        "--particles",
        "8",
        "--n",
        "2",
    ),
    "evaluate": ("evaluate", "plain", "--images", "20", "--importance-samples", "3"),
    "refine": ("evaluate", "plain", "--images", "4", "--refine", "2"),
    "evaluate a class": ("evaluate", "told", "--images", "20"),
    "compare": ("compare", "plain", "without"),
    "figure": ("figure", "6", "plain"),
    "export": ("export", "plain", "--to", "exported"),
    "info": ("info", "plain"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for runs."""
    return tmp_path_factory.mktemp("gpu")


def trained(run: str, place: Path) -> Path:
    """A run that was trained to its end on the GPU, once."""
    if not (place / run).exists():
        flags = TINY_WITHOUT_WINDOWS if run == "without" else TINY_DIGITS
        draw_command("train", "digits", *flags, *STEPS, *PARTS[run], "--out", run, cwd=place)
    return place / run


@pytest.mark.parametrize("run", PARTS)
def test_a_run_says_that_it_was_there(run: str, place: Path) -> None:
    made = json.loads((trained(run, place) / "run.json").read_text())["made"]
    assert made["compute"]["device"].startswith("cuda"), made["compute"]
    assert made["compute"]["noise"] == "philox"
    assert (place / run / "curves.png").exists(), "the last of its pictures"


def test_a_run_goes_on(place: Path) -> None:
    trained("plain", place)
    draw_command("train", "--resume", "plain", "--train.steps", "6", cwd=place)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_runs(verb: str, place: Path) -> None:
    for run in PARTS.keys() & set(VERBS[verb]):
        trained(run, place)
    draw_command(*VERBS[verb], cwd=place)
