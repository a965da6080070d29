"""Where plain loops multiply for the compiled kernel, it is measured before it is preferred."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from draw.config.model import ClassifierConfig
from draw.kernels.cpp import build, speed
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from running import TINY_MODEL, on

pytestmark = pytest.mark.parametrize("backend", ["cpp"], indirect=True)
SMALL = ClassifierConfig(rows=6, columns=5, glimpses=2, hidden_size=8, read_size=2, classes=3)


@pytest.fixture
def plain_loops(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[list[str]]:
    """A build of torch without micro-kernels, and nothing measured; which is measured is noted."""
    measured: list[str] = []
    library, name, _ = build.load()
    monkeypatch.setattr(build, "_outcome", lambda: build.CompiledKernel(library, name, frozenset()))
    monkeypatch.setattr(build, "is_settled", lambda: True)
    monkeypatch.setattr(speed, "_known", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def seconds(contract, base, config, bf16) -> tuple[float, float]:
        measured.append(f"{base.__name__} {bf16}")
        return 2.0, 1.0 if bf16 else 5.0

    monkeypatch.setattr(speed, "_seconds", seconds)
    library.draw_products(None, None, None)
    yield measured
    build.hand_over_products(library)


def test_where_the_micro_kernels_are_nothing_is_measured(backend: str, monkeypatch) -> None:
    if "fp32" not in build.load().fast:
        pytest.skip("this build of torch has none")
    monkeypatch.setattr(speed, "_seconds", None)
    assert str(DRAW(TINY_MODEL).choice) == "cpp (C++, compiled for this processor)"


def test_the_faster_one_is_preferred_and_the_ratio_is_said(plain_loops: list[str]) -> None:
    model = DRAW(TINY_MODEL)
    assert model.choice.name == "cpp"
    assert "2.5 times as fast as the reference" in model.choice.reason
    with torch.autocast("cpu", torch.bfloat16):
        assert model.choice.name == "reference"
        assert "not cpp: plain loops in the place" in model.choice.reason
        assert "0.5 times as fast as the reference" in model.choice.reason
        assert on("cpp", DRAW(TINY_MODEL)).choice.name == "cpp", "it was asked for"
    assert "2.5 times" in Classifier(SMALL).choice.reason
    assert plain_loops == ["DRAW False", "DRAW True", "Classifier False"]


def test_what_was_measured_is_kept_and_seen_to_be_whole(
    plain_loops: list[str], tmp_path: Path, caplog
) -> None:
    model = DRAW(TINY_MODEL)
    for _ in range(2):
        speed._known.clear()
        assert model.choice.name == "cpp"
    assert plain_loops == ["DRAW False"]
    (file,) = (tmp_path / "draw/kernels").glob("speed-*.json")
    assert json.loads(file.read_text())["ratio"] == 2.5
    assert file.stat().st_mode & 0o077 == 0
    file.write_text('{"ratio": 0.01}')
    speed._known.clear()
    with caplog.at_level(logging.WARNING, "draw"):
        assert model.choice.name == "cpp"
    assert "its SHA-256 is not the one beside it; the backend cpp is measured anew" in caplog.text
    assert len(plain_loops) == 2


def test_both_are_timed_with_the_models_own_sizes(backend: str, monkeypatch) -> None:
    seen = []
    numbers = speed.trial_numbers

    def note(contract, compute, model, inputs):
        seen.append((compute is contract.kernel, model.config, len(inputs[0])))
        return numbers(contract, compute, model, inputs)

    monkeypatch.setattr(speed, "trial_numbers", note)
    model = DRAW(TINY_MODEL)
    from draw.kernels.cpp.unroll import CONTRACT

    kernel, reference = speed._seconds(CONTRACT, DRAW, model.config, False)
    assert kernel > 0
    assert reference > 0
    turns = (1 + speed.ROUNDS) * [True, False]
    assert seen == [(which, TINY_MODEL, speed.BATCH) for which in turns]
