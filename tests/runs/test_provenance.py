"""What a run says of how it came about."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from draw.runs import provenance
from draw.training.start import start
from running import TINY, image_set


def test_a_run_says_how_it_came_about(tmp_path: Path) -> None:
    start(TINY, tmp_path / "run", image_set(10), image_set(7, "validation"))
    made = json.loads((tmp_path / "run" / "run.json").read_text())["made"]
    assert made["versions"]["torch"] == torch.__version__
    threads = torch.get_num_threads()
    assert made["hardware"].endswith(", 1 thread" if threads == 1 else f", {threads} threads")
    assert made["command"]


@pytest.mark.parametrize("program", ["/usr/bin/draw", "/somewhere/src/draw/__main__.py"])
def test_the_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "train", "images", "--data.path", "my pictures"])
    assert provenance.command_line() == "draw train images --data.path 'my pictures'"


def test_the_commit_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = provenance.commit()
    if (Path(__file__).parents[2] / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{7,40}(-dirty)?|.*-g[0-9a-f]{7,}(-dirty)?", str(found))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "provenance.py"))
    assert provenance.commit() is None


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.commit() is None
