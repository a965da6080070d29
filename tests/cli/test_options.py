"""Every option of every verb, given every value of a wrong kind: one message, no trace, no wait."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from PIL import Image

from draw.cli import DATA_VERBS, VERBS
from draw.cli.options import RunOptions
from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.config.train import TrainConfig
from draw.errors import DrawError
from option_flags import flags_of
from running import TINY_DIGITS, draw_command

BAD = ("", "0", "-1", str(10**30), "nan", "folder", "pipe", "missing/file", "caf\udce9")
COMMANDS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("sample",): ("run", "--n", "1"),
    ("reconstruct",): ("run", "--n", "1"),
    ("animate",): ("run", "--n", "1", "--out", "steps.png"),
    ("glimpses",): ("run",),
    ("complete",): ("run", "half.png", "--n", "1", "--particles", "2", "--rounds", "1"),
    ("figure", "3"): ("--filters", "2"),
    ("figure", "6"): ("run", "--n", "1"),
    ("figure", "11"): ("run",),
    ("evaluate",): ("run", "--split", "validation"),
    ("judge",): ("run", "run"),
    ("compare",): ("run", "run"),
    ("latents",): ("run", "--images", "2"),
    ("info",): ("run",),
    ("export",): ("run", "--to", "given"),
    ("models",): (),
    ("studio",): (),
    ("data", "list"): (),
    ("data", "prepare"): ("digits",),
    ("data", "check"): ("digits",),
    ("data", "convert"): ("digits", "given.npz"),
}
"""What is right of each verb; a bad value follows, or stands in the place of a right one."""


def cases() -> dict[tuple[str, ...], list[tuple[str, str]]]:
    """For each verb its flags with each bad value."""
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for verb in COMMANDS:
        holder = DATA_VERBS[verb[1]] if verb[0] == "data" else VERBS[verb[0]]
        flags = [flag for flag, _ in flags_of(holder) if flag not in NOT_GIVEN]
        found[verb] = [(flag, value) for flag in flags for value in BAD]
    return found


NOT_GIVEN = ("--open", "N")
"""A switch, and the number that `COMMANDS` has."""

CASES = cases()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of one step, and one of everything that is no file."""
    place = tmp_path_factory.mktemp("options")
    flags = (*TINY_DIGITS, "--data.cache-dir", str(place / "cache"))
    draw_command("train", "digits", "--out", "run", "--train.steps", "1", *flags, cwd=place)
    (place / "folder").mkdir()
    (place / "folder" / "kept").write_text("as it was")
    os.mkfifo(place / "pipe")
    Image.new("L", (28, 28), 200).save(place / "half.png")
    return place


@contextmanager
def no_waiting(what: str) -> Iterator[None]:
    """Something that waits for ever ends as a failure."""

    def give_up(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"{what} does not end")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(120)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def attempt(place: Path, *arguments: str) -> int:
    """Run a command; whatever it says, it is a result or one message, with its exit status."""
    with no_waiting(" ".join(arguments)):
        done = draw_command(*arguments, cwd=place, check=None)
    assert done.returncode in (0, 1, 2), arguments
    assert "Traceback" not in done.stderr
    assert done.returncode == 0 or done.stderr.strip() or done.stdout.strip(), arguments
    assert stat.S_ISFIFO((place / "pipe").stat().st_mode), arguments
    assert (place / "folder" / "kept").read_text() == "as it was"
    return done.returncode


def replaced(arguments: tuple[str, ...], flag: str, value: str) -> list[str]:
    """The arguments with another value of one flag, or in the place of a positional one."""
    kept = list(arguments)
    if not flag.startswith("--"):
        return [value, *kept[1:]] if kept and not kept[0].startswith("--") else [value, *kept]
    if flag in kept:
        at = kept.index(flag)
        del kept[at : at + 2]
    return [*kept, flag, value]


def report(what: str, statuses: list[int]) -> None:
    counts = {status: statuses.count(status) for status in (0, 1, 2)}
    print(f"{what}: {len(statuses)} commands, {counts[0]} done, {counts[1] + counts[2]} refused")


@pytest.mark.slow
@pytest.mark.parametrize("verb", COMMANDS, ids=" ".join)
def test_bad_values_of_every_option(
    verb: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("draw.studio.server.serve", lambda *_: None)
    statuses = [
        attempt(place, *verb, *replaced(COMMANDS[verb], flag, value)) for flag, value in CASES[verb]
    ]
    report(" ".join(verb), statuses)
    assert any(statuses) or not statuses


@pytest.mark.slow
@pytest.mark.parametrize("section", ["model", "data", "train", "options"])
def test_bad_values_of_every_option_of_train(
    section: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: object, **__: object) -> None:
        raise DrawError("all options are right")

    monkeypatch.setattr("draw.training.restart.start", start)
    kinds: dict[str, Any] = {"model": DRAWConfig, "data": DataConfig, "train": TrainConfig}
    prefix = "" if section == "options" else f"{section}."
    flags = [
        flag.replace("--", f"--{prefix}").replace("_", "-")
        for flag, _ in flags_of(kinds.get(section, RunOptions))
    ]
    cache = ("--data.cache-dir", str(place / "cache"))
    statuses = [
        attempt(place, "train", "digits", *replaced(cache, flag, value))
        for number, flag in enumerate(flags)
        for value in (*BAD[:4], BAD[4 + number % len(BAD[4:])])
    ]
    report(f"train --{prefix}", statuses)
    assert all(statuses)


def test_what_is_resumed_has_to_be_there(place: Path) -> None:
    for value in (*BAD, "run/run.json", "run/best/model.safetensors"):
        done = draw_command("train", "--resume", value, cwd=place, check=1)
        if value:
            assert value.encode("ascii", "backslashreplace").decode() in done.stderr
