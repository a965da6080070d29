"""Changes of the paper's model at equal cost: one at a time, resumable, and written down."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from benchmarks import measure
from benchmarks.variants import __main__ as variants
from benchmarks.variants import plan as plans
from benchmarks.variants import report
from benchmarks.variants.changes import BATCH, CHANGES, PAPER, SETS, changes_for, config_of
from benchmarks.variants.plan import Case, Places, Plan, Settings, begin
from benchmarks.variants.runs import cases_of, measurement
from draw.attention import ATTENTIONS
from draw.config.model import Attention
from draw.json_files import read_json, write_json
from draw.parts.conditions import CONDITIONS
from draw.parts.priors import PRIORS
from draw.runs.lock import RunLock
from draw.training.start import changes_between
from draw.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
RATIOS = {PAPER: 1.0, "prior": 0.5, "weight-decay": 1.02, "none": 1.5}
"""Rates of some changes, in those of the paper's model."""
STEPS = 256 // BATCH


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go, with rates that do not depend on the computer."""
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(
        plans, "rates_of", lambda cases, *_: {c.change: 100 * RATIOS[c.change] for c in cases}
    )
    return tmp_path / "results"


def trained(out: Path, **options: Any) -> Plan:
    """The plan of a folder after tiny runs of a change and of the paper's model."""
    variants.main(out=out, quick=True, **{"only": ("prior",), "seeds": (0, 1), **options})
    return Plan(out)


def planned(out: Path, images: int = 640) -> Plan:
    """The plan of a folder without runs, with rates of some changes on MNIST."""
    plan = begin(out, Settings(images, 10), Places(None, None, "cpu"))
    rates = {name: {"images_per_second": 100 * r, "ratio": r} for name, r in RATIOS.items()}
    write_json(plan.path, {**plan.values(), "rates": {"mnist": rates}})
    return plan


@pytest.mark.parametrize("name", SETS)
def test_every_change_changes_what_it_says_and_nothing_else(name: Any) -> None:
    paper = config_of(name, CHANGES[PAPER], 0, 1000, quick=False)
    for key, change in changes_for(name).items():
        config = config_of(name, change, 0, 1000, quick=False)
        expected = {f"model.{k}": v for k, v in change.model.items()}
        expected |= {f"train.{k}": v for k, v in change.train.items()}
        found = {field: now for field, (_, now) in changes_between(paper, config).items()}
        assert found == expected, key
        assert len(expected) == (key != PAPER), "one at a time"


def test_every_part_of_the_house_is_among_the_changes() -> None:
    found = [change.model.items() for change in CHANGES.values()]
    parts = {"attention": ATTENTIONS, "prior": PRIORS, "condition": CONDITIONS}
    paper = asdict(config_of("mnist", CHANGES[PAPER], 0, 1000, quick=False).model)
    for field, table in parts.items():
        changed = {value for items in found for key, value in items if key == field}
        assert changed | {paper[field]} == set(table)
    assert set(get_args(get_args(Attention)[0])) == set(ATTENTIONS)


def test_equal_seconds_are_counted_by_rates(tmp_path: Path, results: Path) -> None:
    plan = planned(tmp_path / "out")
    marks = {name: plan.marks(Case("mnist", name, 0)) for name in RATIOS}
    assert marks == {PAPER: (10, 10), "prior": (10, 5), "weight-decay": (10, 10), "none": (10, 15)}


def test_what_is_slow_comes_to_equal_images_last(tmp_path: Path, results: Path) -> None:
    plan = planned(tmp_path / "out")
    order = cases_of({"mnist": (PAPER, "prior", "none")}, (0, 1), plan)
    first = [(PAPER, 10), ("prior", 5), ("none", 10), ("none", 15)]
    expected = [(change, seed, steps) for seed in (0, 1) for change, steps in first]
    slow = [("prior", seed, 10) for seed in (0, 1)]
    assert [(case.change, case.seed, steps) for case, steps in order] == expected + slow


def test_runs_are_compared_and_written_down(tmp_path: Path, results: Path) -> None:
    plan = trained(tmp_path / "out")
    head, *lines = map(json.loads, plan.results.read_text().splitlines())
    assert plan.results.parent == results
    assert head["rates"]["digits"]["prior"]["ratio"] == 0.5
    runs = {(one["change"], one["seed"], one["images"]): one for one in lines if "seed" in one}
    marks = [(PAPER, 256), ("prior", 256), ("prior", 128)]
    assert set(runs) == {(change, seed, images) for change, images in marks for seed in (0, 1)}
    for one in runs.values():
        assert one["bound"] == pytest.approx(one["reconstruction"] + one["kl"], rel=1e-5)
        assert one["backend"]
        assert one["test_images"] == 40
    pooled = {(one["change"], one["after"]): one for one in lines if "after" in one}
    for after, images in (("equal images", 256), ("equal seconds", 128)):
        one = pooled["prior", after]
        assert one["images"] == images
        assert one["seeds"] == [0, 1]
        mean, of_paper = (
            np.mean([runs[change, seed, n]["bound"] for seed in (0, 1)])
            for change, n in (("prior", images), (PAPER, 256))
        )
        assert one["bound"] == pytest.approx(mean, rel=1e-5)
        assert one["difference"] == pytest.approx(mean - of_paper, abs=1e-3)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "| prior learned from the drawing so far |" in table
    assert f"{pooled['prior', 'equal seconds']['difference']:+.2f} +- " in table
    assert head["commit"] in table


@pytest.mark.slow
def test_the_same_command_goes_on_where_it_was_stopped(
    tmp_path: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = trained(tmp_path / "straight", seeds=(0,))
    taken: list[int] = []
    one_step = Trainer._one_step

    def stopping(trainer: Trainer) -> bool:
        taken.append(trainer.step)
        trainer.stop_asked = len(taken) in (3, 4, 6)  # 3: within a run; 4 and 6: in the last step
        return one_step(trainer)

    monkeypatch.setattr(Trainer, "_one_step", stopping)
    for _ in range(3):
        with pytest.raises(SystemExit, match="130"):
            trained(tmp_path / "out", seeds=(0,))
    plan = trained(tmp_path / "out", seeds=(0,))
    assert len(taken) == 2 * STEPS, "no step was made twice"
    for case, steps in ((Case("digits", PAPER, 0), 4), (Case("digits", "prior", 0), 2)):
        once, again = measurement(straight, case, steps), measurement(plan, case, steps)
        assert once is not None
        assert again is not None
        assert (once.scores == again.scores).all()
    before = len(taken)
    trained(tmp_path / "out", seeds=(0,))
    assert len(taken) == before, "what is done is done"


def test_what_another_process_is_at_is_passed_over(tmp_path: Path, results: Path) -> None:
    out = tmp_path / "out"
    busy = Case("digits", PAPER, 0).folder(out)
    busy.mkdir(parents=True)
    with RunLock(busy):
        plan = trained(out, seeds=(0,))
    assert measurement(plan, Case("digits", PAPER, 0), STEPS) is None
    assert measurement(plan, Case("digits", "prior", 0), STEPS) is not None


def test_other_settings_want_another_folder(tmp_path: Path, results: Path) -> None:
    planned(tmp_path / "out")
    with pytest.raises(SystemExit, match=r"images=640.*got .*images=1280.*--out"):
        planned(tmp_path / "out", images=1280)
    with pytest.raises(SystemExit, match=r"expected changes of .*prior.* got dream"):
        changes_for("mnist", ("dream",))


@pytest.mark.parametrize(
    "changed",
    [{"mnist": "DATA/other"}, {"letters": "L"}, {"device": "cuda"}, {"backend": "reference"}],
)
def test_other_places_want_another_folder(
    changed: dict[str, Any], tmp_path: Path, results: Path
) -> None:
    plan, places = planned(tmp_path / "out"), Places(None, None, "cpu")
    with pytest.raises(SystemExit, match=r"the images and the way to compute .*--out"):
        begin(tmp_path / "out", plan.settings, places._replace(**changed))
    values = plan.values()
    del values["places"]  # a plan from before they were kept
    write_json(plan.path, values)
    assert begin(tmp_path / "out", plan.settings, places._replace(**changed)).values() == values


def test_how_long_it_takes_is_told_from_the_rates(tmp_path: Path, results: Path) -> None:
    plan = planned(tmp_path / "out", images=64_000)
    todo = [(Case("mnist", PAPER, 0), 1000), (Case("mnist", "prior", 0), 500)]
    assert "2 marks to train to: about 0:21:24" in variants.estimate(plan, todo)


@pytest.mark.slow
def test_rates_are_measured_in_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    plan = trained(tmp_path / "out", only=("weight-decay",), seeds=())
    rates = plan.values()["rates"]["digits"]
    assert rates[PAPER]["ratio"] == 1
    assert all(rate["images_per_second"] > 0 for rate in rates.values())


def test_a_table_has_its_place_in_a_document(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"a\n{report.BEGIN}\nold\n{report.END}\nb\n")
    report.put("new", document)
    assert document.read_text() == f"a\n{report.BEGIN}\n\nnew\n{report.END}\nb\n"
    (tmp_path / "other.md").write_text("a\n")
    with pytest.raises(SystemExit, match="table: begin"):
        report.put("new", tmp_path / "other.md")
    page = (ROOT / "docs" / "variants.md").read_text()
    assert page.index(report.BEGIN) < page.index(report.END)


def test_a_backend_is_the_one_asked_for() -> None:
    config = Case("digits", PAPER, 0).config(Settings(64, 10))
    assert Places(None, None, "cpu").of(config).compute.backend == "auto"
    assert Places(None, None, "cpu", "reference").of(config).compute.backend == "reference"


def test_a_table_says_its_command_once() -> None:
    def told(*commands: str) -> str:
        return report._commands([{"command": command} for command in commands])

    one, other = "variants --only prior none --out runs/variants", "variants --only affine"
    assert told(one, one) == f"`{one}`"
    assert told("variants", one, other) == (
        "`variants`, `variants --out runs/variants` in 3 goes, each with some of `--only`"
    )


@pytest.mark.slow
def test_every_change_can_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(plans, "rates_of", lambda cases, *_: {c.change: 100.0 for c in cases})
    plan = trained(tmp_path / "out", only=(), seeds=(0,))
    assert read_json(plan.path)["rates"]["digits"].keys() == CHANGES.keys()
    for change in CHANGES:
        assert measurement(plan, Case("digits", change, 0), STEPS) is not None
