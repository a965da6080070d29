"""The command draw train: its help, a config from a file, and a run that is not made."""

import json
import re
from pathlib import Path

import pytest

from draw import train
from draw.cli.brief_help import COMMON, brief
from draw.config.presets import PRESETS
from draw.errors import DrawError
from draw.models.kinds import run_config
from running import TINY_DIGITS, TINY_WITHOUT_WINDOWS, draw_command


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("train")


@pytest.fixture(scope="module")
def flags(place: Path) -> list[str]:
    return [*TINY_DIGITS, "--data.cache-dir", str(place / "cache"), "--train.steps", "3"]


@pytest.fixture(scope="module")
def run(place: Path, flags: list[str]) -> Path:
    draw_command("train", "digits", "--out", "first", *flags, cwd=place)
    return place / "first"


def flags_in(text: str) -> set[str]:
    return {*re.findall(r"^\W* (--\w[\w.-]*)", text, re.MULTILINE)}


@pytest.mark.parametrize("preset", PRESETS)
def test_help_has_what_is_common_and_help_all_everything(preset: str, tmp_path: Path) -> None:
    common, everything = (
        flags_in(draw_command("train", preset, flag, cwd=tmp_path).stdout)
        for flag in ("--help", "--help-all")
    )
    assert (
        {"--train.steps", "--data.path", "--out", "--backend", "--dry-run"} <= common < everything
    )
    config = PRESETS[preset]()
    for section in ("model", "data", "train"):
        fields = vars(getattr(config, section))
        flags = {f"--{section}.{name.replace('_', '-')}" for name in fields}
        assert flags <= everything | {f"--{section}.no-{flag[8:]}" for flag in flags}


def test_the_common_options_are_options() -> None:
    configs = [preset() for preset in PRESETS.values()]
    parts = [part for one in configs for part in (one.model, one.data, one.train)]
    assert {*COMMON} == {type(part).__name__ for part in parts}
    for part in parts:
        assert {*COMMON[type(part).__name__]} <= {*vars(part)}
        assert vars(brief(part)) == vars(part)


def test_a_run_begins_with_the_config_of_another(run: Path, place: Path) -> None:
    for number, file in enumerate((run, run / "run.json")):
        out = f"again-{number}"
        draw_command("train", "--config", str(file), "--train.steps", "2", "--out", out, cwd=place)
        before, after = run_config(run).to_dict(), run_config(place / out).to_dict()
        assert after["train"].pop("steps") == 2
        assert before["train"].pop("steps") == 3
        assert before == after


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "nowhere.json"], "nowhere.json"),
        (["--config", "other.json"], "other.json does not hold the config of a run"),
        (["--config", "first", "--out", "first"], "first exists already"),
        (["digits", "--config", "first"], "a preset or --config, got digits and --config"),
        (["digits", "--dry-run", "--out", "first"], "first exists already"),
        (["digits", "--dry-run", "--seeds", "2"], "--dry-run or --seeds, got both"),
        (["--resume", "first", "--dry-run"], "no --dry-run with --resume"),
        (["--help-all"], "expected a preset, as in draw train mnist --help-all"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else None,
)
def test_what_a_run_cannot_begin_with(
    run: Path, place: Path, arguments: list[str], message: str
) -> None:
    (place / "other.json").write_text('{"model": 3}')
    assert message in draw_command("train", *arguments, cwd=place, check=1).stderr


def test_a_dry_run_says_all_and_writes_nothing(run: Path, place: Path, flags: list[str]) -> None:
    before = sorted(place.rglob("*"))
    done = draw_command(
        "train", "digits", *flags, "--train.steps", "9000", "--dry-run", "--json", "-", cwd=place
    )
    assert sorted(place.rglob("*")) == before
    values = json.loads(done.stdout)
    assert values["run"] == "runs/digits"
    assert values["images"] == [1, 28, 28]
    assert values["shapes"]["lstm_dec.weight_hh"] == [32, 8]
    assert values["parameters"] == 2244
    assert values["seconds"] == pytest.approx(9000 * values["seconds_per_step"])
    assert values["evaluations"] == 15
    assert re.search(r"lstm_dec.weight_hh +32 x 8 +256\n", done.stderr)
    assert re.search(r"ms a step of 8 images.*9,000 steps take \d+:\d\d:\d\d", done.stderr)
    assert "without --dry-run the run goes into runs/digits" in done.stderr


def test_a_dry_run_of_a_single_step(place: Path, flags: list[str], run: Path) -> None:
    draw_command("train", "digits", *flags, "--train.steps", "1", "--dry-run", cwd=place)
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("--model.attention none --model.write_size=3", r"no model\.write_size .*without windows"),
        ("--model.classes 26", r"no model\.classes .*without a class to be told"),
        ("--model.condition known --model.classes 26", r"no model\.classes .*condition known"),
    ],
)
def test_what_has_no_effect_on_the_model_is_refused(given: str, says: str, place: Path) -> None:
    flags = (*TINY_WITHOUT_WINDOWS, *given.split())
    said = draw_command("train", "digits", "--out", "none", *flags, cwd=place, check=1).stderr
    assert re.search(says, said), said
    assert not (place / "none").exists()
    changes = {"model.attention": "none", "model.read_size": 3}
    with pytest.raises(DrawError, match=r"no model\.read_size .*which would have no effect"):
        train("digits", out=place / "none", changes=changes)


def test_sizes_of_the_preset_stay_where_they_have_no_effect(place: Path, flags: list[str]) -> None:
    """They were not asked for, and are there if windows are again."""
    without = (*TINY_WITHOUT_WINDOWS, *flags[-4:], "--model.attention", "none")
    draw_command("train", "digits", "--out", "without", *without, "--dry-run", cwd=place)
