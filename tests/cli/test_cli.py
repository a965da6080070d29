"""The command line through its real entry point, on scikit-learn's digits.

Most commands run in the process of the tests. In one of their own: help, a first training, each
kind of launcher, and whatever is killed or interrupted.
"""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from draw.errors import CutShort, Interruption
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from running import TINY_DIGITS, draw_at_a_terminal, draw_command, draw_process, one_thread


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def flags(place: Path) -> list[str]:
    return [*TINY_DIGITS, "--data.cache-dir", str(place / "cache")]


SIX_STEPS = ("--train.steps", "6", "--train.evaluate-every", "3")


@pytest.fixture(scope="module")
def run(place: Path, flags: list[str]) -> Path:
    """A finished run of six steps."""
    draw_command("train", "digits", "--out", "run", *flags, *SIX_STEPS, cwd=place)
    return place / "run"


def last_weights(run: Path) -> dict[str, torch.Tensor]:
    return load_tensors(checkpoints(run)[-1])[0]


@pytest.mark.parametrize("rank", ["0", "1"])
@pytest.mark.parametrize(
    ("stop", "says"),
    [
        (Interruption(Path("a run"), 7), "stopped at step 7; .* draw train --resume 'a run'"),
        (CutShort(Path("a run"), 7, 5), "stopped at once at step 7; saved is step 5. .* 'a run'"),
        (KeyboardInterrupt(), "draw: stopped"),
    ],
)
def test_a_stop_is_told_by_the_first_process_alone(
    stop: BaseException, says: str, rank: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(arguments: list[str]) -> None:
        raise stop

    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr("draw.cli._dispatch", end)
    told = draw_command("info", cwd=tmp_path, check=130).stderr
    assert re.fullmatch(f"{says}\n" if rank == "0" else "", told)


def test_help_teaches_and_is_quick_to_import(place: Path) -> None:
    text = draw_process("--help", cwd=place).stdout
    for word in ("train", "sample", "reconstruct", "animate", "evaluate", "info", "data", "MODEL"):
        assert word in text
    code = "import sys, draw.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_help_of_a_preset_shows_its_values(place: Path) -> None:
    text = " ".join(draw_process("train", "mnist", "--help", cwd=place).stdout.split())
    assert re.search(r"--model\.glimpses INT [^(]*\(default:[│ ]*64\)", text)
    assert "80.97" in text


def test_training_leaves_everything_it_promises(run: Path, place: Path, flags: list[str]) -> None:
    """In a process of its own: the first command of a user, and what other tests start from."""
    command = ["train", "digits", "--out", "first", "--json", "result.json", *flags, *SIX_STEPS]
    done = draw_process(*command, cwd=place)
    first = place / "first"
    for name in ("samples.png", "generation.png", "reconstructions.png", "curves.png"):
        with Image.open(first / name) as picture:
            assert min(picture.size) > 100, name
    with Image.open(first / "generation.gif") as animation:
        assert animation.n_frames >= 2
    kinds = [line["kind"] for line in read_metrics(first / "metrics.jsonl")]
    assert kinds.count("validation") == 2
    assert kinds[-1] == "test"
    assert list((first / "tensorboard").rglob("events.*"))
    result = json.loads((place / "result.json").read_text())
    assert result["test"]["images"] == 179
    assert result["test"]["bound"] == read_metrics(first / "metrics.jsonl")[-1]["bound"]

    # A pipe gets plain lines.
    assert "\x1b" not in done.stdout + done.stderr
    assert re.search(
        r"train 6/6 .* images/s .* left .* bound [\d.]+ = reconstruction [\d.]+ \+ KL [\d.]+ nats",
        done.stderr,
    )
    assert re.search(r"test bound [\d.]+ \+- [\d.]+ nats", done.stdout)

    # A process of its own makes no difference.
    here, there = last_weights(run), last_weights(first)
    assert here.keys() == there.keys()
    assert all(torch.equal(value, there[name]) for name, value in here.items())


def test_a_terminal_gets_a_live_bar(run: Path, place: Path) -> None:
    _, seen = draw_at_a_terminal("evaluate", str(run), cwd=place, kind="xterm-256color")
    assert "\x1b[" in seen
    assert "179/179" in seen


def test_the_same_seed_gives_the_same_picture(run: Path, place: Path) -> None:
    for out, seed, draw in (
        ("a.png", "5", draw_process),
        ("b.png", "5", draw_command),
        ("c.png", "6", draw_command),
    ):
        draw("sample", str(run), "--n", "4", "--seed", seed, "--out", out, cwd=place)
    a, b, c = ((place / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b
    assert a != c


def test_verbs_write_pictures_and_json(run: Path, place: Path) -> None:
    command = ["sample", str(run), "--n", "9", "--nearest", "--out", "s.png", "--json", "s.json"]
    assert draw_command(*command, cwd=place).stdout.split() == ["s.png"]
    assert len(json.loads((place / "s.json").read_text())["nearest"]["numbers"]) == 3

    done = draw_command(
        "animate", str(run), "--n", "2", "--out", "a.webp", "--json", "-", cwd=place
    )
    windows = json.loads(done.stdout)["write_windows"]
    assert windows.keys() == {"g_x", "g_y", "delta", "sigma", "gamma"}
    assert len(windows["sigma"]) == 2
    assert len(windows["sigma"][0]) == 2

    draw_command("reconstruct", str(run), "--n", "3", "--json", "r.json", cwd=place)
    images = json.loads((place / "r.json").read_text())["images"]
    assert [image["number"] for image in images] == [0, 89, 178]
    for image in images:
        assert image["bound"] == pytest.approx(image["reconstruction"] + sum(image["kl"]))

    done = draw_command("info", str(run), "--json", "-", cwd=place)
    values = json.loads(done.stdout)
    assert "glimpses" in done.stderr
    assert values["model"]["glimpses"] == 2
    assert values["step"] in (3, 6)
    for name in ("s.png", "a.webp", "reconstructions.png"):
        Image.open(place / name).verify()


def test_evaluate_does_not_depend_on_the_batch_size(run: Path, place: Path) -> None:
    results = []
    for size in ("7", "179"):
        draw_command(
            "evaluate", str(run), "--batch-size", size, "--importance-samples", "3",
            "--json", f"{size}.json", cwd=place,
        )  # fmt: skip
        results.append(json.loads((place / f"{size}.json").read_text()))
    assert results[0]["images"] == results[1]["images"] == 179
    for name in ("bound", "bound_standard_error", "importance_weighted"):
        assert results[0][name] == pytest.approx(results[1][name], rel=1e-6)


def test_data_verbs(place: Path) -> None:
    cache = ["--cache-dir", str(place / "cache")]
    draw_command("data", "list", *cache, "--json", "list.json", cwd=place)
    names = [entry["name"] for entry in json.loads((place / "list.json").read_text())]
    assert {"mnist", "binarized_mnist", "digits", "fashion-mnist", "omniglot", "images"} <= {*names}
    for verb in ("prepare", "check"):
        done = draw_command(
            "data", verb, "digits", "--data.cache-dir", str(place / "cache"), cwd=place
        )
        assert "179" in done.stdout
    assert "0 test images are also among the training images" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nonsense"], r"expected a preset \(digits, mnist.*got 'nonsense'"),
        (["frobnicate"], r"expected a verb \(train, sample, .*, data\), got 'frobnicate'$"),
        (["data", "frobnicate"], r"expected a verb \(list, .*check.*\), got 'frobnicate'$"),
        (["train", "images"], r"--data\.path FOLDER"),
        (["train", "--resume", "nowhere"], "expected a run folder .*got nowhere: nothing is there"),
        (["reconstruct", "run", "--n", "0"], "--n to be .*a whole number of at least 1, got 0"),
        (["sample", "run", "--n", "1000000000"], "does not fit into memory: at least"),
        (["sample", "run", "--json", ""], "--json to be None or text that is not empty, got ''"),
        (["train", "digits", "--json", "run"], r"--json .* \(it is a folder\), got 'run'"),
        (["train", "digits", "--out", "run"], r"run exists already.*--resume run"),
        (["train", "--resume", "run"], r"has all of its 6 steps.*--train\.steps 12"),
        (["train", "--resume", "run", "--model.glimpses", "5"], r"model\.glimpses is 2 in run"),
        (["sample", "nowhere"], "there is no folder nowhere"),
        (["sample", "run", "--n", "0"], "--n to be a whole number of at least 1, got 0"),
        (["sample", "run", "--seed", "-1"], "--seed to be a whole number of at least 0, got -1"),
        (["sample", "run", "--out", "x.bmp"], r"\.png"),
        (["animate", "run", "--out", "x.avi"], r"\.gif.*\.mp4"),
        (
            ["evaluate", "run", "--batch-size", "0"],
            "--batch-size to be .* at least 1, got 0",
        ),
        (["evaluate", "run", "--data.path", "nowhere"], "nowhere"),
        (["data", "check", "binarized_mnist"], r"--data\.path FOLDER"),
        (["data", "check", "mnist", "--data.name", "digits"], "one data set, got mnist and digits"),
        (["data", "prepare"], r"--data\.path"),
    ],
    ids=" ".join,
)
def test_mistakes_are_told_in_one_message(
    run: Path, place: Path, arguments: list[str], message: str
) -> None:
    done = draw_command(*arguments, cwd=place, check=1)
    assert re.search(message, done.stderr, re.DOTALL), done.stderr
    assert done.stderr.splitlines()[-1].strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "digits", "--model.glimpse", "3"], "--model.glimpses"),
        (["train", "digits", "--model.glimpses", "0"], "expected model.glimpses"),
    ],
    ids=" ".join,
)
def test_unknown_words_and_values_are_named(
    place: Path, arguments: list[str], message: str
) -> None:
    done = draw_process(*arguments, cwd=place, check=2)
    assert message in done.stdout + done.stderr


def test_a_mistake_ends_a_process_with_its_message_alone(place: Path) -> None:
    done = draw_process("train", "nonsense", cwd=place, check=1)
    assert re.fullmatch(r"draw: expected a preset \(.*\), got 'nonsense'\n", done.stderr)
    assert done.stdout == ""


def test_own_pictures_train_and_their_shape_has_to_be_chosen(place: Path, flags: list[str]) -> None:
    folder = place / "pictures"
    folder.mkdir()
    for i in range(12):
        Image.new("RGB", (20 + i, 16), (20 * i, 255 - 20 * i, 90)).save(folder / f"{i}.png")
    small = ["--data.path", "pictures", *flags]
    done = draw_command("train", "images", *small, cwd=place, check=1)
    assert "--data.size 32 --data.mode colour" in done.stderr
    draw_command(
        "train", "images", *small, "--data.size", "12", "10", "--data.mode", "colour",
        "--train.steps", "3", cwd=place,
    )  # fmt: skip
    model = json.loads((place / "runs" / "images" / "run.json").read_text())["config"]["model"]
    assert (model["rows"], model["columns"], model["channels"]) == (12, 10, 3)
    assert (place / "runs" / "images" / "samples.png").exists()


def test_two_digits_from_ones_own_pictures(place: Path, flags: list[str]) -> None:
    folder = place / "strokes"
    folder.mkdir()
    for i in range(30):
        Image.new("L", (9, 8), 5 * i + 100).save(folder / f"{i:02}.png")
    done = draw_command(
        "train", "two-digits", "--data.path", "strokes", *flags, "--train.steps", "3",
        "--out", "two", "--json", "two.json", cwd=place,
    )  # fmt: skip
    assert "24 images of 60x60x1 from strokes" in done.stdout
    assert "each is two images of 8x9 at random places of a black 60x60" in done.stdout
    assert "validation and test: the same, made once and for all" in done.stdout
    bound = json.loads((place / "two.json").read_text())["test"]["bound"]
    draw_command("evaluate", "two", "--json", "again.json", cwd=place)
    assert json.loads((place / "again.json").read_text())["bound"] == pytest.approx(bound, rel=1e-6)
    draw_command("sample", "two", "--n", "4", "--nearest", "--out", "near.png", cwd=place)
    draw_command("reconstruct", "two", "--split", "train", "--out", "train.png", cwd=place)
    for name in ("near.png", "train.png"):
        Image.open(place / name).verify()
    done = draw_command(
        "data", "check", "two-digits", "--data.path", "strokes", "--data.cache-dir", "cache",
        cwd=place,
    )  # fmt: skip
    assert "a model sees two images of 8x9" in done.stdout
    done = draw_command(
        "train", "two-digits", "--data.path", "strokes", *flags, "--data.size", "61",
        "--data.fit", "pad", "--out", "large", cwd=place, check=1,
    )  # fmt: skip
    assert "at most 60x60 to lay on the canvas of two digits, got 61x61" in done.stderr


def test_somebody_at_a_terminal_is_asked_for_size_and_mode(place: Path, flags: list[str]) -> None:
    folder = place / "asked"
    folder.mkdir()
    for i in range(10):
        Image.new("L", (9, 9), 25 * i).save(folder / f"{i}.png")
    command = "train images --data.path asked --out answered --train.steps 1"
    draw_at_a_terminal(
        *command.split(), *flags, cwd=place, kind="dumb",
        answers=[(r"--data\.size\)[^:]*: $", "8\n"), (r"--data\.mode\)[^:]*: $", "\n")],
    )  # fmt: skip
    config = json.loads((place / "answered" / "run.json").read_text())["config"]
    assert (config["data"]["size"], config["data"]["mode"]) == ([8], "grey")


def started(place: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "draw", *arguments],
        cwd=place,
        env=one_thread(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_checkpoint(run: Path, process: subprocess.Popen[str], least: int) -> None:
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and process.poll() is None:
        found = checkpoints(run)
        if found and int(found[-1].stem.removeprefix("step-")) >= least:
            return
        time.sleep(0.01)
    raise AssertionError(process.communicate())


@pytest.mark.slow
def test_killed_and_interrupted_runs_end_with_the_same_bits(place: Path, flags: list[str]) -> None:
    every_step = [*flags, "--train.steps", "80", "--train.checkpoint-minutes", "1e-9"]
    draw_command("train", "digits", "--out", "straight", *every_step, cwd=place)

    process = started(place, "train", "digits", "--out", "broken", *every_step)
    wait_for_checkpoint(place / "broken", process, 10)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    process = started(place, "train", "--resume", "broken")
    wait_for_checkpoint(place / "broken", process, 30)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "Go on with: draw train --resume broken" in errors

    draw_command("train", "--resume", "broken", cwd=place)
    finals = [last_weights(place / run) for run in ("straight", "broken")]
    assert finals[0].keys() == finals[1].keys()
    for name, value in finals[0].items():
        assert torch.equal(value, finals[1][name]), name
    tests = [read_metrics(place / run / "metrics.jsonl")[-1] for run in ("straight", "broken")]
    assert tests[0] == tests[1]
