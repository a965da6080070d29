"""Several processes, started by torchrun or accelerate launch: together they do what one does.

Each is a fresh process, which takes seconds to start; so that nearly all of these tests are slow.
"""

import json
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import torch

from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from running import (
    TINY_DIGITS,
    draw_command,
    draw_process,
    ended,
    python_process,
    started,
    stopped,
)

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("launchers")


@pytest.fixture(scope="module")
def flags(place: Path) -> list[str]:
    return [*TINY_DIGITS, "--data.cache-dir", str(place / "cache")]


@pytest.fixture(scope="module")
def run(place: Path, flags: list[str]) -> Path:
    """A finished run of six steps."""
    steps = ("--train.steps", "6", "--train.evaluate-every", "3")
    draw_command("train", "digits", "--out", "run", *flags, *steps, cwd=place)
    return place / "run"


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(checkpoints(run)[-1])[0]


def assert_same_updates(one: Path, several: Path) -> None:
    """But for the order in which gradients are added up."""
    alone, together = last_weights(one), last_weights(several)
    assert alone.keys() == together.keys()
    for name, value in alone.items():
        torch.testing.assert_close(together[name], value, rtol=1e-4, atol=1e-6, msg=name)
    lines = [read_metrics(run / "metrics.jsonl") for run in (one, several)]
    assert [line["kind"] for line in lines[0]] == [line["kind"] for line in lines[1]]
    for first, second in zip(*lines, strict=True):
        assert second["bound"] == pytest.approx(first["bound"], rel=1e-5)
    assert lines[0][-1]["images"] == lines[1][-1]["images"] == 179


@pytest.mark.launcher
@pytest.mark.slow
@pytest.mark.parametrize(
    ("launcher", "processes"), [("torchrun", 2), ("torchrun", 4), ("accelerate", 2)]
)
def test_several_processes_make_the_same_updates_as_one(
    place: Path, flags: list[str], launcher: str, processes: int
) -> None:
    short = [*flags, "--train.steps", "5", "--train.evaluate-every", "5"]
    if not (place / "alone").exists():
        draw_command("train", "digits", "--out", "alone", *short, cwd=place)
    program = {
        "torchrun": (*TORCHRUN, str(processes), "-m"),
        "accelerate": (
            "-m", "accelerate.commands.launch", "--cpu", "--num_processes", str(processes),
            "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no",
            "--main_process_port", "0", "-m",
        ),
    }[launcher]  # fmt: skip
    out = f"{launcher}-{processes}"
    draw_process("train", "digits", "--out", out, *short, cwd=place, launcher=program)
    assert_same_updates(place / "alone", place / out)


def workers(launcher: subprocess.Popen[str], run: Path, step: int) -> list[psutil.Process]:
    """The processes of a launcher, when their run has a checkpoint of that step."""
    deadline = time.monotonic() + 100
    while not any(int(path.stem[5:]) >= step for path in checkpoints(run)):
        if launcher.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"no checkpoint of step {step}:\n{''.join(stopped(launcher))}")
        time.sleep(0.01)
    return psutil.Process(launcher.pid).children()


@pytest.mark.launcher
@pytest.mark.slow
def test_a_worker_that_is_killed_comes_back_and_the_run_ends_with_the_same_bits(
    place: Path, flags: list[str]
) -> None:
    command = (
        *TORCHRUN, "2", "--max-restarts", "1", "-m", "draw", "train", "digits", *flags,
        "--train.steps", "60", "--train.evaluate-every", "30", "--train.checkpoint-minutes", "1e-9",
    )  # fmt: skip
    python_process(*command, "--out", "unbroken", cwd=place)
    launcher = started(*command, "--out", "broken", cwd=place)
    try:
        first, second = workers(launcher, place / "broken", step=20)
        second.kill()
        done = ended(launcher)
    finally:
        stopped(launcher)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("started again by the launcher: going on with broken") == 1
    assert not first.is_running()
    unbroken, broken = last_weights(place / "unbroken"), last_weights(place / "broken")
    assert unbroken.keys() == broken.keys()
    for name, value in unbroken.items():
        assert torch.equal(value, broken[name]), name
    for again in json.loads((place / "broken" / "run.json").read_text())["made"]["resumed"]:
        assert again["step"] >= 20
    assert again["changes"] == {}


@pytest.mark.launcher
@pytest.mark.slow
def test_two_nodes_make_the_same_updates_as_one_process(place: Path, flags: list[str]) -> None:
    """Two launchers on this computer, which find one another at a rendezvous."""
    short = [*flags, "--train.steps", "5", "--train.evaluate-every", "5"]
    if not (place / "alone").exists():
        draw_command("train", "digits", "--out", "alone", *short, cwd=place)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    node = (
        "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--rdzv-id", "two",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"localhost:{port}", "--local-addr",
        "localhost", "-m", "draw", "train", "digits", "--out", "nodes", *short,
    )  # fmt: skip
    nodes = [started(*node, cwd=place) for _ in range(2)]
    try:
        done = [ended(one) for one in nodes]
    finally:
        for one in nodes:
            stopped(one)
    assert [one.returncode for one in done] == [0, 0], done
    assert sum(one.stdout.count("test bound") for one in done) == 1
    assert_same_updates(place / "alone", place / "nodes")


@pytest.mark.launcher
@pytest.mark.slow
def test_a_batch_that_processes_cannot_share_is_refused_by_one_message(
    place: Path, flags: list[str]
) -> None:
    done = draw_process(
        "train", "digits", "--out", "odd", *flags, "--train.batch-size", "7", cwd=place,
        launcher=(*TORCHRUN, "2", "-m"), check=1,
    )  # fmt: skip
    message = "multiple of the 2 processes, got 7; pass --train.batch-size 8"
    assert done.stderr.count(message) == 1


# Threads that outlive the process group abort the process now and then, after all work is done.
ONE_OF_TWO = """
from pathlib import Path

import psutil
import torch
from draw.config.compute import PLAIN
from draw.model.machine import settle
from draw.training.accelerator import make_accelerator

before = psutil.Process().num_threads()
accelerator = make_accelerator(settle(PLAIN))
accelerator.prepare(torch.nn.Linear(1, 1))
during = psutil.Process().num_threads()
accelerator.end_training()
counts = before, during, psutil.Process().num_threads()
Path(f"{accelerator.process_index}.txt").write_text(" ".join(map(str, counts)))
"""


@pytest.mark.launcher
@pytest.mark.slow
def test_the_threads_of_a_process_group_end_with_it(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(ONE_OF_TWO)
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2")
    python_process(*launcher, "one.py", cwd=tmp_path)
    for rank in range(2):
        before, during, after = map(int, (tmp_path / f"{rank}.txt").read_text().split())
        assert before == after < during


@pytest.mark.launcher
@pytest.mark.slow
def test_two_processes_measure_what_one_does(run: Path, place: Path) -> None:
    draw_command("evaluate", "run", "--json", "one.json", cwd=place)
    launcher = (*TORCHRUN, "2", "-m")
    done = draw_process("evaluate", "run", "--json", "two.json", cwd=place, launcher=launcher)
    one, two = (json.loads((place / name).read_text()) for name in ("one.json", "two.json"))
    assert two["bound"] == pytest.approx(one["bound"], rel=1e-5)
    assert one["images"] == two["images"] == 179
    assert done.stdout.count("test images of") == 1


STUCK = """
import pathlib
import subprocess
import sys
import time

def wait_for_nobody():
    pathlib.Path("waits").touch()
    time.sleep(100)

if sys.argv[1:]:
    wait_for_nobody()
subprocess.run([sys.executable, __file__, "worker"])
"""


def test_a_run_that_does_not_end_says_where_each_process_was(tmp_path: Path) -> None:
    (tmp_path / "stuck.py").write_text(STUCK)
    launcher = started("stuck.py", cwd=tmp_path)
    while not (tmp_path / "waits").exists():
        time.sleep(0.05)
    with pytest.raises(pytest.fail.Exception, match="longer than 1 sec") as failed:
        ended(launcher, 1)
    said = str(failed.value)
    assert "in wait_for_nobody" in said
    assert "in run" in said, "the launcher"
    assert not psutil.pid_exists(launcher.pid)


@pytest.mark.parametrize("verb", ["export", "sample", "data"])
def test_copies_of_a_verb_do_not_write_over_each_other(
    run: Path, place: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    rest = {
        "export": ["run", "--to", "copies"],
        "sample": ["run", "--out", "copies"],
        "data": ["list"],
    }
    told = draw_command(verb, *rest[verb], cwd=place, check=1).stderr
    assert f"expected one process for draw {verb}, got 2" in told
    assert not (place / "copies").exists()


def test_help_is_there_for_each_of_several_processes(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "draw studio" in draw_command("--help", cwd=place).stdout
    assert "--seed" in draw_command("sample", "--help", cwd=place).stdout
