"""What the benchmarks compare computes the same, and every benchmark runs."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import __main__ as all_benchmarks
from benchmarks import (
    classify,
    data,
    denormals,
    devices,
    evaluate,
    first_step,
    generate,
    growth,
    measure,
    memory,
    parts,
    peak,
    starts,
    train_loop,
    train_step,
)
from benchmarks.comparison import Comparison
from benchmarks.eager import EagerDRAW
from benchmarks.ways import BOTH, ROWS, RowName, Shape, inputs, matrix_products, timed_step
from draw.attention.window import window_parameters
from draw.config.model import DRAWConfig
from draw.model.draw import DRAW

TINY = Shape(batch=2, glimpses=2, hidden_size=8)
BENCHMARKS = sorted(
    {
        *(command.split()[0] for command in all_benchmarks.SECTIONS.values()),
        *("starts", "gpu.__main__", "variants.__main__"),
    }
)
KINDS = pytest.mark.parametrize(
    ("channels", "attention"), [(1, "gaussian"), (3, "gaussian"), (1, "none"), (3, "none")]
)


def tiny_config(channels: int, attention: str) -> DRAWConfig:
    return DRAWConfig(
        rows=9, columns=7, channels=channels, glimpses=4, hidden_size=16, attention=attention
    )


def random_weights(config: DRAWConfig) -> dict[str, torch.Tensor]:
    weights = DRAW(config).state_dict()
    return {name: value + 0.1 * torch.randn_like(value) for name, value in weights.items()}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results go in a test."""
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


def only_result(results: Path) -> dict[str, Any]:
    (path,) = results.iterdir()
    return json.loads(path.read_text())


@KINDS
def test_the_eager_loop_computes_the_same_bound(channels: int, attention: str) -> None:
    config = tiny_config(channels, attention)
    reference, eager = DRAW(config), EagerDRAW(config)
    weights = random_weights(config)
    reference.load_state_dict(weights)
    eager.load_state_dict(weights)
    x, noise = torch.rand(5, *config.image_shape), torch.randn(4, 5, config.latent_size)
    torch.testing.assert_close(eager(x, noise), reference(x, noise).bound, rtol=1e-4, atol=1e-3)


@KINDS
def test_the_eager_loop_draws_the_same(channels: int, attention: str) -> None:
    config = tiny_config(channels, attention)
    reference, eager = DRAW(config), EagerDRAW(config)
    weights = random_weights(config)
    reference.load_state_dict(weights)
    eager.load_state_dict(weights)
    noise = torch.randn(4, 5, config.latent_size)
    expected = reference.generate(5, noise=noise).canvases
    torch.testing.assert_close(eager.generate(noise), expected, rtol=1e-4, atol=1e-4)


@KINDS
def test_lax_scan_computes_the_same_bound(channels: int, attention: str) -> None:
    pytest.importorskip("jax", reason="needs JAX: pip install jax")
    from benchmarks import lax_scan

    config = tiny_config(channels, attention)
    eager = EagerDRAW(config)
    eager.load_state_dict(random_weights(config))
    x, noise = inputs(config, batch=5)
    parameters = lax_scan.to_jax(eager.state_dict())
    bound = lax_scan.bound(parameters, x.numpy(), noise.numpy(), config, "fp32")
    expected = eager(x, noise).detach()
    torch.testing.assert_close(torch.tensor(bound.tolist()), expected, rtol=1e-4, atol=1e-3)


def test_lax_scan_makes_training_steps(results: Path) -> None:
    pytest.importorskip("jax", reason="needs JAX: pip install jax")
    train_step.main(TINY, ways=("jax",), rounds=1)
    assert "jax" in only_result(results)["versions"]


def test_without_jax_its_step_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "benchmarks.lax_scan", raising=False)
    with pytest.raises(ImportError, match="pip install jax"):
        timed_step("jax", "fp32", TINY.config, TINY.batch)


def test_ways_are_timed_in_turn() -> None:
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    times = measure.seconds_each(ways, 3, 1, device=torch.device("cpu"))
    assert "".join(calls) == "ab" + "ababab"
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}


def test_a_share_is_that_of_the_floor_in_the_same_precision() -> None:
    medians = {"cpp fp32": 4.0, "cpp bf16": 2.0, "floor fp32": 3.0}
    floors = {"cpp fp32": "floor fp32", "cpp bf16": "floor bf16"}
    assert measure.shares_of_floor(medians, floors) == {"cpp fp32": 0.75, "cpp bf16": None}


def test_a_way_that_is_none_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"one of auto, .*reference.*, eager.* got 'fused'"):
        train_step.main(TINY, ways=("fused",), rounds=1)


def test_no_result_is_overwritten(results: Path) -> None:
    first, second = (measure.write_result("q", torch.device("cpu"), answer=n) for n in (1, 2))
    assert (first.parent, second.name) == (results, f"{first.stem}-2.json")
    assert [json.loads(path.read_text())["answer"] for path in (first, second)] == [1, 2]


def test_the_name_of_a_shape_says_what_differs_from_its_row() -> None:
    assert Shape().name == "mnist"
    assert Shape("svhn", batch=16, hidden_size=8).name == "svhn-batch-16-hidden-size-8"


@pytest.mark.parametrize("row", ROWS)
def test_the_floor_has_the_products_of_a_training_step(row: RowName) -> None:
    """All but the small batched ones of the filterbanks; and those with x once only."""
    config, batch = Shape(row, glimpses=3, hidden_size=8).config, 2
    step, floor = timed_step("eager", "fp32", config, batch), matrix_products(config, batch, "fp32")
    with FlopCounterMode(display=False) as of_step:
        step()
    with FlopCounterMode(display=False) as of_floor:
        floor()
    counted = of_step.get_flop_counts()["Global"]
    expected = of_step.get_total_flops() - counted.get(torch.ops.aten.bmm, 0)
    if config.attention == "none":
        with_x = 2 * batch * config.rows * config.columns * 4 * config.hidden_size
        expected -= (3 * config.glimpses - 2) * with_x
    assert of_floor.get_total_flops() == expected


@pytest.mark.parametrize("row", ["mnist", "mnist-no-attention"])
def test_train_step(row: RowName, results: Path) -> None:
    shape = Shape(row, batch=2, glimpses=2, hidden_size=8)
    train_step.main(shape, ways=("eager", "reference", "floor"), rounds=1)
    result = only_result(results)
    assert result["base"] == "eager fp32"
    assert result["times_of_base"]["eager fp32"] == 1
    assert result["share_of_floor"].keys() == result["seconds"].keys()
    assert result["model"]["glimpses"] == 2


def test_train_loop(results: Path) -> None:
    train_loop.main(TINY, steps=2, rounds=1)
    assert only_result(results)["times_of_base"].keys() == set(train_loop.WAYS)


@pytest.mark.parametrize("benchmark", [generate, evaluate])
def test_without_gradient(benchmark: Any, results: Path) -> None:
    benchmark.main(Comparison(TINY, ways=("eager", "reference"), rounds=1))
    ways = {f"{way} {p}" for way in ("eager", "reference") for p in ("fp32", "bf16")}
    assert only_result(results)["images_per_second"].keys() == ways


def test_making_batches(results: Path) -> None:
    data.main(batch=2, count=3, rounds=1)
    result = only_result(results)
    assert result["images_per_second"].keys() == data.WAYS.keys()
    assert result["batch"] == 2


def test_parts(results: Path) -> None:
    parts.main(TINY, precisions=("fp32",), rounds=1)
    result = only_result(results)
    assert result["base"] == "paper fp32"
    assert result["seconds"].keys() == {f"{name} fp32" for name in parts.PARTS | parts.WINDOWS}
    assert result["clock"] == "perf_counter"


def test_parts_by_the_processors_clock(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "WINDOWS", {})
    monkeypatch.setattr(parts, "PARTS", {"paper": {}})
    parts.main(TINY, precisions=("fp32",), rounds=1, processor_time=True)
    assert only_result(results)["clock"] == "process_time"
    monkeypatch.setattr(parts, "device_of", torch.device)
    with pytest.raises(SystemExit, match="expected --processor-time on a CPU, got meta"):
        parts.main(TINY, device="meta", processor_time=True)


def test_seconds_are_those_of_the_clock() -> None:
    clock = iter([1.0, 3.5, 10.0, 11.0]).__next__
    cpu = torch.device("cpu")
    assert measure.seconds_each({"way": int}, 2, device=cpu, clock=clock) == {"way": [2.5, 1.0]}


def test_classifying(results: Path) -> None:
    classify.main(batch=2, glimpses=1, size=12, rounds=1)
    ways = {
        f"{what}, {k} {p}"
        for what in ("step", "answer")
        for k in ("reference", "cpp")
        for p in BOTH
    }
    assert only_result(results)["images_per_second"].keys() == ways


def test_growth(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "ROW", TINY)
    growth.main((1, 2, 3), (), (8,), ways=("reference", "floor"), rounds=1)
    lines = only_result(results)["growth"]
    assert [line["value"] for line in lines["glimpses"]] == [1, 2, 3]
    timed = [sorted(line["median_seconds"]) for line in lines["glimpses"]]
    assert timed == [["floor", "reference"]] * 2 + [["floor"]]
    assert lines["batch"] == []


@pytest.mark.slow
def test_memory(results: Path) -> None:
    memory.main(batches=(8,), ways=("eager",), precisions=("fp32",))
    canvases = 64 * 8 * 28 * 28 * 4
    assert only_result(results)["bytes_added"]["eager fp32"]["8"] > canvases


@pytest.mark.slow
def test_first_step(results: Path) -> None:
    first_step.main(TINY, ways=("reference",), rounds=1)
    for stages in only_result(results)["seconds"].values():
        parts = [stages[stage] for stage in first_step.STAGES[:-1]]
        assert stages["until the first update"] == pytest.approx(sum(parts))


@pytest.mark.parametrize("backend", ["cpp"], indirect=True)
def test_peak(results: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peak, "PRODUCTS", 10)
    peak.main(rounds=1)
    found = only_result(results)["gigaflops"]
    assert found["fp32"]["peak"] > 0
    assert found["bf16"]["images_per_second_at_peak"] > 0


def test_a_plain_start_is_plain() -> None:
    model = DRAW(DRAWConfig(rows=9, columns=9, hidden_size=64, read_size=3, write_size=5))
    with torch.no_grad():
        model.canvas_0.fill_(2.0)
        for part in starts.PLAIN.values():
            part(model)
    assert not model.canvas_0.any()
    for place, size in (("read", 3), ("write", 5)):
        controls = getattr(model.attention, f"{place}_window").bias
        window = window_parameters(controls, rows=9, columns=9, size=size)
        assert (window.delta, window.sigma, window.gamma) == (8 / (size - 1), 1, 1)
    for weights in (model.lstm_dec.bias_ih, model.mu.weight, model.log_sigma.weight):
        assert 0.9 / 8 < weights.abs().max() <= 1.001 / 8, "as torch starts 64 units"


def test_starts_add_one_choice_a_row_and_leave_out_one_in_the_end() -> None:
    (_, first), *others = starts.all_choices()
    assert first == starts.Choices()
    rows = dict(others)
    best = rows["read 12, write 12"]
    assert (best.plain, best.clip_norm, best.learning_rate) == ((), 100.0, 3e-3)
    for part in starts.PLAIN:
        assert rows[f"all but {part}"] == replace(best, plain=(part,))


def test_starts(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = starts.Choices()
    ours = replace(plain, plain=(), read_size=3, batch_size=64)
    monkeypatch.setattr(starts, "all_choices", lambda: [("plain", plain), ("ours", ours)])
    starts.main(images=256, seeds=(0, 1))
    lines = only_result(results)["lines"]
    assert lines["ours"]["batch_size"] == 64
    bounds = {name: [one["bound"] for one in line["validation"]] for name, line in lines.items()}
    assert bounds["plain"][0] != bounds["plain"][1]
    assert max(bounds["ours"]) < min(bounds["plain"]) < 28 * 28


def test_denormals(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def noting(*_: object) -> Callable[[], None]:
        return lambda: seen.append(bool(torch.tensor(1.5e-38) / 2 == 0))

    monkeypatch.setattr(denormals, "timed_step", noting)
    monkeypatch.setattr(denormals, "device_of", torch.device)
    with pytest.raises(SystemExit, match="expected a CPU, got meta"):
        denormals.main(TINY, device="meta")
    assert not results.exists()
    if torch.set_flush_denormal(False):
        denormals.main(TINY, rounds=1)
        assert seen == [False, True] * 4 * 2  # once to warm up, then timed
        assert len(only_result(results)["seconds"]) == 8


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_is_told_where_to_run(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = import_module(f"benchmarks.{name}").main
    with pytest.raises(SystemExit):
        tyro.cli(main, args=["--help"], config=(tyro.conf.OmitArgPrefixes,))
    assert "--device" in capsys.readouterr().out


def test_a_device_that_is_not_here_is_refused() -> None:
    assert devices.device_of("cpu") == torch.device("cpu")
    for name in ("cuda:99", "no such device"):
        with pytest.raises(SystemExit, match=f"expected --device auto or one of .*{name}"):
            train_step.main(TINY, ways=("eager",), device=name)


def test_a_clock_is_read_when_the_device_has_done_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(devices, "synchronize", lambda device: done.append("wait"))
    monkeypatch.setattr(devices.time, "perf_counter", lambda: done.append("clock") or 0.0)
    devices.seconds_of(lambda: done.append("call"), torch.device("cpu"), calls=2)
    assert done == ["wait", "clock", "call", "call", "wait", "clock"]


@pytest.mark.slow
def test_all_benchmarks_run_in_turn(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sections = {"good": "train_step --help", "bad": "no_such_benchmark"}
    monkeypatch.setattr(all_benchmarks, "SECTIONS", sections)
    with pytest.raises(SystemExit, match="failed: bad"):
        all_benchmarks.main()
    output = capfd.readouterr().out
    assert "python -m benchmarks.train_step" in output
    assert "seconds in all" in output


@pytest.mark.parametrize("name", ["foo", "page", "gpu", "variants"])
def test_what_is_no_benchmark_of_all_is_refused(name: str) -> None:
    with pytest.raises(SystemExit, match=rf"expected benchmarks of peak, .*, got {name}"):
        all_benchmarks.main(only=("peak", name))
