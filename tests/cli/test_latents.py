"""draw latents writes what the encoder makes of a split, the same as from Python."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import draw
from running import TINY_DIGITS, draw_command


def test_the_verb_writes_what_python_gives(
    tmp_path: Path, plain_pictures: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draw.data.store.cache.cache_folder", lambda: tmp_path / "cache")
    steps = ("--train.steps", "1", "--train.evaluate-every", "1")
    draw_command("train", "digits", "--out", "run", *TINY_DIGITS, *steps, cwd=tmp_path)
    flags = ("--batch-size", "50", "--seed", "2", "--out", "all.safetensors", "--json", "-")
    told = json.loads(draw_command("latents", "run", *flags, cwd=tmp_path).stdout)
    found = load_file(tmp_path / "all.safetensors")
    assert found["mu"].shape == (told["images"], 2, 3)
    assert told["kl_per_glimpse"] == pytest.approx(found["kl"].mean(0).tolist())
    expected = draw.load(tmp_path / "run").latents(seed=2)  # of its own test images
    for name, value in expected._asdict().items():
        torch.testing.assert_close(found[name], value)
    draw_command("latents", "run", "--images", "3", cwd=tmp_path)
    assert load_file(tmp_path / "latents.safetensors")["z"].shape == (3, 2, 3)


def test_a_classifier_has_none(tmp_path: Path) -> None:
    done = draw_command("latents", "cluttered", cwd=tmp_path, check=1)
    assert "expected a model that draws" in done.stderr
