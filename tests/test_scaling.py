"""The model of several processes in docs/scaling.md."""

import re
from pathlib import Path

import pytest

from benchmarks import scaling
from benchmarks.scaling import NETWORKS, Network, gradient_bytes, seconds_of

PAGE = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text()


def test_one_process_waits_for_nobody() -> None:
    assert seconds_of(0.5, 1, 4_000_000, NETWORKS["ethernet-10"]) == 0.5


def test_gradients_go_round_a_ring() -> None:
    network = Network(bytes_per_second=100.0, latency=1.0)
    assert seconds_of(10.0, 4, 200, network) == pytest.approx(10 + 2 * 3 / 4 * 200 / 100 + 2 * 3)


def test_the_page_says_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    lines = re.findall(r"^\| (\d+)(?: processes)? \|(.*)\|$", PAGE, re.MULTILINE)
    assert len(lines) == 5
    gradients = gradient_bytes("mnist")
    for count, cells in lines:
        told = [int(cell.strip(" %")) for cell in cells.split("|")]
        seconds = [seconds_of(0.0118, int(count), gradients, each) for each in NETWORKS.values()]
        assert told == [round(100 * 0.0118 / each) for each in seconds]
    assert f"{gradients // 4:,} parameters" in PAGE


def test_a_table_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    scaling.main(milliseconds=139, batch=128, processes=(8,), networks=("ethernet-10",))
    assert "6,992 (95%)" in capsys.readouterr().out


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"expected networks of nvlink, .*, got foo"):
        scaling.main(milliseconds=1, batch=1, networks=("ethernet-10", "foo"))
