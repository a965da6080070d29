"""A launcher starts a run again: it goes on, and nothing else does without being told to."""

import dataclasses
from pathlib import Path

import pytest
import torch

from draw.config.run import Config
from draw.errors import DrawError, Interruption
from draw.json_files import read_json
from draw.launch import has_told, is_to_tell, launches, lost_process
from draw.models.kinds import run_config
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.training.finish import finish
from draw.training.restart import is_restart, start_or_go_on
from draw.training.trainer import Trainer
from running import TINY, TINY_DIGITS, draw_command, image_set, with_train

TRAINING, VALIDATION, TEST = image_set(10), image_set(7, "validation"), image_set(5, "test")


def launch(patch: pytest.MonkeyPatch, attempt: int, **names: str) -> None:
    """As launchers set the environment, at the first start or after so many restarts."""
    for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_ERROR_FILE", "SLURM_JOB_ID"):
        patch.delenv(name, raising=False)
    for name, value in (names or {"TORCHELASTIC_RUN_ID": "job"}).items():
        patch.setenv(name, value)
        counted = "SLURM" if name.startswith("SLURM") else "TORCHELASTIC"
        patch.setenv(f"{counted}_RESTART_COUNT", str(attempt))


def begun(run: Path, config: Config = TINY) -> Trainer:
    return start_or_go_on(config, run, TRAINING, VALIDATION)


def killed(run: Path, step: int, config: Config = TINY) -> None:
    """A run of which nothing is left but its folder."""
    trainer = begun(run, config)
    one_step = trainer._one_step

    def until() -> bool:
        one_step()
        return trainer.step == step

    trainer._one_step = until  # type: ignore[method-assign]
    with pytest.raises(Interruption):
        trainer.fit()


FOLDER = "/tmp/torchelastic_a/none_b/attempt_{}/0/error.json"


@pytest.mark.parametrize("launcher", ["named", "by its folder", "slurm"])
def test_a_run_that_its_launcher_starts_again_ends_with_the_same_bits(
    launcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {
        "named": lambda attempt: {"TORCHELASTIC_RUN_ID": "job"},
        "by its folder": lambda attempt: {"TORCHELASTIC_ERROR_FILE": FOLDER.format(attempt)},
        "slurm": lambda attempt: {"SLURM_JOB_ID": "17"},
    }[launcher]
    begun(tmp_path / "straight").fit()
    launch(monkeypatch, 0, **names(0))
    killed(tmp_path / "run", 5)
    launch(monkeypatch, 1, **names(1))
    killed(tmp_path / "run", 8)
    launch(monkeypatch, 2, **names(2))
    trainer = begun(tmp_path / "run")
    assert trainer.step == 8
    trainer.fit()
    straight, again = (
        load_tensors(checkpoints(tmp_path / name)[-1])[0] for name in ("straight", "run")
    )
    assert all(torch.equal(value, again[name]) for name, value in straight.items())
    resumed = read_json(tmp_path / "run" / "run.json")["made"]["resumed"]
    assert [note["step"] for note in resumed] == [5, 8]


@pytest.mark.parametrize(
    ("attempt", "names"),
    [
        (0, {"TORCHELASTIC_RUN_ID": "job"}),
        (1, {"TORCHELASTIC_RUN_ID": "another"}),
        (1, {"TORCHELASTIC_RUN_ID": "none"}),
        (1, {"TORCHELASTIC_ERROR_FILE": FOLDER.format(1)}),
        (1, {"SLURM_JOB_ID": "job"}),
    ],
)
def test_another_launch_is_refused_the_folder(
    attempt: int, names: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(monkeypatch, 0)
    killed(tmp_path / "run", 5)
    launch(monkeypatch, attempt, **names)
    assert not is_restart(tmp_path / "run")
    with pytest.raises(DrawError, match="exists already and is left as it is"):
        begun(tmp_path / "run")


def test_without_a_launcher_the_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        launch(patch, 0)
        killed(tmp_path / "run", 5)
    with pytest.raises(DrawError, match="exists already and is left as it is"):
        begun(tmp_path / "run")


def test_a_restart_with_another_config_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(monkeypatch, 0)
    killed(tmp_path / "run", 5)
    launch(monkeypatch, 1)
    with pytest.raises(DrawError, match=r"train\.seed is 0, got 1.*--rdzv-id of its own"):
        begun(tmp_path / "run", with_train(TINY, seed=1))


@pytest.mark.parametrize("path", ["pictures", "~/pictures", "./pictures/../pictures"])
def test_a_place_written_in_another_way_is_the_same_place(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = dataclasses.replace(TINY, data=dataclasses.replace(TINY.data, path=path))
    launch(monkeypatch, 0)
    killed(tmp_path / "run", 5, config)
    launch(monkeypatch, 1)
    assert begun(tmp_path / "run", config).step == 5
    assert run_config(tmp_path / "run").data.path == str(tmp_path / "pictures")


def test_a_cache_in_the_working_folder_is_the_same_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_pictures: None
) -> None:
    command = ("train", "digits", *TINY_DIGITS, "--train.steps", "2", "--data.cache-dir", "cache")
    for attempt, seeds in ((0, ()), (1, ()), (0, ("--seeds", "1")), (1, ("--seeds", "1"))):
        launch(monkeypatch, attempt)
        told = draw_command(*command, *seeds, cwd=tmp_path).stdout
        assert ("started again by the launcher" in told) == (attempt == 1)


def test_killed_before_the_folder_was_a_run_it_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch(monkeypatch, 1)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").write_text("{}")
    assert begun(tmp_path / "run").step == 0


def test_a_run_that_ended_before_its_launcher_did_is_tested_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_pictures: None
) -> None:
    launch(monkeypatch, 0)
    first = finish(begun(tmp_path / "run"), TEST)
    launch(monkeypatch, 1)
    again = finish(begun(tmp_path / "run"), TEST)
    assert first is not None
    assert again is not None
    assert again["test"] == first["test"]


def test_from_an_earlier_checkpoint_a_restart_goes_on_from_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain_pictures: None
) -> None:
    steps = ("--train.steps", "3", "--train.checkpoint-minutes", "1e-9")
    draw_command("train", "digits", "--out", "run", *TINY_DIGITS, *steps, cwd=tmp_path)
    first = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())[0]
    resumed = ("train", "--resume", f"run/checkpoints/{first}")
    for attempt, step in ((0, int(first[5:13])), (1, 3)):
        launch(monkeypatch, attempt)
        told = draw_command(*resumed, cwd=tmp_path).stdout
        assert ("started again by the launcher" in told) == (attempt == 1)
        assert read_json(tmp_path / "run" / "run.json")["made"]["resumed"][-1]["step"] == step
        for lost in (tmp_path / "run").glob("*.png"):
            lost.unlink()


def test_a_message_is_told_once_by_the_processes_of_a_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for attempt in (0, 1):
        for rank in (0, 1):
            folder = tmp_path / f"attempt_{attempt}" / str(rank)
            folder.mkdir(parents=True)
            monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(folder / "error.json"))
            assert has_told() == (rank == 1)
            assert is_to_tell("no such folder") == (rank == 0)
            assert is_to_tell(f"of {rank} alone")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "gone" / "0" / "error.json"))
    assert is_to_tell("no such folder")
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE")
    assert is_to_tell("no such folder")
    assert not has_told()


def test_a_process_alone_has_lost_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = RuntimeError("[gloo/transport/tcp/pair.cc:544] Connection closed by peer")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert lost_process(lost)
    assert lost_process(torch.distributed.DistBackendError("NCCL error"))
    assert not lost_process(RuntimeError("shapes do not match"))
    assert not lost_process(ValueError("gloo"))
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not lost_process(lost)


def test_without_a_launcher_a_launch_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_ERROR_FILE", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    assert launches() == {}
