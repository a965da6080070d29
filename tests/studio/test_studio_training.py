"""Runs that the studio starts, stops and compares."""

import dataclasses
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from draw.config.compute import PLAIN, ComputeConfig
from draw.config.data import DataConfig
from draw.data import load_images
from draw.errors import DrawError
from draw.models.kinds import run_config
from draw.runs.checkpoint import checkpoints
from draw.runs.lock import LOCK_FILE
from draw.runs.paths import write_run_file
from draw.studio import observation
from draw.studio.given_images import GivenImages
from draw.studio.models import Catalogue, Shelf
from draw.studio.page.parts import Studio
from draw.studio.page.runs import _going, _pictures
from draw.studio.page.training_form import _can_go_on
from draw.studio.reach import Reach
from draw.studio.run_comparison import compare_runs
from draw.studio.training_process import Order, Status, TrainingProcess, presets
from studio_runs import COLOUR, DRAWS, line, make_run

pytestmark = pytest.mark.live

PATIENCE = 20.0
TRAINS = """
import json, pathlib, signal, sys, time
from draw.errors import CutShort, Interruption
arguments = sys.argv[1:]
place = arguments[1 + arguments.index("--out" if "--out" in arguments else "--resume")]
run = pathlib.Path(place)
run.mkdir(parents=True, exist_ok=True)
def save(*_):
    (run / "checkpoint").write_text("saved")
    print(Interruption(run, 1), file=sys.stderr)
    sys.exit(130)
def end(*_):
    print(CutShort(run, 7, 5), file=sys.stderr)
    sys.exit(130)
signal.signal(signal.SIGTERM, save)
signal.signal(signal.SIGHUP, end)
signal.signal(signal.SIGINT, lambda *_: sys.exit("a terminal's Ctrl-C came to it too"))
(run / "run.json").write_text(json.dumps(arguments))
print("step 1 of 3000", flush=True)
if "--train.steps" in arguments:
    sys.exit("draw: expected something else" if "13" in arguments else 0)
time.sleep(60)
"""
"""A command line that writes what it was told, and waits to be stopped."""


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it did not come to it in time"
        time.sleep(0.02)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[TrainingProcess]:
    process = TrainingProcess(
        tmp_path / "runs", ComputeConfig(device="cpu", precision=PLAIN.precision),
        (sys.executable, "-c", TRAINS),
    )  # fmt: skip
    yield process
    process.close()


def words(training: TrainingProcess) -> str:
    status = training.status()
    return "" if status is None else status.words


class TestProcess:
    def test_a_run_is_started_once_and_stopped_after_it_has_saved(self, training):
        assert training.status() is None
        run = training.start(Order("digits", seed=3))
        until(lambda: (run / "run.json").exists())
        asked = json.loads((run / "run.json").read_text())
        assert asked == [
            "train", "digits", "--out", str(run), "--train.seed", "3", "--device", "cpu",
        ]  # fmt: skip
        until(lambda: words(training) == "digits is training. step 1 of 3000")
        with pytest.raises(DrawError, match=r"expected no training at work, but .*digits is"):
            training.start(Order("digits"))
        training.stop()
        until(lambda: not training.status().running)
        assert (run / "checkpoint").read_text() == "saved"
        assert words(training) == "digits was stopped, and everything is saved."
        again = training.start(Order("digits"))
        assert again.name == "digits-2", "a run that is there is never written over"

    def test_one_that_did_not_save_is_not_said_to_have(self, training):
        run = training.start(Order("digits"))
        until(lambda: (run / "run.json").exists())
        training._process.send_signal(signal.SIGHUP)  # as a second Ctrl-C, from elsewhere
        until(lambda: not training.status().running)
        assert words(training).startswith("digits ended: ")
        assert "stopped at once at step 7; saved is step 5." in words(training)

    def test_the_end_of_the_studio_saves_it_and_says_how_to_go_on(self, training, capsys):
        run = training.start(Order("digits"))
        until(lambda: (run / "run.json").exists())
        training.close()
        assert (run / "checkpoint").read_text() == "saved"
        assert f"go on with: draw train --resume {run}" in capsys.readouterr().err

    def test_it_goes_on_with_a_run(self, training, tmp_path):
        with pytest.raises(DrawError, match=r"expected a run folder with a run\.json"):
            training.resume(tmp_path / "runs" / "none")
        run = training.start(Order("digits", steps=5))
        until(lambda: words(training) == "digits is finished.")
        training.resume(run)
        until(lambda: "--resume" in (run / "run.json").read_text())

    def test_why_it_ended_is_told(self, training):
        training.start(Order("digits", steps=13))
        expected = "digits ended: step 1 of 3000 draw: expected something else"
        until(lambda: words(training) == expected)

    @pytest.mark.parametrize(
        ("order", "expected"),
        [
            (Order("digits", steps=0), "train.steps"),
            (Order("digits", minutes=-1.0), "train.minutes"),
            (Order("digits", seed=-1), "train.seed"),
            (Order("digits", steps=1, minutes=1.0), "expected steps or minutes, got both"),
            (Order("nothing"), "expected a preset"),
            (Order("images"), "expected a preset"),
            (
                Order("digits", images=GivenImages("mine", "/nowhere")),
                "the images of digits on this computer",
            ),
        ],
    )
    def test_an_order_is_checked_as_the_command_line_does(self, training, order, expected):
        with pytest.raises(DrawError, match=expected):
            training.start(order)
        assert training.status() is None

    @pytest.mark.parametrize(
        ("preset", "shape", "flags"),
        [
            ("mnist-class", (3, 32, 32), "--data.size 28 --data.mode grey --data.fit crop"),
            ("mnist-class", (1, 28, 28), ""),
            ("cifar10", None, "--data.size 32 --data.mode colour --data.fit crop"),
            ("two-digits", (1, 20, 24), ""),
            ("two-digits", (3, 28, 28), "--data.size 28 --data.mode grey --data.fit crop"),
            ("cluttered", (1, 5, 5), "--data.size 28 --data.mode grey --data.fit crop"),
            ("chars74k", (1, 28, 28), ""),  # it says itself what is made of pictures
        ],
    )
    def test_given_images_are_made_to_fit_the_model(self, tmp_path, preset, shape, flags):
        channels, rows, columns = shape or (3, 9, 11)
        for number in range(3):
            picture = Image.new("L" if channels == 1 else "RGB", (columns, rows), 80 * number)
            picture.save(tmp_path / f"{number}.png")
        order = Order(preset, images=GivenImages("mine", str(tmp_path), shape))
        path = f"--data.path {tmp_path}"
        asked = order.arguments(Path("run"))
        assert " ".join(asked[6:]) == f"{path} {flags}".rstrip()
        config = order.config()
        data = dataclasses.replace(config.data, cache_dir=str(tmp_path / "cache"))
        found = load_images(data, "train", progress=False)
        assert found.image_shape == config.model.image_shape

    def test_presets_whose_images_are_here_are_offered(self, monkeypatch, tmp_path):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert presets(False) == ["digits"]
        assert "mnist" in presets(True)
        assert "images" not in presets(True)

    def test_only_this_computer_may_train(self, tmp_path):
        assert Reach().obstacle_to_training == ""
        for reach in (Reach("0.0.0.0"), Reach(other_names=("draw.example.org",))):
            assert "draw train digits" in reach.obstacle_to_training
        fields = {field.name: field for field in dataclasses.fields(Studio)}
        assert fields["training"].default is None


@pytest.mark.slow
def test_the_command_line_itself_is_stopped_and_goes_on(tmp_path):
    training = TrainingProcess(tmp_path / "runs")
    run = training.start(Order("digits"))

    def steps() -> int:
        path = run / "metrics.jsonl"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def reach(number: int) -> None:
        end = time.monotonic() + 200
        while steps() < number:
            assert training.status().running, words(training)
            assert time.monotonic() < end
            time.sleep(0.2)

    try:
        reach(1)
        training.stop()
        assert training._process.wait(100) == 130
        assert words(training) == "digits was stopped, and everything is saved."
        assert checkpoints(run)
        before = steps()
        training.resume(run)
        reach(before + 1)
    finally:
        training.close()
    assert training._process.returncode == 130


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("comparison") / "runs"
    digits = DataConfig(name="digits", binarize="dynamic", cache_dir=str(root.parent / "cache"))
    for name, hidden in (("a", 16), ("b", 8)):
        make_run(root / name, dataclasses.replace(DRAWS, hidden_size=hidden), digits)
    make_run(root / "colour", COLOUR, DataConfig(name="images", cache_dir=digits.cache_dir))
    return root


class TestComparison:
    def test_a_table_as_of_the_command_line(self, root, monkeypatch):
        monkeypatch.setattr("draw.studio.run_comparison.MOST_IMAGES", 20)
        first, second = (observation.read(root, f"runs/{name}") for name in "ab")
        table = compare_runs(first, second, PLAIN)
        assert "On 20 of 179 test images of digits" in table
        assert '<th scope="col">runs/a</th><th scope="col">runs/b</th>' in table
        for name in ("bound +- standard error", "difference from the first, paired", "KL",
                     "validation after 390 images"):  # fmt: skip
            assert f'<th scope="row">{name}</th>' in table
        assert str(root) not in table

    def test_what_does_not_compare_is_refused(self, root):
        first, colour = (observation.read(root, f"runs/{name}") for name in ("a", "colour"))
        with pytest.raises(DrawError, match="got the same twice"):
            compare_runs(first, first, PLAIN)
        with pytest.raises(DrawError, match="expected models whose figures compare"):
            compare_runs(first, colour, PLAIN)


def test_the_studio_knows_of_its_own_training(tmp_path):
    root = tmp_path / "runs"
    run, _ = (make_run(root / name, DRAWS, DataConfig(name="digits")) for name in "ab")
    training = TrainingProcess(root)
    catalogue = Catalogue(None, root)
    studio = Studio(catalogue, Shelf(catalogue), root, training)
    assert _going(studio, "runs/a") is None
    for running, locked, going in (
        (True, True, True),
        (False, False, False),
        (False, True, None),
    ):
        training.status = lambda running=running: Status(run, running, "")
        (run / LOCK_FILE).touch() if locked else (run / LOCK_FILE).unlink(missing_ok=True)
        assert _going(studio, "runs/a") is going
        assert _going(studio, "runs/b") is None


@pytest.mark.parametrize(
    ("patience", "tested", "can"),
    [(None, False, True), (None, True, True), (2, False, True), (2, True, False)],
)
def test_a_run_that_patience_has_ended_does_not_go_on(tmp_path, patience, tested, can):
    """One that was stopped does, and one that got more steps after its test."""
    root = tmp_path / "runs"
    run = make_run(root / "a", DRAWS, DataConfig(name="digits"))
    config = run_config(run)
    train = dataclasses.replace(config.train, patience=patience)
    write_run_file(run, dataclasses.replace(config, train=train), {})
    if tested:
        with open(run / "metrics.jsonl", "a") as file:
            file.write(line("test", 40, DRAWS) + "\n")
    catalogue = Catalogue(None, root)
    studio = Studio(catalogue, Shelf(catalogue), root, TrainingProcess(root))
    assert _can_go_on(studio, "runs/a") is False, "it has no checkpoint"
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "step-00000040.safetensors").touch()
    assert _can_go_on(studio, "runs/a") is can
    assert _can_go_on(studio, "runs/none") is False


def test_samples_of_earlier_steps_are_chosen(tmp_path):
    root = tmp_path / "runs"
    for name in ("a", "b"):
        make_run(root / name, DRAWS, DataConfig(name="digits"))
    samples = root / "a" / "samples"
    for step in (10, 26):
        Image.new("L", (3, 3), step).save(samples / f"step-{step:08}.png")
    (samples / "step-x.png").touch()
    run, other = (observation.read(root, f"runs/{name}") for name in "ab")
    assert observation.steps_of_pictures(run) == [10, 26, 40]
    for near, step in ((10, 10), (30, 26), (99, 40)):
        path, words = observation.picture_of(run, near)
        assert path.name == f"step-{step:08}.png"
        assert f"samples of step {step}" in words
    shown = _pictures([run, other], 1)
    assert "samples of step 10," in shown
    assert "samples of step 40," in shown, "the other has but one"
    assert "samples of step 26," in _pictures([run], 2)
    shutil.rmtree(samples)
    assert observation.steps_of_pictures(run) == []
    assert _pictures([run], 2) == '<div class="ds-samples"></div>'
