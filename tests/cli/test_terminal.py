"""What reaches a terminal: text alone, whatever names and words from files hold."""

import dataclasses
import json
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Image
from PIL import Image as Pillow

from draw import console, terminal
from draw.config.data import DataConfig
from draw.measure.tables import print_values
from draw.model.draw import DRAW
from draw.models.storage import export_model
from draw.progress import progress
from draw.runs.paths import write_run_file
from running import TINY, TINY_MODEL, draw_command

ACTING = [
    *map(chr, [*range(0x20), *range(0x7F, 0xA0)]),
    *"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff",
    *"\ud800\udc80\udcff\udfff",
]
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31m\u202e[/red]\x9b1m\r\x08\x7f"
"""Sets the title, clears the screen, changes the colour, turns the line, and is no markup."""


def acts(text: str) -> list[str]:
    """The characters of a text that would act on a terminal."""
    of_lines = text.replace("\n", "").replace("\t", "")
    return [one for one in of_lines if one in ACTING or unicodedata.category(one) in ("Cc", "Cs")]


@pytest.mark.parametrize("character", ACTING, ids=lambda one: f"U+{ord(one):04X}")
def test_every_character_that_acts_is_written_out(character: str) -> None:
    text = f"a{character}b"
    assert acts(terminal.visible(text)) == []
    assert terminal.visible(text) == (text if character in "\n\t" else terminal.one_line(text))
    line = terminal.one_line(text)
    assert line.isprintable()
    assert line == f"a{character.encode('unicode_escape', 'surrogatepass').decode()}b"


@pytest.mark.parametrize(
    "text", ["plain", "Grüße, 世界 π ≤ 2\n\tnext", "🙂 👩‍👧", "[red]a[/red]", "a\\b"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert terminal.visible(text) == text


WAYS: dict[str, Callable[[], object]] = {
    "say": lambda: terminal.say(EVIL),
    "an error": lambda: terminal.say(EVIL, error=True),
    "a log message": lambda: logging.getLogger("draw").warning("%s", EVIL),
    "another's log message": lambda: logging.getLogger("other").error(EVIL),
    "a logged traceback": lambda: logging.getLogger("draw").error("x", exc_info=ValueError(EVIL)),
    "a traceback": lambda: sys.excepthook(ValueError, ValueError(EVIL), None),
    "a warning": lambda: sys.stderr.write(warnings.formatwarning(EVIL, UserWarning, EVIL, 1)),
    "a table": lambda: print_values({EVIL: EVIL, "more": {EVIL: EVIL}}),
    "a console": lambda: console.VisibleConsole().print(EVIL),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_way_to_a_terminal_lets_it_through(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    terminal.guard()
    WAYS[way]()
    said = "".join(capsys.readouterr())
    assert "x1b" in said
    assert acts(said) == []


def test_a_bar_on_a_terminal_shows_text_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    with progress(EVIL, 2) as update:
        update(2, EVIL)
    said = capsys.readouterr().err
    assert "\\x1b]0;owned" in said
    assert not any(part in said for part in ("\x1b]0;", "\x07", "\x1b[31m", "\u202e", "\x9b"))


EVIL_NAME = EVIL.replace("/", "\u2044").replace("\x7f", "")
"""As EVIL, and can be the name of a file."""


def pictures(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(3):
        Pillow.new("L", (5, 6), number).save(folder / f"{number}.png")


def a_picture(place: Path) -> None:
    pictures(place / "data")
    (place / "data" / f"{EVIL_NAME}\nfake.png").write_bytes(b"")


def a_size(place: Path) -> None:
    pictures(place / "data")
    Pillow.new("L", (9, 9)).save(place / "data" / f"{EVIL_NAME}.png")


def a_suffix(place: Path) -> None:
    pictures(place / "data")
    (place / "data" / f"x.{EVIL_NAME}").touch()


def a_class(place: Path) -> None:
    for kind in ("a", EVIL_NAME):
        pictures(place / "data" / kind)
    (place / "data" / EVIL_NAME / "bad.png").touch()


def a_split(place: Path) -> None:
    for split in ("train", "test", EVIL_NAME):
        pictures(place / "data" / split)


def a_label(place: Path) -> None:
    parquet(place, "train-00000-of-00001", "image", [EVIL, "b"])


def a_shard(place: Path) -> None:
    parquet(place, f"train-{EVIL_NAME}", "image", ["a", "b"], bad=True)


def a_column(place: Path) -> None:
    parquet(place, "train-00000-of-00001", EVIL, ["a", "b"], twice=True)


def parquet(
    place: Path, shard: str, column: str, classes: list[str], bad: bool = False, twice: bool = False
) -> None:
    pictures(place / "made")
    stored = [{"bytes": p.read_bytes(), "path": None} for p in (place / "made").iterdir()]
    stored += [{"bytes": b"bad", "path": None}] * bad
    features = Features({column: Image(), "label": ClassLabel(names=classes)})
    columns = {column: stored, "label": [0, 1, 0, 1][: len(stored)]}
    if twice:
        features, columns = features | {EVIL + "2": Image()}, columns | {EVIL + "2": stored}
    (place / "data").mkdir()
    table = pa.table(columns, schema=Features(features).arrow_schema)
    pq.write_table(table, place / "data" / f"{shard}.parquet")


FOLDERS = (a_picture, a_size, a_suffix, a_class, a_split, a_label, a_shard, a_column)


@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("verb", ["prepare", "check"])
def test_names_in_somebodys_folder_do_not_act(
    tmp_path: Path, make: Callable[[Path], None], verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path)
    monkeypatch.setattr("draw.progress.SECONDS_BETWEEN_LINES", 0.0)
    flags = ("--data.path", "data", "--data.cache-dir", "cache")
    told = any_command("data", verb, *flags, cwd=tmp_path)
    assert acts(told) == []
    assert "\nfake.png" not in told


def any_command(*arguments: str, cwd: Path) -> str:
    """All that a command says, whether it ends well or not."""
    for status in (0, 1):
        try:
            done = draw_command(*arguments, cwd=cwd, check=status)
        except AssertionError:
            continue
        return done.stdout + done.stderr
    raise AssertionError(f"expected {arguments} to end well or with a message")


def the_datas_name(place: Path) -> None:
    edit(place / "model" / "config.json", lambda values: values["data"].update(name=EVIL))


def the_datas_path(place: Path) -> None:
    edit(place / "model" / "config.json", lambda values: values["data"].update(path=EVIL))


def an_unknown_field(place: Path) -> None:
    edit(place / "model" / "config.json", lambda values: values.update({EVIL: 1}))


def a_wrong_value(place: Path) -> None:
    edit(place / "model" / "config.json", lambda values: values.update(glimpses=EVIL))


def an_attention(place: Path) -> None:
    edit(place / "model" / "config.json", lambda values: values.update(attention=EVIL))


def a_run_with_a_path(place: Path) -> None:
    data = DataConfig("images", path=EVIL, cache_dir=EVIL, binarize="none")
    write_run_file(place / "model", dataclasses.replace(TINY, preset=EVIL, data=data), {})
    export_model(place / "model" / "best", DRAW(TINY_MODEL), data, {"step": 1})


def a_state(place: Path) -> None:
    export_model(place / "model", DRAW(TINY_MODEL), DataConfig("images"), {EVIL: 3, "step": 1})


def its_own_name(place: Path) -> None:
    (place / "model").rename(place / EVIL_NAME)
    (place / "model").symlink_to(place / EVIL_NAME)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


MODELS = (
    the_datas_name, the_datas_path, an_unknown_field, a_wrong_value, an_attention,
    a_run_with_a_path, a_state, its_own_name,
)  # fmt: skip


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
@pytest.mark.parametrize("verb", ["info", "evaluate"])
def test_words_in_somebodys_model_do_not_act(
    tmp_path: Path, make: Callable[[Path], None], verb: str
) -> None:
    export_model(tmp_path / "model", DRAW(TINY_MODEL), DataConfig("images", binarize="none"), {})
    make(tmp_path)
    pictures(tmp_path / "data")
    path = ("--data.path", "data", "--data.cache-dir", "cache") if verb == "evaluate" else ()
    name = os.readlink(tmp_path / "model") if (tmp_path / "model").is_symlink() else "model"
    assert acts(any_command(verb, name, *path, cwd=tmp_path)) == []
