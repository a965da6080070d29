"""metrics.jsonl: whatever stands in it, a resume, a curve and the studio go on."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from draw.cli.paper_figures import curves_figure
from draw.config.data import DataConfig
from draw.errors import DrawError
from draw.runs.metrics import (
    DAMAGED_FILE,
    LONGEST_LINE,
    append_metrics,
    best_evaluation,
    forget_metrics_after,
    read_metrics,
    scan_metrics,
    seconds_in,
)
from draw.studio import observation
from draw.visualize import classification_curves, training_curves
from studio_runs import DRAWS, line, make_run

DAMAGED = {
    "cut": b'{"kind": "train", "step": 6, "bou',
    "no JSON": b"hello",
    "a list": b"[1, 2]",
    "a number": b"7",
    "not a number": b"NaN",
    "null": b"null",
    "text": b'"train"',
    "no kind": b'{"step": 1}',
    "kind of another type": b'{"kind": ["train"], "step": 1}',
    "no step": b'{"kind": "train"}',
    "step of another type": b'{"kind": "train", "step": "one"}',
    "a step that is true": b'{"kind": "train", "step": true}',
    "a step before the first": b'{"kind": "train", "step": -1}',
    "a fraction of a step": b'{"kind": "train", "step": 1.5}',
    "a value of another type": b'{"kind": "train", "step": 1, "bound": "low"}',
    "a value within a value": b'{"kind": "train", "step": 1, "bound": {"a": 1}}',
    "a list in a list": b'{"kind": "validation", "step": 1, "kl_per_glimpse": [[1]]}',
    "a number beyond all": b'{"kind": "train", "step": 1, "bound": 1' + 400 * b"0" + b"}",
    "thousands of digits": b'{"kind": "train", "step": ' + 5000 * b"1" + b"}",
    "thousands of levels": 100_000 * b"[",
    "not UTF-8": b'{"kind": "train", "step": 1, "\xff\xfe": 1}',
    "zeros": bytes(100),
    "very long": b'{"kind": "train", "step": 1, "x": "' + LONGEST_LINE * 2 * b"x" + b'"}',
}
STRANGE = (
    {"bound": [1.0, 2.0], "kl_per_glimpse": 3.0, "error_by_glimpse": 4, "seconds": [1]},
    {"bound": 1e308, "bits_per_dimension": 0.0, "kl_per_glimpse": [None, 1e308]},
    {"bound": -1e308, "bits_per_dimension": -1e308, "images_seen": 1e308, "seconds": 1e308},
    {"bound": None, "error": None, "seconds": None, "images_seen": None, "kl_per_glimpse": None},
    {"bound": 1e-320, "bits_per_dimension": 1e100, "kl_per_glimpse": []},
)
"""Lines of the right form whose values make no sense."""


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "a", DRAWS, DataConfig(name="digits"))


def insert(run: Path, *damaged: bytes) -> tuple[list[dict[str, object]], list[bytes]]:
    """Put damaged lines after the tenth of a run; gives what it says and its text from before."""
    path = run / "metrics.jsonl"
    lines, text = read_metrics(path), path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*text[:10], *(raw + b"\n" for raw in damaged), *text[10:]]))
    return lines, text


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_line_is_left_out_and_those_after_it_are_read(run: Path, damaged: bytes) -> None:
    lines, _ = insert(run, damaged)
    assert scan_metrics(run / "metrics.jsonl") == (lines, 1)


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_resuming_sets_a_damaged_line_aside_and_keeps_those_after_it(
    run: Path, damaged: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    _, text = insert(run, damaged)
    forget_metrics_after(run / "metrics.jsonl", 40)
    assert (run / "metrics.jsonl").read_bytes() == b"".join(text)
    assert (run / DAMAGED_FILE).read_bytes() == damaged + b"\n"
    assert f"1 line damaged or no line of metrics; set aside in {run}" in caplog.text


def test_all_damaged_lines_are_counted_told_and_kept(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, _ = insert(run, *DAMAGED.values())
    assert read_metrics(run / "metrics.jsonl") == lines
    assert f"{len(DAMAGED)} lines left out" in caplog.text
    forget_metrics_after(run / "metrics.jsonl", 40)
    insert(run, b"more")
    forget_metrics_after(run / "metrics.jsonl", 40)
    aside = (run / DAMAGED_FILE).read_bytes()
    assert aside == b"".join(raw + b"\n" for raw in [*DAMAGED.values(), b"more"])


def test_lines_of_later_steps_are_dropped_and_others_stay_as_they_are(run: Path) -> None:
    path = run / "metrics.jsonl"
    text = path.read_bytes().splitlines(keepends=True)
    forget_metrics_after(path, 7)
    assert path.read_bytes() == b"".join(text[:7])
    before = path.stat()
    forget_metrics_after(path, 7)
    assert path.stat() == before, "nothing to do, so nothing is written"


def test_a_line_after_one_that_lacks_its_end_is_a_line_of_its_own(run: Path) -> None:
    path = run / "metrics.jsonl"
    whole = read_metrics(path)
    path.write_bytes(path.read_bytes()[:-1])
    forget_metrics_after(path, 40)
    append_metrics(path, whole[0])
    assert scan_metrics(path) == ([*whole, whole[0]], 0)
    for damaged in (b"one", b"two"):  # set aside, they stay two as well
        with path.open("ab") as file:
            file.write(damaged)
        forget_metrics_after(path, 40)
    assert (run / DAMAGED_FILE).read_bytes() == b"one\ntwo"


def test_the_best_is_of_those_measured_on_as_many_images_as_the_latest() -> None:
    lines = [
        {"kind": "validation", "step": step, "bound": bound, "images": images}
        for step, bound, images in ((1, 90.0, 100), (2, 80.0, 100), (3, 95.0, 700), (4, 96.0, 700))
    ]
    assert best_evaluation(lines) == lines[2]
    assert best_evaluation(lines[:2]) == lines[1]


def test_a_line_cut_short_is_damaged_and_one_that_lacks_its_end_alone_is_not(run: Path) -> None:
    path = run / "metrics.jsonl"
    whole = read_metrics(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert scan_metrics(path) == (whole, 0)
    path.write_bytes(path.read_bytes()[:-9])
    assert scan_metrics(path) == (whole[:-1], 1)


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path: Path) -> None:
    append_metrics(tmp_path / "m", {"kind": "train", "step": 1, "bound": float("nan")})
    append_metrics(tmp_path / "m", {"kind": "train", "step": 2, "bound": float("inf")})
    assert [line["bound"] for line in read_metrics(tmp_path / "m")] == [None, None]
    assert "NaN" not in (tmp_path / "m").read_text()


def test_the_time_of_a_run_is_the_longest_that_a_line_says() -> None:
    lines = [{"seconds": 3}, {"seconds": [9]}, {"seconds": float("inf")}, {"seconds": None}, {}]
    assert seconds_in(lines) == 3
    assert seconds_in([]) == 0


def test_curves_are_drawn_without_damaged_lines(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines, _ = insert(run, *DAMAGED.values())
    result = curves_figure(run, tmp_path / "curves.png")
    assert result["lines"] == len(lines)
    assert f"{len(DAMAGED)} lines left out" in caplog.text


@pytest.mark.parametrize("values", STRANGE, ids=range(len(STRANGE)))
def test_values_that_make_no_sense_leave_gaps(
    run: Path, tmp_path: Path, values: dict[str, object]
) -> None:
    strange = [
        json.dumps({"kind": kind, "step": 9, **values}).encode()
        for kind in ("train", "validation", "test")
    ]
    insert(run, *strange)
    metrics = read_metrics(run / "metrics.jsonl")
    assert len([line for line in metrics if line["step"] == 9]) >= len(strange)
    training_curves(metrics, tmp_path / "curves.png")
    classification_curves(metrics, tmp_path / "classification.png")
    seen = observation.read(tmp_path / "runs", "runs/a")
    for shown in (seen, dataclasses.replace(seen, name="b", metrics=seen.metrics[:1])):
        assert observation.panels([shown])
        assert observation.facts(shown)


def test_the_studio_counts_damaged_lines_and_shows_the_others(run: Path, tmp_path: Path) -> None:
    lines, _ = insert(run, *DAMAGED.values())
    seen = observation.read(tmp_path / "runs", "runs/a")
    assert list(seen.metrics) == lines
    assert ("Damaged lines", f"{len(DAMAGED)}, left out of metrics.jsonl") in observation.facts(
        seen
    )


def test_a_longer_run_is_not_finished_by_the_test_of_the_shorter_one(
    run: Path, tmp_path: Path
) -> None:
    for step, state in ((20, "training"), (40, "finished")):
        with open(run / "metrics.jsonl", "a") as file:
            file.write(line("test", step, DRAWS) + "\n")
        assert observation.read(tmp_path / "runs", "runs/a").state == state


@pytest.mark.parametrize("kind", ["folder", "pipe", "dangling link", "loop"])
def test_no_regular_file_is_told(run: Path, tmp_path: Path, kind: str) -> None:
    path = run / "metrics.jsonl"
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "dangling link":
            path.symlink_to(run / "nowhere")
        case "loop":
            path.symlink_to(path)
    for read in (
        read_metrics,
        lambda path: forget_metrics_after(path, 1),
        lambda path: curves_figure(path.parent, tmp_path / "curves.png"),
        lambda _: observation.read(tmp_path / "runs", "runs/a"),
    ):
        with pytest.raises(DrawError):
            read(path)
