"""Compiled steps: compared with themselves as they are, one for each set of shapes."""

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import draw.model.draw
from draw.errors import KernelUnavailableError
from draw.kernels import BACKENDS, compilation
from draw.kernels.compilation import CompiledFunction, compiler_for
from draw.kernels.graph_state import state_of
from draw.model.draw import DRAW
from draw.parts.state import State
from fake_graphs import fake_graphs
from running import TINY_MODEL, on, one_thread

Function = Callable[..., Any]


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Function]:
    """Functions that were given to torch.compile, which leaves them as they are."""
    functions: list[Function] = []

    def compile_nothing(function: Function, **_: object) -> Function:
        functions.append(function)
        return function

    monkeypatch.setattr(torch, "compile", compile_nothing)
    compilation._compile.cache_clear()
    return functions


def compile_as(result: Function, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: result)


def half_step(x: Tensor, y: Tensor) -> tuple[State, Tensor | None]:
    return State(x, y, x + y, x - y, x * y), None


def test_what_is_compiled_is_used_once_it_is_proven(monkeypatch) -> None:
    calls = []

    def counted(x: Tensor, y: Tensor) -> Any:
        calls.append(x)
        return half_step(x, y)

    compile_as(counted, monkeypatch)
    function = CompiledFunction(half_step)
    for _ in range(3):
        (_, _, total, _, _), nothing = function(torch.ones(2), torch.ones(2))
        assert total.tolist() == [2, 2]
        assert nothing is None
    assert len(calls) == 3


WRONG: dict[str, tuple[Function, str]] = {
    "numbers": (lambda x, y: (State(x, y, x + y, x - y, 1.1 * x * y), None), "differ by 0.1"),
    "no number": (lambda x, y: (State(x, y, x + y, x / 0, x * y), None), "differ by"),
    "shape": (lambda x, y: (State(x, y, x + y, x - y, (x * y)[:1]), None), r"\[1\] instead of"),
    "type": (lambda x, y: (State(x, y, x + y, x - y, (x * y).half()), None), "float16"),
    "fewer": (lambda x, y: (x, None), "1 tensors instead of 5"),
    "fails": (lambda x, y: [][0], r"torch.compile fails \(IndexError"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_bad_compiler_is_found_out_and_said(fault: str, monkeypatch, caplog) -> None:
    broken, says = WRONG[fault]
    compile_as(broken, monkeypatch)
    function = CompiledFunction(half_step)
    for _ in range(2):
        state, _ = function(torch.ones(2), torch.full((2,), 3.0))
        assert state.c_dec.tolist() == [3, 3]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "half_step runs uncompiled, several times slower: " in messages[0]
    assert re.search(says, messages[0])


def test_out_of_memory_is_no_fault_of_the_compiler(monkeypatch) -> None:
    def fail(*_: Tensor) -> None:
        raise torch.OutOfMemoryError

    compile_as(fail, monkeypatch)
    with pytest.raises(torch.OutOfMemoryError):
        CompiledFunction(half_step)(torch.ones(2), torch.ones(2))


def test_rounding_is_no_fault(monkeypatch) -> None:
    compile_as(lambda x, y: half_step(x, 1.001 * y), monkeypatch)
    function = CompiledFunction(half_step)
    given = torch.ones(2).bfloat16(), torch.ones(2).bfloat16()
    function(*given)
    assert function._compiled is not None


def test_rounding_under_autocast_is_no_fault(monkeypatch) -> None:
    """Results of float32 may have come from products of bfloat16."""
    compile_as(lambda x, y: half_step(x, 1.01 * y), monkeypatch)
    given = torch.ones(2), torch.full((2,), 3.0)
    for kind in (torch.bfloat16, None):
        function = CompiledFunction(half_step)
        with torch.autocast("cpu", kind, enabled=kind is not None):
            function(*given)
        assert (function._compiled is not None) == (kind is not None)


@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_compiling_does_not_change_what_a_graph_depends_on() -> None:
    """Or everything would be compiled and captured anew at each call."""
    model, given = on("reference", DRAW(TINY_MODEL)), batch()
    before = state_of(model)
    view = object.__new__(DRAW)
    view.__dict__.update(model.__dict__)
    view.__dict__["step"] = torch.compile(model.step, backend="eager")
    made = set(vars(draw.model.draw))
    BACKENDS["reference"].unroll(view, *given)
    assert set(vars(draw.model.draw)) > made, "torch has put what it made there"
    assert state_of(model) == before


def test_each_key_is_compiled_once(compiled) -> None:
    first = compiler_for("a")(half_step)
    assert compiler_for("a")(half_step) is first
    assert compiler_for("b")(half_step) is not first
    codes = {id(function.__code__) for function in compiled}
    assert len(codes) == len(compiled) == 2, "torch counts the graphs of each code object"


# The backend


def batch(size: int = 2) -> tuple[Tensor, Tensor]:
    return torch.rand(size, 1, 6, 5), torch.randn(3, size, 4)


class Bold(DRAW):
    """One idea changed, as a user would."""

    def step(self, *given: Any) -> Any:
        after, step = super().step(*given)
        return after._replace(canvas=2 * after.canvas), step

    def unroll(self, *given: Any) -> Any:
        found = super().unroll(*given)
        return found._replace(kl=3 * found.kl)


@pytest.mark.parametrize(
    ("kind", "captured", "attention"),
    [
        (DRAW, False, "gaussian"),
        (DRAW, True, "none"),
        (Bold, True, "gaussian"),
        (Bold, False, "none"),
        pytest.param(DRAW, True, "gaussian", marks=pytest.mark.slow),
        pytest.param(DRAW, False, "none", marks=pytest.mark.slow),
        pytest.param(Bold, False, "gaussian", marks=pytest.mark.slow),
        pytest.param(Bold, True, "none", marks=pytest.mark.slow),
    ],
)
def test_any_model_runs_compiled(kind, captured, attention, compiled, monkeypatch) -> None:
    """With a graph or without, of whatever step: every two of these meet in the first four."""
    if captured:
        fake_graphs(monkeypatch)
    model = on("compiled", kind(dataclasses.replace(TINY_MODEL, attention=attention)))
    reference = on("reference", kind(model.config))
    reference.load_state_dict(model.state_dict())
    for size in (2, 3, 2, 3):
        given = batch(size)
        bounds = [way(*given).bound for way in (model, reference)]
        torch.testing.assert_close(*bounds)
        slopes = [torch.autograd.grad(bound.sum(), way.h_dec_0)[0]
                  for bound, way in zip(bounds, (model, reference), strict=True)]  # fmt: skip
        torch.testing.assert_close(*slopes)
        with torch.no_grad():
            torch.testing.assert_close(model(*given).bound, bounds[1])
        drawn = [way.reconstruct(*given) for way in (model, reference)]
        torch.testing.assert_close(drawn[0].canvases, drawn[1].canvases)
        assert drawn[0].windows.keys() == drawn[1].windows.keys()
        made = [way.generate(size, noise=given[1]).canvases for way in (model, reference)]
        torch.testing.assert_close(*made)
    assert {function.__self__ for function in compiled} == {model}
    names = [function.__name__ for function in compiled]
    assert names.count("step") == len(names) / 2, "with generate_step"
    assert len(names) <= 12, "once for each shape, and for gradients"


def test_an_edited_step_is_compiled_anew(compiled, monkeypatch) -> None:
    model, given = on("compiled", DRAW(TINY_MODEL)), batch()
    before = model(*given)
    step = DRAW.step

    def bold_step(self: DRAW, *given: Any) -> Any:
        after, seen = step(self, *given)
        return after._replace(canvas=2 * after.canvas), seen

    monkeypatch.setattr(DRAW, "step", bold_step)
    assert not torch.equal(model(*given).canvas, before.canvas)


def test_hooks_and_other_devices_are_refused() -> None:
    model = on("compiled", DRAW(TINY_MODEL))
    assert model.choice.name == "compiled"
    model.mu.register_forward_hook(lambda *_: None)
    with pytest.raises(KernelUnavailableError, match="mu has a forward hook"):
        model.choice  # noqa: B018
    said = compilation.obstacle(torch.device("mps"))
    assert said == "torch.compile is not used on mps"


REAL = """
import logging, sys, torch
import torch._dynamo.utils as dynamo
from draw import DRAW, DRAWConfig
from draw.kernels import BACKENDS
from draw.kernels.compilation import compiler_for
from draw.kernels.packed.packed_sequence import unroll
logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
config = DRAWConfig(rows=6, columns=5, glimpses=3, hidden_size=8, latent_size=4, read_size=2,
                    write_size=3, prior="learned")
model = DRAW(config)
images, noise = torch.rand(2, 1, 6, 5), torch.randn(3, 2, 4)
expected = model.unroll(images, noise)
slopes = torch.autograd.grad(expected.kl.sum(), list(model.parameters()), allow_unused=True)
for name, way in (("packed", lambda: unroll(model, images, noise, compile=compiler_for(0))),
                  ("compiled", lambda: BACKENDS["compiled"].unroll(model, images, noise))):
    dynamo.counters.clear()
    found = way()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    ours = torch.autograd.grad(found.kl.sum(), list(model.parameters()), allow_unused=True)
    for a, b in zip(ours, slopes):
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    print(name, dynamo.counters["stats"]["unique_graphs"])
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_torch_really_compiles_them() -> None:
    """In a process without shape checks, which a compiler would have to go round."""
    done = subprocess.run(
        [sys.executable, "-c", REAL], env=one_thread(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert "packed 2" in lines, "a step and its gradient, one graph each"
    assert any(line.startswith("compiled ") for line in lines)
    assert not any("uncompiled" in line for line in lines), done.stdout
