"""Folders whose JSON somebody wrote or changed: accepted with a meaning, or refused by name.

Every field of config.json, of run.json and of the states in safetensors files is given every value
of a wrong kind; nothing but a `DrawError` that names the folder may come of it.
"""

import copy
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from draw import DRAW
from draw.errors import DrawError
from draw.model.memory import TooLargeError
from draw.models.kinds import run_config
from draw.models.storage import export_model, load_model
from draw.runs.checkpoint import (
    COUNTERS,
    add_prefix,
    checkpoint_path,
    load_checkpoint,
    load_tensors,
    save_tensors,
)
from draw.runs.paths import note_resumption, write_run_file
from running import TINY, TINY_MODEL

pytestmark = pytest.mark.usefixtures("without_shape_checks")

MADE = {
    "command": "draw train tiny",
    "commit": None,
    "hardware": "a computer",
    "versions": {"draw": "0"},
    "resumed": [
        {
            "step": 6,
            "changes": {"train.steps": [6, 12]},
            "command": "draw train --resume run",
            "commit": "abc",
            "hardware": "another",
            "versions": {"draw": "0"},
        }
    ],
}
STATE = {"step": 12, "seconds": 1.5, "best": 3.0, "sums": {"kl": 0.1}, "averaged": 12}
WRONG: dict[str, Any] = {
    "null": None,
    "true": True,
    "text": "text",
    "empty text": "",
    "a NUL": "a\0b",
    "half a character": "\ud800",
    "list": [1, 2],
    "empty list": [],
    "nested list": [[1], {}],
    "object": {"a": 1},
    "empty object": {},
    "minus one": -1,
    "zero": 0,
    "fraction": 0.5,
    "large": 10**9,
    "huge": 10**30,
    "beyond floats": 10**400,
    "5000 digits": "@digits",
    "10000 levels": "@levels",
    "nan": float("nan"),
    "infinity": float("inf"),
}
RAW = {'"@digits"': "9" * 5000, '"@levels"': "[" * 10_000 + "]" * 10_000}


def text_of(values: Any) -> str:
    """JSON, also of what no JSON of ours holds."""
    text = json.dumps(values)
    for name, raw in RAW.items():
        text = text.replace(name, raw)
    return text


def paths_in(values: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where each value stands, the whole first."""
    yield path
    inner = values.items() if isinstance(values, dict) else ()
    inner = enumerate(values) if isinstance(values, list) else inner
    for key, value in inner:
        yield from paths_in(value, (*path, key))


def replaced(values: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.deepcopy(values)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = new
    return changed


def without(values: Any, path: tuple[Any, ...]) -> Any:
    changed = copy.deepcopy(values)
    place = changed
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    return changed


def sweep(
    values: Any, folder: Path, write: Callable[[Any], None], read: Callable[[], None]
) -> tuple[int, int]:
    """Give every field every wrong value; count what was accepted and what was refused."""
    accepted = refused = 0
    for path in paths_in(values):
        cases = {name: replaced(values, path, new) for name, new in WRONG.items()}
        if path:
            cases["missing"] = without(values, path)
            cases["unknown beside it"] = (
                replaced(values, (*path[:-1], "unheard of"), 1)
                if (isinstance(path[-1], str))
                else values
            )
        for name, case in cases.items():
            write(case)
            refusal = refusal_of(read, f"{path} {name}")
            if refusal is None:
                accepted += 1
                continue
            refused += 1
            assert str(folder) in str(refusal), (path, name)
            leaf = [key for key in path if isinstance(key, str)][-1:]
            if leaf and _is_of_a_field(name, refusal):
                assert leaf[0] in str(refusal), (path, name)
    return accepted, refused


def refusal_of(read: Callable[[], object], case: str) -> DrawError | None:
    """The error that says why something is not read; any other goes on, with the case."""
    try:
        read()
    except DrawError as error:
        return error
    except Exception as error:
        error.add_note(case)
        raise
    return None


def _is_of_a_field(case: str, error: DrawError) -> bool:
    """Whether the message can name the field: neither broken JSON nor sizes that are too large."""
    damaged = case in ("5000 digits", "10000 levels", "nan", "infinity", "unknown beside it")
    return not damaged and not isinstance(error, TooLargeError) and "weights" not in str(error)


@pytest.fixture(autouse=True)
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing large is made for want of a limit, on whatever computer."""
    monkeypatch.setattr("draw.model.memory.memory", lambda: 2**27)


@pytest.fixture(scope="module")
def drawing() -> DRAW:
    return DRAW(TINY_MODEL)


def write_run(run: Path, model: DRAW) -> None:
    weights = model.state_dict()
    write_run_file(run, TINY, MADE)
    average = {name: weight.clone() for name, weight in weights.items()}
    tensors = {**add_prefix("model", weights), **add_prefix("average", average)}
    save_tensors(checkpoint_path(run, 12), tensors, {**STATE, "images": "made by a test"})
    export_model(run / "best", model, TINY.data, {"step": 12, "validation_bound": 3.0})


def test_every_field_of_an_exported_config(tmp_path: Path, drawing: DRAW) -> None:
    folder = tmp_path / "exported"
    export_model(folder, drawing, TINY.data, {"step": 12})
    values = json.loads((folder / "config.json").read_text())

    def write(case: Any) -> None:
        (folder / "config.json").write_text(text_of(case))

    def read() -> None:
        refusal = refusal_of(lambda: DRAW.from_pretrained(folder), "from_pretrained")
        assert refusal is None or str(folder) in str(refusal)
        load_model(str(folder))
        assert refusal is None

    accepted, refused = sweep(values, folder, write, read)
    print(f"config.json: {accepted} accepted, {refused} refused")
    assert refused > 300


def test_every_field_of_a_run_file(tmp_path: Path, drawing: DRAW) -> None:
    write_run(tmp_path, drawing)
    values = json.loads((tmp_path / "run.json").read_text())

    def write(case: Any) -> None:
        (tmp_path / "run.json").write_text(text_of(case))

    def read() -> None:
        note_resumption(tmp_path, run_config(tmp_path), MADE["resumed"][0])

    accepted, refused = sweep(values, tmp_path, write, read)
    print(f"run.json: {accepted} accepted, {refused} refused")
    assert refused > 700


@pytest.mark.parametrize("place", ["checkpoint", "best"])
def test_every_field_of_a_state(place: str, tmp_path: Path, drawing: DRAW) -> None:
    write_run(tmp_path, drawing)
    path = checkpoint_path(tmp_path, 12)
    state = {**STATE, "images": "made by a test"}
    if place == "best":
        path, state = tmp_path / "best" / "model.safetensors", {"step": 12, "validation_bound": 3.0}
    tensors = load_checkpoint(tmp_path)[0] if place == "checkpoint" else drawing.state_dict()

    def write(case: Any) -> None:
        _rewrite(path, tensors, text_of(case))

    def read() -> None:
        state = (load_checkpoint(tmp_path) if place == "checkpoint" else load_tensors(path))[1]
        assert isinstance(state.get("step", 0), int)

    accepted, refused = sweep(state, tmp_path, write, read)
    print(f"{place}: {accepted} accepted, {refused} refused")
    assert refused > 40


def _rewrite(path: Path, tensors: dict[str, torch.Tensor], text: str) -> None:
    """A file with another state, whose checksum is right."""
    from safetensors.torch import save_file

    from draw.runs.checkpoint import _digest

    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    metadata = {"format": "pt", "state": text, "sha256": _digest(tensors, text)}
    save_file(tensors, path, metadata)


def test_a_checkpoint_without_its_counters_is_not_gone_on_with() -> None:
    from draw.runs.checkpoint import DamagedCheckpointError, check_state

    with pytest.raises(
        DamagedCheckpointError, match="lacks seconds, best, sums, averaged, stale, images"
    ):
        check_state("there", {"step": 1}, *COUNTERS)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "loop", "nowhere", "empty"])
@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "best/config.json",
        "best/model.safetensors",
        "checkpoints/step-00000012.safetensors",
    ],
)
def test_what_is_in_the_place_of_a_file(
    name: str, kind: str, tmp_path: Path, drawing: DRAW
) -> None:
    write_run(tmp_path, drawing)
    path = tmp_path / name
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path.name)
        case "nowhere":
            path.symlink_to("nowhere")
        case "empty":
            path.touch()
    readers: list[Callable[[], object]] = []
    if name.startswith("best/"):
        readers = [
            lambda: load_model(str(tmp_path / "best")),
            lambda: DRAW.from_pretrained(tmp_path / "best"),
        ]
    elif name == "run.json":
        readers = [lambda: run_config(tmp_path), lambda: load_model(str(tmp_path))]
    else:
        readers = [lambda: load_model(str(tmp_path), "last"), lambda: load_checkpoint(tmp_path)]
    for read in readers:
        with pytest.raises(DrawError, match=str(tmp_path)):
            read()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("glimpses", 10**9),
        ("hidden_size", 10**9),
        ("latent_size", 10**9),
        ("read_size", 10**6),
        ("rows", 2**31 - 1),
    ],
)
def test_sizes_beyond_memory_are_refused_with_an_estimate(
    field: str, value: int, tmp_path: Path, drawing: DRAW
) -> None:
    export_model(tmp_path, drawing, TINY.data, {"step": 12})
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, field: value}))
    with pytest.raises(
        TooLargeError, match=rf"{tmp_path}.* does not fit into memory: at least [\d,.]+ GiB"
    ):
        load_model(str(tmp_path))


def test_weights_of_other_shapes_are_named_before_a_model_is_made(
    tmp_path: Path, drawing: DRAW
) -> None:
    export_model(tmp_path, drawing, TINY.data, {})
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "latent_size": 5}))
    message = (
        r"does not hold a model of draw: expected weights .*of \[5\], got \[4\].* and \d+ more"
    )
    with pytest.raises(DrawError, match=message):
        load_model(str(tmp_path))


def test_a_run_file_that_was_changed_by_hand_counts_and_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_run_file(tmp_path, TINY, MADE)
    path = tmp_path / "run.json"
    assert run_config(tmp_path) == TINY
    assert caplog.text == ""
    values = json.loads(path.read_text())
    values["config"]["train"]["learning_rate"] = 0.02
    path.write_text(json.dumps(values))
    for _ in range(2):
        assert run_config(tmp_path).train.learning_rate == 0.02
    assert caplog.text.count("was changed by hand since draw wrote it") == 1
    note_resumption(tmp_path, run_config(tmp_path), MADE["resumed"][0])
    noted = json.loads(path.read_text())["made"]["resumed"]
    assert noted == [*MADE["resumed"], {**MADE["resumed"][0], "changed_by_hand": True}]


def test_a_run_file_from_before_there_were_checksums_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"config": TINY.to_dict(), "made": {}}))
    assert run_config(tmp_path) == TINY
    assert caplog.text == ""
