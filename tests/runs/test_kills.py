"""A run that is killed at any of its file operations, and goes on to the same bits.

From the operation at which a run is "killed" on, every further one fails, as if there were no
process any more: what would be removed or given back by a process that ends well stays. What
TensorBoard writes is left out; its thread does so whenever it likes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from draw.errors import DrawError
from draw.runs.checkpoint import checkpoints, load_tensors
from draw.runs.metrics import read_metrics
from draw.tasks.drawing import Drawing
from draw.training.finish import finish
from draw.training.start import resume, resumed_config, start
from running import TINY, image_set, with_train

TRAINING, VALIDATION, TEST = image_set(10), image_set(7, "validation"), image_set(5, "test")
SHORT = with_train(
    TINY, steps=3, evaluate_every=2, log_every=1, checkpoint_minutes=1e-9, keep_checkpoints=2
)
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.link"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Killed(BaseException):
    """Nothing catches it, as nothing catches SIGKILL."""


class Watch:
    """Counts the file operations below a folder, and kills at one of them."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.operations: list[str] = []
        self.kill_at: int | None = None
        sys.addaudithook(self._see)

    def run(self, folder: Path, work: Callable[[], object], kill_at: int | None = None) -> bool:
        """Do some work; says whether it was killed."""
        self.folder, self.operations, self.kill_at = folder, [], kill_at
        try:
            work()
        except Killed:
            return True
        finally:
            self.folder = None
        return False

    def _see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.folder is None or not (event == "open" or event in CHANGES):
            return
        if not isinstance(arguments[0], str | os.PathLike):
            return
        # Of a file that is renamed the new name says what it is.
        path = os.path.abspath(os.fspath(arguments[1 if event == "os.rename" else 0]))
        if event == "open" and not arguments[2] & WRITES:
            return
        if not path.startswith(str(self.folder)) or "tensorboard" in path:
            return
        if self.kill_at is not None and len(self.operations) >= self.kill_at:
            raise Killed
        self.operations.append(f"{event} {os.path.relpath(path, self.folder)}")


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def begin(run: Path) -> None:
    finish(start(SHORT, run, TRAINING, VALIDATION), TEST)


def go_on(run: Path) -> None:
    """What a user does: resume, or start again where there is no run yet."""
    if (run / "run.json").exists():
        finish(resume(resumed_config(run), run, TRAINING, VALIDATION), TEST)
    else:
        begin(run)


def outcome(run: Path) -> dict[str, Any]:
    """Everything that a run leaves, but for times."""
    weights = {
        f"{path.relative_to(run)} {name}": value.numpy().tobytes()
        for path in (*checkpoints(run), run / "best" / "model.safetensors")
        for name, value in load_tensors(path)[0].items()
    }
    lines = [
        {k: v for k, v in line.items() if k not in ("seconds", "images_per_second")}
        for line in read_metrics(run / "metrics.jsonl")
    ]
    pictures = {
        str(path.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("*.*g*"))
    }
    files = sorted(
        str(path.relative_to(run)) for path in run.rglob("*") if "tensorboard" not in str(path)
    )
    return {**weights, **pictures, "metrics": lines, "files": files}


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def sweep(
    watch: Watch,
    folder: Path,
    work: Callable[[Path], None],
    prepare: Callable[[Path], object] = lambda run: None,
    chosen: Callable[[int, str], bool] = lambda number, operation: True,
) -> int:
    """Kill some work at chosen ones of its file operations, and go on; says at how many."""
    run = folder / "whole"
    prepare(run)
    assert not watch.run(run, lambda: work(run))
    # The last operation gives the lock of a finished run back: there is nothing to go on with.
    whole, operations, count = outcome(run), watch.operations[:-1], 0
    for number, operation in enumerate(operations):
        if not chosen(number, operation):
            continue
        count += 1
        run = folder / str(number)
        prepare(run)
        assert watch.run(run, lambda run=run: work(run), number), operation
        go_on(run)
        assert not differences(whole, outcome(run)), f"killed before {number}: {operation}"
        with pytest.raises(DrawError, match="all of its 3 steps"):
            go_on(run)
    return count


PARTS = 6


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.slow) for part in range(1, PARTS))]
)
@pytest.mark.usefixtures("plain_pictures")
def test_a_run_killed_at_any_file_operation_goes_on_to_the_same_bits(
    watch: Watch, tmp_path: Path, part: int
) -> None:
    count = sweep(watch, tmp_path, begin, chosen=lambda number, _: number % PARTS == part)
    assert count >= 14


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", [6, 45, 75])
@pytest.mark.usefixtures("plain_pictures")
def test_a_resumed_run_killed_at_any_file_operation_goes_on_to_the_same_bits(
    watch: Watch, tmp_path: Path, killed_at: int
) -> None:
    """Before the first checkpoint, in the middle, and while the pictures are made."""

    def prepare(run: Path) -> None:
        assert watch.run(run, lambda: begin(run), killed_at)

    sweep(watch, tmp_path, go_on, prepare, chosen=lambda number, _: number % PARTS == 0)


@pytest.mark.slow
def test_a_run_killed_before_any_of_its_pictures_gets_them_all(
    watch: Watch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = {f"os.rename {name}" for name in Drawing.picture_names}
    count = sweep(watch, tmp_path, begin, chosen=lambda _, operation: operation in pictures)
    assert count == len(Drawing.picture_names)
    assert capsys.readouterr().out.count("test bound 22.") == 1 + 2 * count
