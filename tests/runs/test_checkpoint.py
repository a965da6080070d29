"""Files on disk: whole or recognisably damaged, and models from wherever they are."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.files import write_atomically
from draw.json_files import read_json, write_json
from draw.model.draw import DRAW
from draw.models.kinds import run_config
from draw.models.storage import export_model, load_model, weights_of_each
from draw.runs.checkpoint import (
    BEST_FILE,
    METRICS_FILE,
    DamagedCheckpointError,
    add_prefix,
    checkpoint_path,
    load_checkpoint,
    load_tensors,
    save_tensors,
    without_prefix,
)
from draw.runs.metrics import append_metrics
from draw.runs.paths import write_run_file
from running import TINY, TINY_MODEL

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}


def make_run(run: Path, steps: tuple[int, ...] = (10, 20)) -> DRAW:
    model = DRAW(TINY_MODEL)
    write_run_file(run, TINY, {"draw": "0"})
    for step in steps:
        weights = add_prefix("average", model.state_dict())
        save_tensors(checkpoint_path(run, step), weights, {"step": step})
    return model


def test_tensors_and_state_come_back(tmp_path: Path) -> None:
    save_tensors(tmp_path / "x.safetensors", TENSORS, {"step": 3, "sums": {"kl": 0.1}})
    tensors, state = load_tensors(tmp_path / "x.safetensors")
    assert state == {"step": 3, "sums": {"kl": 0.1}}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("place", ["start", "header", "state", "middle", "end"])
def test_a_changed_byte_anywhere_is_noticed(tmp_path: Path, place: str) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {"step": 3})
    content = bytearray(path.read_bytes())
    where = {
        "start": 0,
        "header": content.index(b"sha256") + 12,
        "state": content.index(b'step\\":') + 8,
        "middle": len(content) - 20,
        "end": len(content) - 1,
    }[place]
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedCheckpointError, match=r"x\.safetensors"):
        load_tensors(path)


@pytest.mark.parametrize("length", [0, 7, 100, -1])
def test_a_truncated_file_is_noticed(tmp_path: Path, length: int) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedCheckpointError):
        load_tensors(path)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_offered(tmp_path: Path) -> None:
    make_run(tmp_path)
    newest, before = checkpoint_path(tmp_path, 20), checkpoint_path(tmp_path, 10)
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.raises(DamagedCheckpointError, match=rf"{newest}.*--resume {before}"):
        load_checkpoint(tmp_path)
    assert load_checkpoint(before)[1] == {"step": 10}
    before.write_bytes(b"")
    anew = f"none before it; begin another one by draw train --config {tmp_path} --out"
    with pytest.raises(DamagedCheckpointError, match=anew):
        load_checkpoint(before)


def test_a_run_without_checkpoints_says_so(tmp_path: Path) -> None:
    """And what can be done about it: nothing that leads to the same words."""
    run = tmp_path / "a run"
    make_run(run, steps=())
    again = f"no checkpoint to go on from; start it with draw train --resume '{run}'$"
    with pytest.raises(DrawError, match=again):
        load_checkpoint(run)
    append_metrics(run / METRICS_FILE, {"kind": "train", "step": 1, "bound": 3.0})
    anew = f"begin another one by draw train --config '{run}' --out FOLDER$"
    with pytest.raises(DrawError, match=anew):
        load_checkpoint(run)
    save_tensors(run / BEST_FILE, TENSORS, {"step": 1})
    best = f"--config '{run}' --train.start-from '{run}' --out FOLDER$"
    with pytest.raises(DrawError, match=f"with its best weights by draw train {best}"):
        load_checkpoint(run)


def test_what_was_loaded_does_not_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_tensors(path, TENSORS, {})
    tensors, _ = load_tensors(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert torch.equal(tensors["a"], TENSORS["a"])


def test_a_failure_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, [1])
    with pytest.raises(DrawError, match="No space left"), write_atomically(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert read_json(path) == [1]
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_file_is_replaced_not_written_over(tmp_path: Path) -> None:
    path, same_file = tmp_path / "x.json", tmp_path / "link"
    write_json(path, [1])
    same_file.hardlink_to(path)
    write_json(path, [2])
    assert (read_json(path), read_json(same_file)) == ([2], [1])


def test_the_umask_says_who_may_read_a_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.touch()
    save_tensors(tmp_path / "one.safetensors", {"a": torch.zeros(1)}, {})
    assert (tmp_path / "one.safetensors").stat().st_mode == plain.stat().st_mode


def test_run_files_round_trip(tmp_path: Path) -> None:
    write_run_file(tmp_path, TINY, {})
    assert run_config(tmp_path) == TINY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged: expected JSON"),
        ("{}", "does not hold the config"),
        ('{"config": {"preset": "x", "model": {"glimpses": 0}}}', "model.glimpses"),
        ('{"config": {"preset": "x", "model": {"depth": 2}}}', "unknown DRAWConfig field depth"),
    ],
)
def test_a_run_file_that_is_none_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DrawError, match=message):
        run_config(tmp_path)


def test_a_run_gives_its_best_weights_or_its_last(tmp_path: Path) -> None:
    last = make_run(tmp_path)
    assert load_model(str(tmp_path)).state == {"step": 20}
    best = DRAW(TINY_MODEL)
    export_model(tmp_path / "best", best, TINY.data, {"step": 10})
    for weights, expected in (("best", best), ("last", last)):
        loaded = load_model(str(tmp_path), weights)
        assert torch.equal(loaded.model.mu.weight, expected.mu.weight)
        assert loaded.data == TINY.data
        assert loaded.config == TINY
    assert load_model(str(tmp_path / "best")).state == {"step": 10}
    for name in (str(tmp_path / "best"), "mnist"):
        with pytest.raises(DrawError, match=r"expected a run folder for --weights last .* no run"):
            load_model(name, "last")
    both = [str(tmp_path), "mnist"]
    assert weights_of_each(both, "last") == ["last", "best"]
    assert weights_of_each(both[1:], "last") == ["last"]


def test_an_exported_folder_is_one_that_from_pretrained_reads(tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    data = DataConfig(name="digits", size=(6, 5))
    export_model(tmp_path, model, data, {"step": 5})
    loaded = load_model(str(tmp_path))
    assert (loaded.data, loaded.state) == (data, {"step": 5})
    for other in (loaded.model, DRAW.from_pretrained(tmp_path)):
        assert other.config == TINY_MODEL
        assert all(
            torch.equal(a, b) for a, b in zip(other.parameters(), model.parameters(), strict=True)
        )


def test_a_folder_of_save_pretrained_is_a_model_too(tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    model.save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path))
    assert loaded.data is None
    assert torch.equal(loaded.model.mu.weight, model.mu.weight)


def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 9}))
    with pytest.raises(DrawError, match="does not hold a model of draw"):
        load_model(str(tmp_path))


def test_a_pickle_is_never_read(tmp_path: Path) -> None:
    model = DRAW(TINY_MODEL)
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(DrawError, match=r"model\.safetensors"):
        load_model(str(tmp_path))


def test_a_plain_safetensors_file_is_no_checkpoint(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "x.safetensors")
    with pytest.raises(DamagedCheckpointError, match="no checksum"):
        load_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["nowhere", "runs/nothing", "./a/b", "a b", "/nowhere/at/all"])
def test_a_model_that_is_nowhere_lists_the_choices(name: str) -> None:
    with pytest.raises(DrawError, match=r"no folder .* run folder \(runs/NAME\)"):
        load_model(name)


def test_a_hub_that_cannot_be_reached_is_told_from_a_missing_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DrawError, match=r"could not be reached \(no route\)\. Pass a run folder"):
        load_model("somebody/something")


def test_a_model_on_the_hub_comes_with_its_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = DRAW(TINY_MODEL)
    export_model(tmp_path, model, TINY.data, {"step": 5})
    asked = []

    def snapshot_download(name: str, **options: object) -> str:
        asked.append((name, options["repo_type"], options["local_files_only"]))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: None)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    loaded = load_model("somebody/something")
    assert asked == [("somebody/something", "model", False)]
    assert (loaded.source, loaded.data) == ("somebody/something", TINY.data)
    assert torch.equal(loaded.model.mu.weight, model.mu.weight)


def test_prefixes_keep_tensors_apart() -> None:
    both = {**add_prefix("model", TENSORS), **add_prefix("model_2", {"a": torch.zeros(1)})}
    assert without_prefix("model", both).keys() == TENSORS.keys()
