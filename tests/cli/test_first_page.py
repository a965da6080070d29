"""What the command line says to somebody who does not know it: a screen, and near names."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

import docstring_parser
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
    ("arguments", "message"),
    [
        (["--completion"], "expected --completion bash, zsh, fish, got no shell"),
        (["--completion", "bash", "zsh"], "expected --completion bash, zsh, fish, got 'bash zsh'"),
        (["--version", "x"], "expected --version alone, got 'x' after it; leave it out"),
        (
            ["data", "--version"],
            "expected a verb (list, prepare, check, convert, originals), got '--version'",
        ),
        (
            ["train", "--out=foo", "digits"],
            "expected a preset first, as in draw train mnist --out ..., or --resume RUN or "
            "--config FILE, got --out",
        ),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_what_stands_in_the_wrong_place_is_told(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    assert draw_command(*arguments, cwd=tmp_path, check=1).stderr == f"draw: {message}\n"


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
        (["data", "check", "images", "--data.path", "picture"], "pictures"),
        (["train", "images", "--data.path", "picture"], "pictures"),
        (["train", "--resume", "runs/digit"], "runs/digits"),
        (["--verison"], "--version"),
        (["data", "--hepl"], "--help"),
        (["train", "--resmue", "runs/digits"], "--resume"),
    ],
    ids=" ".join,
)
def test_a_misspelt_name_gets_the_near_one(
    arguments: list[str], near: str, tmp_path: Path, no_network: None
) -> None:
    (tmp_path / "runs" / "digits").mkdir(parents=True)
    (tmp_path / "pictures").mkdir()
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


def test_an_option_that_is_none_is_compared_with_those_of_its_verb_alone(tmp_path: Path) -> None:
    done = draw_command("sample", "mnist", "--nn", "4", cwd=tmp_path, check=2)
    told = done.stdout + done.stderr
    assert "--n INT" in told
    assert "draw sample --help" in told
    assert "export" not in told


@pytest.mark.parametrize("verb", [*VERBS.values(), *DATA_VERBS.values()])
def test_what_an_option_is_has_no_line_breaks_of_the_source(verb: Callable[..., None]) -> None:
    described = docstring_parser.parse(verb.__doc__ or "").params
    assert described or not inspect.signature(verb).parameters
    for one in described:
        assert "\n" not in (one.description or "").strip(), one.arg_name


def test_pictures_of_ones_own_in_the_place_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    told = draw_command("data", "check", "photos", cwd=tmp_path, check=1).stderr
    assert "got photos, which is your own: pass it as --data.path" in told
    told = draw_command("reconstruct", "mnist-small", "photos", cwd=tmp_path, check=1).stderr
    assert "photos: expected a picture, got a folder; name pictures, photos/*" in told


def test_a_preset_and_a_run_to_go_on_with(tmp_path: Path) -> None:
    told = draw_command("train", "digits", "--resume", "runs/digits", cwd=tmp_path, check=1).stderr
    assert "expected a preset or --resume, got digits and --resume; leave one out" in told


def test_a_name_that_is_like_none_gets_no_other() -> None:
    assert did_you_mean("frobnicate", VERBS) == ""
