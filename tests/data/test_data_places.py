"""What other people's files cannot do: have a file read, written or removed where they say."""

import dataclasses
import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from draw.cli.options import DataOptions, images_for
from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig
from draw.data import DataError, load_images, load_splits
from draw.data.load import find_or_build
from draw.data.store.cache import TAG, TAG_FILE, is_cache
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.models.kinds import run_config
from draw.models.storage import LoadedModel, export_model, load_model
from draw.runs.paths import write_run_file
from draw.training.start import refuse_links_out, resume
from running import TINY, TINY_DIGITS, TINY_MODEL, draw_command, image_set

KEY = "0123456789abcdef" * 2

EVIL_ENTRIES: tuple[object, ...] = (
    "", ".", "..", "/", "index", "../../home/Documents", "../home/Documents", "./" + KEY,
    KEY + "/", KEY + "/..", KEY + "/../../home/Documents", KEY[:-1], KEY + "0", KEY.upper(),
    KEY + "\n", "." + KEY, "\u0660" * 32, "x\0y", "a" * 5000, 5, 1.5, True, None, [], [KEY],
    {}, {KEY: KEY}, "~", "$HOME", "HOME",
)  # fmt: skip
"""What an index file may say in the place of an entry; HOME stands for the folder's full path."""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Somebody's home with a folder worth keeping, which looks as damaged as an entry can."""
    documents = tmp_path / "home" / "Documents"
    documents.mkdir(parents=True)
    (documents / "thesis.txt").write_text("years of work")
    (documents / "meta.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    return tmp_path / "home"


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        Image.new("L", (5, 6), 10 * number).save(folder / f"{number}.png")
    return DataConfig("images", path=str(folder), cache_dir=str(tmp_path / "evil" / "cache"))


def everything(folder: Path) -> dict[str, object]:
    """Every path below a folder, and what is there."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else path.is_symlink()
        for path in folder.rglob("*")
    }


def notes_of(config: DataConfig) -> list[Path]:
    return list(Path(str(config.cache_dir), "index").iterdir())


@pytest.mark.parametrize("entry", EVIL_ENTRIES, ids=lambda entry: repr(entry)[:24])
def test_an_entry_that_is_no_name_of_ours_leads_nowhere(
    home: Path, config: DataConfig, entry: object
) -> None:
    before = find_or_build(config, ("train",), progress=False).entry
    kept = everything(home)
    (note,) = notes_of(config)
    values = json.loads(note.read_text())
    named = str(home / "Documents") if entry == "HOME" else entry
    note.write_text(json.dumps(values | {"entry": named}))
    assert find_or_build(config, ("train",), progress=False).entry == before
    assert everything(home) == kept
    assert json.loads(note.read_text()) == values


def untagged(entry: Path, home: Path) -> None:
    (entry / TAG_FILE).unlink()


def tagged_otherwise(entry: Path, home: Path) -> None:
    (entry / TAG_FILE).write_text("Signature: 8a477f597d28d172789f06886806bc55\n")


def tagged_by_a_link(entry: Path, home: Path) -> None:
    (entry / TAG_FILE).rename(home / "tag")
    (entry / TAG_FILE).symlink_to(home / "tag")


def tagged_by_a_pipe(entry: Path, home: Path) -> None:
    (entry / TAG_FILE).unlink()
    os.mkfifo(entry / TAG_FILE)


def linked(entry: Path, home: Path) -> None:
    shutil.rmtree(entry)
    entry.symlink_to(home / "Documents")


def linked_to_what_is_tagged(entry: Path, home: Path) -> None:
    linked(entry, home)
    (home / "Documents" / TAG_FILE).write_text(TAG)


def a_file(entry: Path, home: Path) -> None:
    shutil.rmtree(entry)
    entry.write_text("mine")


NOT_OURS: tuple[Callable[[Path, Path], None], ...] = (
    untagged, tagged_otherwise, tagged_by_a_link, tagged_by_a_pipe, linked,
    linked_to_what_is_tagged, a_file,
)  # fmt: skip


@pytest.mark.parametrize("make", NOT_OURS, ids=lambda make: make.__name__)
def test_what_is_not_known_to_be_ours_is_never_removed(
    home: Path, config: DataConfig, make: Callable[[Path, Path], None]
) -> None:
    entry = find_or_build(config, ("train",), progress=False).entry
    (entry / "meta.json").write_text("damaged")
    make(entry, home)
    kept = everything(home), everything(entry.parent)
    with pytest.raises(DataError, match=r"expected images decoded by draw in .* left as it is"):
        load_images(config, "train", progress=False)
    assert (everything(home), everything(entry.parent)) == kept


@pytest.mark.parametrize(
    "name",
    [".config-x-y", ".0123-7-old", f".{KEY}-7-01d01d01", f"{KEY}-7-01d01d01", ".ssh-old-keys"],
)
@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_was_abandoned_by_others_stays(
    home: Path, config: DataConfig, name: str, kind: str
) -> None:
    cache = Path(str(config.cache_dir))
    cache.mkdir(parents=True)
    if kind == "link":
        (cache / name).symlink_to(home / "Documents")
    else:
        shutil.copytree(home / "Documents", cache / name)
    old = (time.time() - 30 * 86_400,) * 2
    os.utime(cache / name, old)
    kept = everything(home)
    load_splits(config, progress=False)
    assert (cache / name / "thesis.txt").read_text() == "years of work"
    assert everything(home) == kept


def test_links_in_an_entry_of_ours_go_and_what_they_lead_to_stays(
    home: Path, config: DataConfig
) -> None:
    entry = find_or_build(config, ("train",), progress=False).entry
    (entry / "train.npy").unlink()
    (entry / "linked").symlink_to(home / "Documents")
    kept = everything(home)
    load_images(config, "train", progress=False)
    assert not (entry / "linked").exists()
    assert everything(home) == kept


PLACES = {
    "path": {"path": "PICTURES"},
    "a name on the Hub": {"path": "somebody/else"},
    "cache": {"cache_dir": "CACHE"},
    "both": {"path": "PICTURES", "cache_dir": "CACHE"},
}


@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("kind", ["draws", "classifies"])
def test_an_exported_model_does_not_say_where_anything_is(
    config: DataConfig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    places: str,
    kind: str,
) -> None:
    model = DRAW(TINY_MODEL) if kind == "draws" else Classifier(ClassifierConfig(rows=6, columns=5))
    export_model(tmp_path / "evil", model, config, {})
    file = tmp_path / "evil" / "config.json"
    values = json.loads(file.read_text())
    assert (values["data"]["path"], values["data"]["cache_dir"]) == (None, None)
    known = {"PICTURES": config.path, "CACHE": config.cache_dir}
    said = {name: known.get(value, value) for name, value in PLACES[places].items()}
    values["data"] |= said
    file.write_text(json.dumps(values))
    with caplog.at_level(logging.WARNING):
        data = load_model(str(tmp_path / "evil")).data
    assert data == config.without_places()
    for name, value in said.items():
        assert f"{file} says data.{name} {value}, which is not followed" in caplog.text
        assert f"--data.{name.replace('_', '-')} {value} if you mean it" in caplog.text


def test_evaluating_somebody_elses_model_leaves_everything_alone(
    home: Path, config: DataConfig, tmp_path: Path
) -> None:
    """Its config, its cache and its index as they were to remove a folder of the user."""
    find_or_build(config, ("test",), progress=False)
    evil, (note,) = tmp_path / "evil", notes_of(config)
    values = json.loads(note.read_text())
    note.write_text(json.dumps(values | {"entry": "../../home/Documents"}))
    export_model(evil, DRAW(TINY_MODEL), config, {})
    values = json.loads((evil / "config.json").read_text())
    values["data"] |= {"path": config.path, "cache_dir": "evil/cache"}
    (evil / "config.json").write_text(json.dumps(values))
    kept = everything(home), everything(evil)
    told = draw_command("evaluate", "evil", cwd=tmp_path, check=1).stderr
    assert "images needs a path: pass --data.path" in told
    assert "data.cache_dir evil/cache, which is not followed" in told
    assert (everything(home), everything(evil)) == kept
    meant = ["--data.path", str(config.path), "--data.cache-dir", "evil/cache"]
    meant += ["--backend", "reference"]  # the kernel would be compiled into this home
    draw_command("evaluate", "evil", *meant, cwd=tmp_path)
    assert everything(home) == kept[0]
    draw_command("evaluate", "evil", *meant[:2], cwd=tmp_path)
    assert is_cache(home / ".cache" / "draw")


def test_a_run_goes_on_with_its_cache_but_makes_none_where_its_file_says(
    home: Path, config: DataConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    find_or_build(config, ("test",), progress=False)
    for cache, followed in ((config.cache_dir, True), (str(home / "Documents"), False)):
        data = DataConfig("images", path=config.path, cache_dir=cache)
        write_run_file(tmp_path / "run", dataclasses.replace(TINY, data=data), {})
        found = run_config(tmp_path / "run").data
        assert found.path == config.path
        assert found.cache_dir == (cache if followed else None)
        assert ("is not followed" in caplog.text) == (not followed)


@pytest.mark.parametrize("name", ["checkpoints", "best", "metrics.jsonl", "samples", "tensorboard"])
def test_a_run_with_a_link_out_of_its_folder_is_not_gone_on_with(
    home: Path, tmp_path: Path, name: str
) -> None:
    run = tmp_path / "run"
    (run / "elsewhere").mkdir(parents=True)
    (run / name).symlink_to(run / "elsewhere")
    (tmp_path / "link").symlink_to(run)
    refuse_links_out(tmp_path / "link")
    (run / name).unlink()
    (run / name).symlink_to(home / "Documents")
    kept = everything(home)
    with pytest.raises(DrawError, match=f"expected .*{name} in the run folder itself, got a link"):
        resume(TINY, run, image_set(10), image_set(5, "validation"))
    assert everything(home) == kept


def test_a_run_says_full_paths_and_its_model_none(tmp_path: Path) -> None:
    """So that a run can be resumed and looked at from any folder."""
    for number in range(40):
        picture = Image.new("L", (6, 6), number)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        picture.save(tmp_path / "pictures" / f"{number}.png")
    where = ("--data.path", "pictures", "--data.cache-dir", "cache")
    sizes = ("--data.size", "6", "--data.mode", "grey", "--train.steps", "1", "--out", "run")
    draw_command("train", "images", *where, *sizes, *TINY_DIGITS, cwd=tmp_path)
    data = json.loads((tmp_path / "run" / "run.json").read_text())["config"]["data"]
    assert (data["path"], data["cache_dir"]) == (f"{tmp_path}/pictures", f"{tmp_path}/cache")
    (tmp_path / "elsewhere").mkdir()
    draw_command("evaluate", str(tmp_path / "run"), cwd=tmp_path / "elsewhere")
    model = load_model(str(tmp_path / "run"))
    export_model(tmp_path / "model", model.model, run_config(tmp_path / "run").data, {})
    assert str(tmp_path) not in (tmp_path / "model" / "config.json").read_text()
    assert DataConfig("images", "owner/name").with_absolute_places().path == "owner/name"


def test_a_set_of_several_is_chosen_where_the_images_are_others(tmp_path: Path) -> None:
    """What a model was trained on says nothing of which set of another path is meant."""
    for name, shade in (("a", 10), ("b", 20)):
        pictures = np.full((40, 6, 6), shade, np.uint8)
        pictures[:, 0, 0] = np.arange(40)
        np.savez(tmp_path / f"{name}.npz", x_train=pictures, x_test=pictures)
    config = DataConfig("images", str(tmp_path), config="a", cache_dir=str(tmp_path / "cache"))
    loaded = LoadedModel(DRAW(TINY_MODEL), "a model", config, None, {})
    asked = {
        None: DataOptions(),
        "b": DataOptions(config="b"),
        "other": DataOptions(path=str(tmp_path / "b.npz")),
    }
    shades = {
        key: int(images_for(loaded, options)[0].images[0, 0, 1, 1])
        for key, options in asked.items()
    }
    assert shades == {None: 10, "b": 20, "other": 20}
