"""Models to give away, and those that come with the package."""

import dataclasses
import errno
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from draw import DRAW, Classifier, cli
from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig
from draw.config.model import ConvnetConfig
from draw.data import Splits, load_images
from draw.errors import DrawError
from draw.measure.accuracy import measure_accuracy
from draw.measure.bound import evaluate
from draw.model import pretrained
from draw.model.machine import settle
from draw.models.card import _begun_from, _command, list_models
from draw.models.export import copy_export, export
from draw.models.storage import export_model, load_model
from draw.training.start import start
from running import TINY, image_set, plain_accelerator

SPLITS = Splits(image_set(10), image_set(7, "validation", seed=1), image_set(5, "test", seed=2))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of twelve steps."""
    run = tmp_path_factory.mktemp("export") / "run"
    start(TINY, run, SPLITS.train, SPLITS.validation).fit()
    return run


def exported(run: Path, to: Path, **options: object) -> dict[str, dict[str, float]]:
    return export(run, SPLITS, to, plain_accelerator(), name="tiny", **options)


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)],
)
def test_an_exported_model_is_the_runs_with_rounded_weights(
    run: Path, tmp_path: Path, stored: str, dtype: torch.dtype
) -> None:
    exported(run, tmp_path / "out", dtype=stored)
    written = load_file(tmp_path / "out" / "model.safetensors")
    original = load_model(str(run)).model.state_dict()
    assert {value.dtype for value in written.values()} == {dtype}
    for model in (load_model(str(tmp_path / "out")).model, DRAW.from_pretrained(tmp_path / "out")):
        assert not any(part.training for part in model.modules())
        for name, value in model.state_dict().items():
            assert value.dtype == torch.float32
            assert torch.equal(value, original[name].to(dtype).float()), name


def test_the_card_has_the_figures_of_the_stored_weights(run: Path, tmp_path: Path) -> None:
    figures = exported(run, tmp_path / "out", dtype="bf16", importance_samples=3)
    model = load_model(str(tmp_path / "out")).drawing
    again = evaluate(model, SPLITS.test.images, importance_samples=3)
    assert figures["test"]["bound"] == pytest.approx(again.bound)
    card = ModelCard.load(tmp_path / "out" / "README.md")
    found = {
        (result.dataset_split, result.metric_type): result.metric_value
        for result in card.data.eval_results
    }
    assert found["test", "bound"] == pytest.approx(again.bound)
    assert found["test", "importance_weighted"] == pytest.approx(again.importance_weighted)
    error = again.importance_weighted_standard_error
    assert found["test", "importance_weighted_standard_error"] == pytest.approx(error)
    assert "| importance-weighted estimate, K = 3, nats per image (" in card.text
    assert found["validation", "bound"] == pytest.approx(
        evaluate(model, SPLITS.validation.images).bound
    )
    assert card.data.model_name == "tiny"
    step = f"those of step {load_model(str(run)).state['step']}, the best; "
    for word in ("seed 0", "12 steps of 4 images", step, "Licence of the data", "bf16", "Not for"):
        assert word in card.text, word


def test_a_name_that_is_no_text_is_written_out_on_the_card(run: Path, tmp_path: Path) -> None:
    name = "caf\udce9 \x1b[2J"  # a folder's name that is not UTF-8, and an acting character
    to = tmp_path / "out"
    export(run, SPLITS, to, plain_accelerator(), name=name, dtype="fp32")
    card = ModelCard.load(to / "README.md")
    assert card.data.model_name == r"caf\udce9 \x1b[2J"
    assert r"# caf\udce9 \x1b[2J" in card.text


def test_nothing_of_this_machine_is_in_what_is_given_away(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / "run.json").read_text())
    values["made"]["command"] = (
        "draw train x --data.path '/home/me/my data' --out=/a/b/c --n 1/2 --a ../me/b --c ./me/d"
    )
    (copy / "run.json").write_text(json.dumps(values))
    exported(copy, tmp_path / "out")
    data = json.loads((tmp_path / "out" / "config.json").read_text())["data"]
    assert (data["path"], data["cache_dir"]) == (None, None)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`draw train x --data.path 'my data' --out=c --n 1/2 --a b --c d`" in card


PATH = "/home/ann lee/secret/it's mine"
COMMANDS = {
    f"--data.path {shlex.quote(PATH)}": "--data.path " + shlex.quote("it's mine"),
    shlex.quote(f"--data.path={PATH}"): shlex.quote("--data.path=it's mine"),
    shlex.quote(f"a={PATH}=b"): shlex.quote("a=it's mine=b"),
    "--out '~/my runs/a b/c/' --resume /": "--out c --resume /",
    "--out 'my runs/a b' --to owner/name --at .": "--out 'my runs/a b' --to owner/name --at .",
}
"""Words of commands, and what is said of them."""


@pytest.mark.parametrize(("words", "said"), COMMANDS.items(), ids=COMMANDS.values())
def test_folders_with_blanks_and_quotes_are_not_given_away(words: str, said: str) -> None:
    assert _command(f"draw train x {words}") == f"draw train x {said}"
    assert "ann" not in _begun_from(PATH)
    assert "`it's mine`" in _begun_from(PATH)
    assert "ann" not in _command(f"draw train x --data.path '{PATH}")  # edited by hand


@pytest.mark.parametrize(
    ("option", "gap"), [("--data.path", " "), ("--data.path", "="), ("--data.cache_dir", " ")]
)
def test_relative_folders_of_images_are_not_given_away(option: str, gap: str) -> None:
    words = f"{option}{gap}family/ann/faces --n 1/2"
    assert (
        _command(f"draw train x {words}", local=True) == f"draw train x {option}{gap}faces --n 1/2"
    )
    assert _command("draw train x --data.path owner/name") == "draw train x --data.path owner/name"
    assert _command("draw train x --data.path", local=True) == "draw train x --data.path"


def test_a_card_of_own_pictures_is_for_others(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / "run.json").read_text())
    values["made"]["command"] = "draw train images --data.path family/ann/faces"
    values["config"]["data"] |= {"name": "images", "path": "/home/me/family/ann/faces"}
    (copy / "run.json").write_text(json.dumps({k: values[k] for k in values if k != "sha256"}))
    exported(copy, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "`draw train images --data.path faces`" in card
    assert "A model that draws images of 6x5x1 in" in card
    assert "**Data**: pictures chosen by whoever trained it. 10 images for training" in card
    assert "Licence of the data: not known here; ask them." in card


def test_a_card_tells_the_steps_that_were_made_not_those_that_were_meant(
    run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / "run.json").read_text())
    values["config"]["train"]["steps"] = 9000  # stopped before
    changes = {"train.steps": [8000, 9000], "data.path": [None, "/home/me/data"]}
    values["made"]["resumed"] = [
        {"step": 4321, "changes": changes},
        {"step": 5000, "changes": {}, "hardware": "an abacus"},
        {"step": 5001, "changes": {}, "hardware": "an abacus"},
    ]
    (copy / "run.json").write_text(json.dumps(values))
    exported(copy, tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "12 steps of 4 images" in card
    changed = "steps 9000 from step 4,321 on, hardware an abacus from step 5,000 on"
    assert f"Changed on the way: {changed}." in card


def test_a_card_tells_whose_weights_it_began_from(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / "run.json").read_text())
    values["config"]["train"]["start_from"] = "mnist"
    (copy / "run.json").write_text(json.dumps(values))
    exported(copy, tmp_path / "out")
    began = "It began from the weights of `mnist` as they were at that commit"
    assert began in (tmp_path / "out" / "README.md").read_text()
    exported(run, tmp_path / "plain")
    assert "began from" not in (tmp_path / "plain" / "README.md").read_text()


def test_a_model_is_stored_for_another_number_of_glimpses_and_measured_so(
    run: Path, tmp_path: Path
) -> None:
    fewer = TINY.model.glimpses - 1
    figures = exported(run, tmp_path / "out", glimpses=fewer)
    model = load_model(str(tmp_path / "out")).drawing
    original = load_model(str(run)).drawing
    assert model.config == dataclasses.replace(original.config, glimpses=fewer)
    for name, value in original.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert figures["test"]["bound"] == pytest.approx(evaluate(model, SPLITS.test.images).bound)
    plain = exported(run, tmp_path / "plain")
    assert figures["test"]["bound"] != pytest.approx(plain["test"]["bound"], rel=1e-6)
    said = f"It was trained for {fewer + 1} glimpses, and is stored for {fewer}."
    card, plain_card = ((tmp_path / name / "README.md").read_text() for name in ("out", "plain"))
    assert said in card
    assert f"in {fewer} steps" in card
    assert f"in {fewer + 1} steps" not in card
    assert f"in {fewer + 1} steps" in plain_card
    assert "is stored for" not in plain_card
    state = load_model(str(run)).state
    assert "validation_bound" in state
    assert load_model(str(tmp_path / "out")).state == {"step": state["step"]}
    assert load_model(str(tmp_path / "plain")).state == state


def test_glimpses_are_refused_where_there_are_none(tmp_path: Path) -> None:
    model = ConvnetConfig(
        rows=6, columns=5, filters=2, filter_size=3, stride=1, hidden_size=4, classes=3
    )
    sets = [
        dataclasses.replace(one, labels=np.arange(one.count, dtype=np.int64) % 3)
        for one in (SPLITS.train, SPLITS.validation)
    ]
    config = dataclasses.replace(TINY, model=model, data=DataConfig(name="images"))
    start(config, tmp_path / "run", *sets).fit()
    with pytest.raises(DrawError, match=r"takes glimpses for --model\.glimpses 3, got .*Convnet"):
        exported(tmp_path / "run", tmp_path / "out", glimpses=3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("binary", [True, False])
def test_mnist_that_came_binary_is_given_away_as_the_static_set(
    run: Path, tmp_path: Path, binary: bool
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    values = json.loads((copy / "run.json").read_text())
    values["config"]["data"]["name"] = "mnist"
    (copy / "run.json").write_text(json.dumps(values))
    training = dataclasses.replace(SPLITS.train, binary=binary)
    splits = dataclasses.replace(SPLITS, train=training)
    export(copy, splits, tmp_path / "out", plain_accelerator(), name="tiny")
    name = "binarized_mnist" if binary else "mnist"
    assert json.loads((tmp_path / "out" / "config.json").read_text())["data"]["name"] == name
    assert f"**Data**: {name}:" in (tmp_path / "out" / "README.md").read_text()


def test_a_card_does_not_call_a_cross_entropy_a_likelihood(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = (SPLITS.train, SPLITS.validation, SPLITS.test)
    shelf = tmp_path / "weights"
    cards = {}
    for name, binary in (("grey", False), ("binary", True)):
        splits = Splits(*(dataclasses.replace(one, binary=binary) for one in sets))
        export(run, splits, shelf / name, plain_accelerator(), name=name)
        cards[name] = (shelf / name / "README.md").read_text()
    assert "nats are a cross-entropy, no likelihood" in cards["grey"]
    assert "upper bound on -log p(x)" not in cards["grey"]
    assert "cross-entropy" not in cards["binary"]
    assert "upper bound on -log p(x)" in cards["binary"]
    monkeypatch.setattr(pretrained, "WEIGHTS", shelf)
    scores = {one["name"]: one["test"] for one in list_models()}
    assert scores["grey"].endswith("nats (cross-entropy, no likelihood)")
    assert scores["binary"].endswith("nats")


def test_an_export_writes_over_nothing(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DrawError, match="exists already and is left as it is"):
        exported(run, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(DrawError, match=r"expected a run folder with a run\.json"):
        exported(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("ready", [True, False], ids=["an empty folder", "no folder"])
@pytest.mark.parametrize("what", ["card", "weights", "picture", "copy", "by then"])
def test_an_export_is_whole_or_not_there(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, ready: bool
) -> None:
    """A full disk at each of the things that are written, and a folder that filled meanwhile."""
    to = tmp_path / "out"
    if ready:
        to.mkdir()

    def full(*_: object, **__: object) -> None:
        if what == "by then":
            to.mkdir(exist_ok=True)
            (to / "precious").write_text("mine")
            return
        raise OSError(errno.ENOSPC, "No space left on device")

    place = {
        "card": "draw.models.card.ModelCard.__str__",
        "weights": "draw.runs.checkpoint.save_file",
        "picture": "draw.tasks.drawing.animate",
        "copy": "draw.models.export.shutil.copyfile",
        "by then": "draw.tasks.drawing.animate",
    }[what]
    monkeypatch.setattr(place, full)
    write = partial(copy_export, "mnist") if what == "copy" else partial(exported, run)
    with pytest.raises(DrawError, match="could not write"):
        write(to)
    before = [["precious"]] if what == "by then" else [[]] if ready else []
    assert [os.listdir(folder) for folder in tmp_path.iterdir()] == before


def test_an_export_takes_the_place_of_an_empty_folder(run: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "out").symlink_to("real")
    exported(run, tmp_path / "out")
    assert (tmp_path / "real" / "model.safetensors").exists()
    assert sorted(os.listdir(tmp_path)) == ["out", "real"]
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "real").stat().st_mode == plain.stat().st_mode


def test_the_working_folder_is_none_to_export_to(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DrawError, match="got the working folder"):
        exported(run, Path("."))


def pipe(path: Path, secret: Path) -> None:
    os.mkfifo(path)


def folder(path: Path, secret: Path) -> None:
    path.mkdir()


def link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def link_by_a_folder(path: Path, secret: Path) -> None:
    (path.parent / "elsewhere").symlink_to(secret.parent)
    path.symlink_to(f"elsewhere/{secret.name}")


@pytest.mark.parametrize("make", [pipe, folder, link, link_by_a_folder])
@pytest.mark.parametrize("name", ["notes.md", "notes.json", "more.safetensors", "x.png", "x.onnx"])
def test_nothing_from_outside_a_models_folder_is_given_away(
    tmp_path: Path, name: str, make: Callable[[Path, Path], None]
) -> None:
    (tmp_path / "secret").write_text("mine")
    export_model(tmp_path / "model", DRAW(TINY.model), TINY.data, {})
    make(tmp_path / "model" / name, tmp_path / "secret")
    with pytest.raises(DrawError, match=r"which is not given away|no regular file"):
        copy_export(str(tmp_path / "model"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_of_the_hub_is_copied_with_its_card_and_pictures(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    exported(run, tmp_path / "there")
    (tmp_path / "there" / ".gitattributes").write_text("")

    def fetch(name: str, kind: str, patterns: Sequence[str], choices: str) -> Path:
        """Of a repository what was asked for, now or before."""
        assert (name, kind) == ("somebody/something", "model")
        here = tmp_path / "here"
        here.mkdir(exist_ok=True)
        for file in (tmp_path / "there").iterdir():
            if any(fnmatch(file.name, pattern) for pattern in patterns):
                shutil.copyfile(file, here / file.name)
        return here

    monkeypatch.setattr("draw.hub.fetch", fetch)
    copy_export("somebody/something", tmp_path / "copy")
    files = {file.name: file.read_bytes() for file in (tmp_path / "there").iterdir()}
    del files[".gitattributes"]
    assert {"README.md", "generation.gif", "config.json", "model.safetensors"} <= files.keys()
    assert {file.name: file.read_bytes() for file in (tmp_path / "copy").iterdir()} == files
    assert "has no card" not in caplog.text
    for name in ("there", "here"):
        (tmp_path / name / "README.md").unlink()
    copy_export("somebody/something", tmp_path / "bare")
    assert "somebody/something has no card (README.md) here" in caplog.text


def test_where_images_are_is_not_given_away_with_a_model(tmp_path: Path) -> None:
    export_model(tmp_path / "model", DRAW(TINY.model), TINY.data, {})
    (tmp_path / "model" / "note.md").symlink_to("config.json")
    file = tmp_path / "model" / "config.json"
    values = json.loads(file.read_text())
    places = {"path": "/home/me/data", "cache_dir": "/home/me/cache"}
    file.write_text(json.dumps(values | {"data": values["data"] | places}))
    copy_export(str(tmp_path / "model"), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == values


def test_a_model_of_the_package_is_found_by_its_name(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_network: None,
) -> None:
    figures = exported(run, tmp_path / "weights" / "tiny")
    capsys.readouterr()
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    loaded = load_model("tiny")
    assert loaded.source == "tiny"
    assert torch.equal(DRAW.from_pretrained("tiny").mu.weight, loaded.drawing.mu.weight)
    (one,) = list_models()
    assert one["name"] == "tiny"
    assert one["bound"] == pytest.approx(figures["test"]["bound"])
    monkeypatch.setattr(sys, "argv", ["draw", "models"])
    cli.main()
    said = capsys.readouterr().out
    assert "tiny" in said
    assert f"{one['bound']:.2f} nats" in said


def test_a_folder_comes_before_a_model_of_the_package(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(run, tmp_path / "weights" / "tiny")
    other = DRAW(TINY.model)
    other.save_pretrained(tmp_path / "tiny")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path / "weights")
    monkeypatch.chdir(tmp_path)
    for model in (DRAW.from_pretrained("tiny"), load_model("tiny").drawing):
        assert torch.equal(model.mu.weight, other.mu.weight)


def test_weights_of_another_kind_of_model_are_refused(run: Path, tmp_path: Path) -> None:
    exported(run, tmp_path / "out")
    with pytest.raises((DrawError, TypeError)):
        Classifier.from_pretrained(tmp_path / "out")


def test_from_pretrained_reads_no_pickle(tmp_path: Path) -> None:
    model = DRAW(TINY.model)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DrawError, match=r"does not hold a DRAW: .*model\.safetensors"):
        DRAW.from_pretrained(tmp_path)


def test_the_models_of_the_package_fit_their_cards() -> None:
    for one in list_models():
        folder = pretrained.shipped_models()[one["name"]]
        assert (folder / "model.safetensors").stat().st_size <= 6 * 2**20
        assert np.isfinite([v for v in one.values() if isinstance(v, float)]).all()


@pytest.mark.parametrize("name", sorted(pretrained.shipped_models()))
def test_tables_of_cards_have_whole_rows(name: str) -> None:
    """A bar within the words of a cell would end it."""
    text = (pretrained.shipped_models()[name] / "README.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) > 2
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


def test_a_bar_in_the_words_of_a_figure_ends_no_cell(tmp_path: Path) -> None:
    labels = [np.arange(one.count, dtype=np.int64) % 3 for one in vars(SPLITS).values()]
    sets = zip(vars(SPLITS).values(), labels, strict=True)
    splits = Splits(*(dataclasses.replace(one, labels=own, binary=True) for one, own in sets))
    model = dataclasses.replace(TINY.model, condition="class", classes=3)
    config = dataclasses.replace(TINY, model=model, data=DataConfig(name="images"))
    start(config, tmp_path / "run", splits.train, splits.validation).fit()
    export(tmp_path / "run", splits, tmp_path / "model", plain_accelerator(), name="told")
    text = (tmp_path / "model" / "README.md").read_text()
    assert "| upper bound on -log p(x \\| class), nats per image |" in text
    assert "name: upper bound on -log p(x | class), nats per image" in text


DATA = {
    "mnist": "binarized_mnist", "mnist-small": "binarized_mnist", "mnist-conv": "binarized_mnist",
    "mnist-plus": "binarized_mnist",
    "mnist-no-attention": "binarized_mnist", "two-digits": "mnist", "cluttered": "mnist",
    "mnist-class": "mnist", "cluttered-convnet": "mnist", "cluttered-4": "mnist",
    "chars74k": "chars74k_street",
}  # fmt: skip
"""Which of the development data sets a model of the package was trained on."""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(pretrained.shipped_models()))
def test_a_model_of_the_package_does_what_its_card_says(
    name: str, development_data: Callable[..., Path]
) -> None:
    loaded = load_model(name)
    assert loaded.data is not None
    path = development_data(DATA[name])
    test = load_images(dataclasses.replace(loaded.data, path=str(path)), "test").evaluation_set()
    (card,) = (one for one in list_models() if one["name"] == name)
    quick = settle(ComputeConfig(device="cpu")).precision == "bf16"
    with torch.autocast("cpu", torch.bfloat16, enabled=quick):
        if not isinstance(loaded.model, DRAW):
            found = measure_accuracy(loaded.model, test, batch_size=250)
            assert found.error == pytest.approx(card["error"], abs=0.15)
            return
        dynamic = loaded.data.binarize == "dynamic" and not test.binary
        labels = test.labels if loaded.model.condition.takes_labels else None
        bound = evaluate(loaded.model, test.images, labels, dynamic=dynamic).bound
    assert bound == pytest.approx(card["bound"], abs=0.1, rel=5e-4)
