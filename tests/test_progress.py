"""Progress: a rate, an honest time left, and silence where nobody listens."""

import re

import pytest

from draw.progress import progress, track


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that the test sets; there is no terminal."""
    now = [0.0]
    monkeypatch.setattr("draw.progress.time.monotonic", lambda: now[0])
    return now


def test_a_line_has_the_rate_and_the_time_left(clock: list[float], capfd) -> None:
    with progress("train", 100, done=20, units_per_item=4) as update:
        clock[0] = 20.0
        update(60, "bound 1.00 nats")
    assert capfd.readouterr().err == "train 60/100  8 images/s  0:00:20 left  bound 1.00 nats\n"


def test_more_than_a_day_is_told_as_such(clock: list[float], capfd) -> None:
    with progress("train", 100_001) as update:
        clock[0] = 10.0
        update(1, "")
    assert "11 days, 13:46:40 left" in capfd.readouterr().err


def test_lines_keep_a_distance_and_the_last_one_comes_once(clock: list[float], capfd) -> None:
    with progress("train", 10) as update:
        for clock[0], done in ((1.0, 1), (9.0, 5), (11.0, 6), (12.0, 10), (13.0, 10)):
            update(done, "")
    assert re.findall(r"train (\d+)/10", capfd.readouterr().err) == ["6", "10"]


NATS = "bound 180.12 = reconstruction 160.12 + KL 20.00 nats"
NOTE = f"step 99900 validation {NATS}, the best so far"


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_a_terminal_keeps_step_rate_and_time_left(
    columns: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(columns))
    now = [0.0]
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    with progress("train", 120_000, done=99_000, units_per_item=64) as bar:
        for now[0] in range(10, 100, 10):
            bar(99_000 + 10 * now[0], NATS)
        bar.note(NOTE)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capfd.readouterr().err)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", shown) if line.strip()]
    assert NOTE in lines
    last = lines[-1]
    assert len(last) <= columns
    assert re.match(r"train [━╸╺]+ *99900/120000 640 images/s \d+:\d\d.* bound 180", last), last
    assert (NATS in last) == (columns == 200)


def test_a_note_is_a_line_of_its_own_anywhere(clock: list[float], capfd) -> None:
    with progress("train", 10) as bar:
        bar.note(NOTE)
    with progress("train", 10, enabled=False) as bar:
        bar.note("nobody")
    assert capfd.readouterr().err == f"{NOTE}\n"


def test_brief_work_leaves_nothing(clock: list[float], capfd) -> None:
    assert list(track("abc", "spell", total=3)) == list("abc")
    with progress("train", 10, enabled=False) as update:
        clock[0] = 100.0
        update(10, "")
    assert capfd.readouterr() == ("", "")
