"""What the command line says to somebody who does not know it: a screen, and near names."""

import re
from pathlib import Path

import pytest

import draw
from draw.cli import DATA_VERBS, VERBS
from draw.errors import did_you_mean
from running import draw_command

ROWS, COLUMNS = 24, 80


@pytest.mark.parametrize(
    ("arguments", "verbs"),
    [([], [*VERBS, "data"]), (["data"], DATA_VERBS)],
    ids=["draw", "draw data"],
)
def test_the_first_page_names_every_verb_on_one_screen(
    arguments: list[str], verbs: list[str], tmp_path: Path
) -> None:
    pages = [
        draw_command(*arguments, *more, cwd=tmp_path).stdout for more in ([], ["-h"], ["--help"])
    ]
    assert len({*pages}) == 1
    lines = pages[0].splitlines()
    assert len(lines) < ROWS  # one is the prompt's
    assert max(map(len, lines)) <= COLUMNS
    for verb in verbs:
        assert re.search(rf"^  {verb} +\w.*\w", pages[0], re.MULTILINE), verb


def test_the_version(tmp_path: Path) -> None:
    assert draw_command("--version", cwd=tmp_path).stdout == f"draw {draw.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["sampel", "mnist"], "sample"),
        (["data", "chekc"], "check"),
        (["train", "minst"], "mnist"),
        (["sample", "minst"], "mnist"),
        (["info", "two-digit"], "two-digits"),
        (["info", "runs/digit"], "runs/digits"),
        (["data", "check", "ciffar10"], "cifar10"),
    ],
    ids=" ".join,
)
def test_a_misspelt_name_gets_the_near_one(
    arguments: list[str], near: str, tmp_path: Path, no_network: None
) -> None:
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    told = draw_command(*arguments, cwd=tmp_path, check=1).stderr
    assert told.startswith("draw: ")
    assert f"(did you mean {near}?)" in told


def test_a_misspelt_option_gets_the_near_one(tmp_path: Path) -> None:
    for verb, option, near in (
        (["sample", "mnist"], "--sed", "--seed"),
        (["train", "mnist"], "--train.step", "--train.steps"),
        (["data", "check", "mnist"], "--data.pat", "--data.path"),
    ):
        done = draw_command(*verb, option, "3", cwd=tmp_path, check=2)
        told = done.stdout + done.stderr
        assert option in told
        assert re.search(rf"{re.escape(near)}\b", told), told


def test_a_name_that_is_like_none_gets_no_other() -> None:
    assert did_you_mean("frobnicate", VERBS) == ""
