"""`python -m benchmarks.gpu`, small, on a CPU: every section runs, and a failure ends no other."""

import json
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu import __main__ as gpu
from benchmarks.gpu import agreement, training
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.sections import SECTIONS, Section, run_items
from benchmarks.gpu.tables import print_tables
from draw.kernels import BACKENDS
from draw.kernels.gpu import language, triton_backend
from draw.model.draw import DRAW

PLAN = Plan(device="cpu", small=True, seconds=1.0)


def found_in(name: str, plan: Plan = PLAN) -> dict[str, dict[str, Any]]:
    told: list[Any] = []
    run_items(name, plan, (), told.append)
    return {line["item"]: line["result"] for line in told if "result" in line}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name == "agreement" else pytest.mark.slow, id=name)
        for name in SECTIONS
    ],
)
def test_a_section_finds_a_number_for_everything(name: str) -> None:
    found = found_in(name)
    assert list(found) == list(SECTIONS[name].items(PLAN))
    for item, result in found.items():
        assert "failed" not in result, (item, result)
        if "obstacle" not in result:
            assert result.get("agrees") is True or result["images_per_second"] > 0, item
    json.dumps(found, allow_nan=False)


def test_every_backend_made_for_the_device_takes_part() -> None:
    device = torch.device("cpu")
    model = DRAW(agreement.SMALL)
    made_for = [
        name
        for name, one in BACKENDS.items()
        if one.devices and "cpu" in one.devices and one.doubt(model, device) is None
    ]
    assert made_for
    for section in ("steps", "drawing"):
        items = " ".join(SECTIONS[section].items(PLAN))
        assert all(f"; {name} " in items for name in (*made_for, "reference"))
    compared = " ".join(SECTIONS["agreement"].items(PLAN))
    assert all(f"; {name} " in compared for name in made_for)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # 1 / (1 + exp(1000)) is 0
@pytest.mark.skipif(not language.is_installed(), reason="Triton is not installed")
def test_triton_takes_part_in_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_backend.Triton, "devices", frozenset(("cpu", "meta")))
    monkeypatch.setattr(triton_backend, "capability", lambda device: (9, 0))
    plan = replace(PLAN, backends=("triton",))
    found = found_in("agreement", plan)
    assert len(found) == len(agreement.cases(small=True))
    assert all(one["agrees"] for one in found.values()), found


def test_a_backend_that_computes_something_else_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = BACKENDS["reference"]
    unroll = type(reference).unroll

    def wrong(self: object, model: Any, *given: Any) -> Any:
        found = unroll(reference, model, *given)
        return found._replace(kl=1.001 * found.kl) if model.canvas_0.dtype.itemsize == 4 else found

    monkeypatch.setattr(type(BACKENDS["cpp"]), "unroll", wrong)
    monkeypatch.setattr(type(BACKENDS["cpp"]), "obstacle", lambda *given: None)
    agreement.computed.cache_clear()
    for result in found_in("agreement").values():
        assert result["agrees"] is False
        assert result["error"] > 5e-4
    agreement.computed.cache_clear()


@pytest.mark.slow
def test_a_failing_item_is_a_result_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Mapping[str, object]:
        raise ValueError("out of luck\nsecond line")

    items = {"good": lambda: {"images_per_second": 1.0}, "bad": fail, "last": lambda: {"a": 1}}
    monkeypatch.setitem(SECTIONS, "toy", Section("Toy", 1, lambda plan: items, 1))
    found = found_in("toy")
    assert found["bad"]["failed"] == "ValueError: out of luck"
    assert list(found) == ["good", "bad", "last"]


class Scripted:
    """Children that tell what a script says, item by item."""

    def __init__(self, script: Mapping[str, str]) -> None:
        self.script, self.begun = script, list[list[str]]()

    def __call__(self, name: str, plan: Plan, done: Collection[str]) -> "Scripted":
        self.begun.append(sorted(done))
        self.left = [item for item in self.script if item not in done]
        self.why = ""
        return self

    def lines(self, deadline: float, longest: float) -> Iterator[dict[str, Any]]:
        for item in self.left:
            yield {"item": item}
            self.why = self.script[item]
            if self.why:
                return
            yield {"item": item, "result": {"images_per_second": 1.0}}

    def end(self) -> str:
        return self.why


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scripted]:
    def make(script: Mapping[str, str]) -> Scripted:
        children = Scripted(script)
        items = dict.fromkeys(script, dict)
        monkeypatch.setitem(SECTIONS, "toy", Section("Toy", 1, lambda plan: items, 1))
        monkeypatch.setattr(gpu, "Child", children)
        return children

    return make


def test_after_a_crash_the_next_item_goes_on_in_another_process(
    scripted: Callable[..., Scripted],
) -> None:
    crash = "the process ended with status -11"
    children = scripted({"a": "", "b": crash, "c": ""})
    found = dict(gpu.items_of("toy", PLAN, time.monotonic() + 60, 60))
    assert children.begun == [[], ["a", "b"]]
    assert found["b"] == {"failed": crash}
    assert found["a"] == found["c"] == {"images_per_second": 1.0}


def test_what_no_time_is_left_for_is_skipped_and_told(scripted: Callable[..., Scripted]) -> None:
    children = scripted({"a": "", "b": ""})
    found = dict(gpu.items_of("toy", PLAN, time.monotonic(), 60))
    assert children.begun == []
    assert all("the time of the section was over" in result["skipped"] for result in found.values())


def test_results_are_written_after_each_item(
    scripted: Callable[..., Scripted], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    children, sizes = scripted({"line; a": "", "line; b": "it broke"}), list[int]()
    lines = children.lines

    def watched(deadline: float, longest: float) -> Iterator[dict[str, Any]]:
        for line in lines(deadline, longest):
            sizes.append(len(list(tmp_path.glob("gpu_*.json"))))
            yield line

    children.lines = watched  # type: ignore[method-assign]
    gpu.main(PLAN, only=("toy",), out=tmp_path)
    (file,) = tmp_path.iterdir()
    assert sizes == [0, 0, 1], "after the first result there is a file"
    written = json.loads(file.read_text())
    assert written["sections"]["toy"]["line; b"] == {"failed": "it broke"}
    assert {"device", "hardware", "versions", "commit", "command"} <= written.keys()
    assert "failed: it broke" in capsys.readouterr().out


def test_a_section_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected sections of agreement, .* got nothing"):
        gpu.main(PLAN, only=("nothing",), out=tmp_path)


def test_training_can_be_stopped_by_the_clock(tmp_path: Path) -> None:
    config = training.prepared(training.mnist_no_attention(), PLAN, steps=training.FOREVER)
    trainer = training.trained(config, tmp_path, training.splits(config.data), 1.0)
    assert 0 < trainer.step < training.FOREVER
    trainer.accelerator.end_training()


def test_tables_have_a_line_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    results = {
        "agreement": {
            "tiny; a fp32": {"agrees": True, "error": 1e-7, "of": "kl", "limit": 2e-5},
            "tiny; b fp32": {"agrees": False, "error": None, "of": "d mu", "limit": None},
            "tiny; c fp32": {"obstacle": "no card"},
        },
        "steps": {
            "mnist; eager bf16": {"images_per_second": 100.0, "milliseconds": 10.0},
            "mnist; a bf16": {"images_per_second": 2500.0, "gib_reserved": 1.5},
            "mnist; b bf16": {"skipped": "no time"},
            "svhn; a bf16": {"images_per_second": 7.0, "test": {"bound": 85.4}},
        },
    }
    print_tables(results)
    told = [
        " ".join(re.findall(r"[^│┃\s]+", line)) for line in capsys.readouterr().out.splitlines()
    ]
    for line in (
        "tiny a fp32 agrees 1.0e-07 kl 2.0e-05",
        "tiny b fp32 DIFFERS not finite d mu",
        "mnist eager bf16 100 1.0 10.00",
        "mnist a bf16 2,500 25.0 1.5",
        "svhn a bf16 7 85.40 nats (test)",
    ):
        assert line in told
    assert any("obstacle: no card" in line for line in told)
    assert any("skipped: no time" in line for line in told)


@pytest.mark.slow
def test_sections_run_in_processes_of_their_own(tmp_path: Path) -> None:
    results = gpu.main(PLAN, only=("agreement",), out=tmp_path)
    assert results["agreement"]
    assert all(one["agrees"] for one in results["agreement"].values())
