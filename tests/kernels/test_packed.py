"""The packed step against the loop under autograd: results, every gradient, drawings."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import draw.attention.window
from draw.errors import KernelUnavailableError
from draw.kernels import BACKENDS, compilation, proof, turned_backward, upright_backward
from draw.kernels.packed import glimpse
from draw.kernels.packed.packed_sequence import trajectory, unroll
from draw.model.draw import DRAW
from draw.parts.state import NOTHING, Context
from draw.training.start import start
from running import TINY, TINY_MODEL, draw_command, image_set, on
from sequences import CASES, case
from tape import NoWaiting

__all__ = ["case"]

on_the_reference = pytest.mark.parametrize("backend", ["reference"], indirect=True)

TOLERANCES = {torch.float64: 1e-11, torch.float32: 3e-5, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest error as a share of a tensor's largest number, by the type of the operands."""


def apart(found: Tensor, expected: Tensor) -> float:
    """The largest error, as a share of the largest number."""
    if not expected.numel():
        return 0.0
    found, expected = found.detach().to(expected.dtype), expected.detach()
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-3))


def slopes_of(outputs: tuple[Tensor, ...], wanted: list[Tensor]) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    slopes = [torch.randn(part.shape, generator=random).to(part) for part in outputs]
    return list(torch.autograd.grad(outputs, wanted, slopes, materialize_grads=True))


@on_the_reference
@pytest.mark.parametrize("name", CASES)
def test_all_that_it_computes_is_what_the_loop_computes(name: str, case) -> None:
    options = dict(CASES[name])
    whether = options.pop("context", (False, False))
    model, images, noise = case(**options)
    width = 4 * model.config.hidden_size
    addends = {
        field: torch.randn(len(images), width, dtype=torch.float64, requires_grad=True)
        for field, given in zip(Context._fields, whether, strict=True)
        if given
    }
    context = NOTHING._replace(**addends)
    wanted = {"images": images.requires_grad_(), "noise": noise.requires_grad_(), **addends,
              **dict(model.named_parameters())}  # fmt: skip
    expected, found = model.unroll(images, noise, context), unroll(model, images, noise, context)
    ways = [slopes_of(way, list(wanted.values())) for way in (expected, found)]
    for part, ours, theirs in zip(expected._fields, found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert apart(ours, theirs) < 1e-11, part
    for part, theirs, ours in zip(wanted, *ways, strict=True):
        assert apart(ours, theirs) < 1e-11, f"gradient of {part}"
    with torch.no_grad():
        for ours, theirs in zip(unroll(model, images, noise, context), expected, strict=True):
            assert apart(ours, theirs) < 1e-11
        for given in (images, None):
            drawn, ours = (way(given, noise, context) for way in (model.trajectory,
                           lambda *given: trajectory(model, *given)))  # fmt: skip
            assert apart(ours.canvases, drawn.canvases) < 1e-11
            assert ours.windows.keys() == drawn.windows.keys()
            for which, windows in drawn.windows.items():
                for field, value in windows.numbers.items():
                    assert apart(ours.windows[which].numbers[field], value) < 1e-9, field


@on_the_reference
@pytest.mark.parametrize("operand", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("attention", ["gaussian", "none"])
def test_in_few_bits_it_is_near(operand: torch.dtype, attention: str, case) -> None:
    model, images, noise = case(attention=attention, prior="learned", rows=9, hidden_size=8)
    wanted = list(model.parameters())
    expected = model.unroll(images, noise)
    theirs = slopes_of(expected, wanted)
    model.float()
    cast = torch.autocast("cpu", operand, enabled=operand != torch.float32)
    with cast:
        found = unroll(model, images.float(), noise.float())
    assert {part.dtype for part in found} == {torch.float32}, "states are in full precision"
    ours = slopes_of(found, list(model.parameters()))
    for part, other in (*zip(found, expected, strict=True), *zip(ours, theirs, strict=True)):
        assert apart(part, other.float()) < TOLERANCES[operand]


@on_the_reference
def test_small_gradients_are_not_lost_in_fp16(case) -> None:
    """A mean over many images has gradients below the least number of float16."""
    model, images, noise = case()
    model.float()
    with torch.autocast("cpu", torch.float16):
        found = unroll(model, images.float(), noise.float())
    wanted = list(model.parameters())
    whole, part = (
        torch.autograd.grad(
            scale * found.kl.sum(), wanted, retain_graph=True, materialize_grads=True
        )
        for scale in (1.0, 1e-7)
    )
    for ours, theirs in zip(part, whole, strict=True):
        assert apart(1e7 * ours, theirs) < 1e-3


@on_the_reference
@pytest.mark.parametrize(
    ("attention", "prior"), [("gaussian", "learned"), ("cauchy", "standard"), ("none", "standard")]
)
def test_gradient_is_that_of_differences(attention: str, prior: str, case) -> None:
    model, images, noise = case(
        rows=3, columns=2, glimpses=2, hidden_size=2, latent_size=2, read_size=2, write_size=2,
        attention=attention, prior=prior, batch=2,
    )  # fmt: skip
    context = [torch.randn(2, 8, dtype=torch.float64, requires_grad=True) for _ in Context._fields]
    inputs = images.requires_grad_(), noise.requires_grad_(), *context, *model.parameters()

    def compute(images: Tensor, noise: Tensor, enc: Tensor, dec: Tensor, *_: Tensor) -> object:
        return tuple(unroll(model, images, noise, Context(enc, dec)))

    assert torch.autograd.gradcheck(compute, inputs, fast_mode=True)


@on_the_reference
def test_strides_are_nobodys_business(case) -> None:
    model, images, noise = case(channels=3)
    strided = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    turned = noise.transpose(0, 1).contiguous().transpose(0, 1)
    assert not strided.is_contiguous()
    assert not turned.is_contiguous()
    wanted = list(model.parameters())
    ways = unroll(model, images, noise), unroll(model, strided, turned)
    for ours, theirs in zip(*(slopes_of(way, wanted) for way in ways), strict=True):
        assert torch.equal(ours, theirs)
    drawn, ours = trajectory(model, images, noise), trajectory(model, strided, turned)
    assert torch.equal(drawn.canvases, ours.canvases)


@on_the_reference
def test_a_second_derivative_is_refused(case) -> None:
    model, images, noise = case()
    loss = unroll(model, images, noise).kl.square().sum()
    slope = torch.autograd.grad(loss, model.mu.weight, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


@on_the_reference
def test_a_gradient_under_autocast_is_in_the_precision_of_its_pass(case) -> None:
    model, images, noise = case()
    model.float()
    found = unroll(model, images.float(), noise.float())
    expected = torch.autograd.grad(found.kl.sum(), model.mu.weight, retain_graph=True)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(torch.autograd.grad(found.kl.sum(), model.mu.weight)[0], expected)


@on_the_reference
def test_a_step_and_its_gradient_are_one_graph_each(case) -> None:
    """The first step, the last and those between have the same shapes and strides."""
    given: dict[Any, set[Any]] = {}

    def note(function: Callable[..., Any]) -> Callable[..., Any]:
        def noting(*arguments: Any) -> Any:
            tensors = compilation.tensors_in(arguments)
            key = tuple((t.shape, t.stride(), t.dtype, t.requires_grad) for t in tensors)
            given.setdefault(function, set()).add(key)
            return function(*arguments)

        return noting

    for attention in ("gaussian", "none"):
        for prior in ("standard", "learned"):
            given.clear()
            model, images, noise = case(attention=attention, prior=prior)
            slopes_of(unroll(model, images, noise, compile=note), list(model.parameters()))
            trajectory(model, None, noise, NOTHING, note)
            functions = {glimpse.glimpse, glimpse.glimpse_backward, glimpse.generate}
            assert given.keys() == functions
            assert [len(graphs) for graphs in given.values()] == [1, 1, 1]


@on_the_reference
@pytest.mark.parametrize("operand", [torch.float32, torch.float16])
@pytest.mark.parametrize("attention", ["gaussian", "none"])
def test_the_host_waits_for_nothing(operand: torch.dtype, attention: str, case) -> None:
    """So all of it can be captured, within a step or by itself."""
    model, images, noise = case(attention=attention, prior="learned")
    model.float()
    cast = torch.autocast("cpu", operand, enabled=operand != torch.float32)
    with NoWaiting():
        with cast:
            found = unroll(model, images.float(), noise.float())
        torch.autograd.grad(found.kl.sum(), list(model.parameters()), materialize_grads=True)
        trajectory(model, None, noise.float())


# As a backend


def test_on_a_cpu_it_runs_where_it_is_asked_for(monkeypatch) -> None:
    model = DRAW(TINY_MODEL)
    assert model.choice.name != "packed"
    for name in ("cpp", "packed"):
        monkeypatch.setattr(BACKENDS[name], "obstacle", lambda *_: "cannot")
    assert model.choice.name == "reference"


@pytest.mark.parametrize(
    ("changes", "name"),
    [({}, "packed"), ({"packed"}, "compiled"), ({"packed", "compiled"}, "graph")],
)
def test_on_a_gpu_it_runs_by_itself(changes, name: str, monkeypatch) -> None:
    model = DRAW(TINY_MODEL)
    for each in ("packed", "compiled"):
        said = "cannot" if each in changes else None
        monkeypatch.setattr(BACKENDS[each], "obstacle", lambda *_, said=said: said)
    with FakeTensorMode():  # a device that need not be there
        model.canvas_0 = torch.nn.Parameter(torch.empty(1, 6, 5, device="cuda"))
    assert model.choice.name == name
    assert "times the eager loop's training step" in model.choice.reason
    assert all(f"not {each}: cannot" in model.choice.reason for each in changes)


def test_without_triton_a_gpu_has_no_compiler(monkeypatch) -> None:
    monkeypatch.setattr(compilation, "_has_triton", lambda: False)
    model = DRAW(TINY_MODEL)
    for name in ("packed", "compiled"):
        found = BACKENDS[name].obstacle(model, torch.device("cuda"), torch.float32)
        assert found == "torch.compile needs Triton on a GPU, which is not installed"


class Bold(DRAW):
    def step(self, *given: Any) -> Any:
        after, step = super().step(*given)
        return after._replace(canvas=2 * after.canvas), step


OBSTACLES: dict[str, tuple[Callable[[], DRAW], str]] = {
    "step": (lambda: Bold(TINY_MODEL), "its own step"),
    "windows to read": (
        lambda: DRAW(dataclasses.replace(TINY_MODEL, read_heads=2)),
        "has read_heads 2",
    ),
    "windows to write": (
        lambda: DRAW(dataclasses.replace(TINY_MODEL, write_heads=2)),
        "has write_heads 2",
    ),
    "numbers": (lambda: DRAW(TINY_MODEL).half(), r"the model is in torch\.float16"),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_it_does_not_know_is_refused(name: str) -> None:
    make, says = OBSTACLES[name]
    with pytest.raises(KernelUnavailableError, match=says):
        on("packed", make()).choice  # noqa: B018


def test_a_hook_is_refused() -> None:
    model = on("packed", DRAW(TINY_MODEL))
    assert model.choice.name == "packed"
    model.mu.register_forward_hook(lambda *_: None)
    with pytest.raises(KernelUnavailableError, match="mu has a forward hook"):
        model.choice  # noqa: B018


def doubled(function: Callable[..., Any]) -> Callable[..., Any]:
    def twice(*given: Any) -> Any:
        found = function(*given)
        return 2 * found if isinstance(found, Tensor) else type(found)(2 * part for part in found)

    return twice


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize(
    ("module", "name", "attention"),
    [
        (draw.attention.window, "filter_centres", "gaussian"),
        (draw.model.draw, "kl_divergence", "none"),
        (draw.model.draw, "log_prior_over_posterior", "cauchy"),
        (glimpse, "cell_backward", "none"),
        (upright_backward, "_window_backward", "gaussian"),
        (turned_backward, "_window_backward", "rotated"),
    ],
)
def test_an_edited_equation_is_refused(module, name: str, attention: str, monkeypatch) -> None:
    model = on("packed", DRAW(dataclasses.replace(TINY_MODEL, attention=attention)))
    assert model.choice.name == "packed"
    monkeypatch.setattr(module, name, doubled(getattr(module, name)))
    with pytest.raises(KernelUnavailableError, match="this code computes another"):
        model.choice  # noqa: B018


def test_models_of_one_step_prove_nothing_of_longer_ones(monkeypatch) -> None:
    compared = []

    def note(contract: Any, model: Any, bf16: bool) -> str | None:
        compared.append(model.config.glimpses)
        return compare(contract, model, bf16)

    compare = proof._compared
    monkeypatch.setattr(proof, "_verdicts", {})
    monkeypatch.setattr(proof, "_compared", note)
    for glimpses in (1, 5):
        model = DRAW(dataclasses.replace(TINY_MODEL, glimpses=glimpses))
        assert on("packed", model).choice.name == "packed"
    assert compared == [1, 2]


@pytest.mark.parametrize("parts", [{}, {"attention": "cauchy", "prior": "learned"}])
def test_a_training_is_that_of_the_loop(parts, tmp_path: Path) -> None:
    config = dataclasses.replace(TINY, model=dataclasses.replace(TINY.model, **parts))
    weights = []
    for backend in ("reference", "packed"):
        compute = dataclasses.replace(config.compute, backend=backend)
        asked = dataclasses.replace(config, compute=compute)
        trainer = start(asked, tmp_path / backend, image_set(20), image_set(10, "validation"))
        trainer.fit()
        assert trainer.bare_model.choice.name == backend
        weights.append(trainer.bare_model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_the_whole_tour(tmp_path: Path) -> None:
    small = ("--model.glimpses", "2", "--model.hidden-size", "8", "--train.batch-size", "4")
    flags = ("--backend", "packed", "--train.steps", "2", "--train.evaluate-images", "10")
    done = draw_command("train", "digits", "--out", "run", *small, *flags, cwd=tmp_path)
    assert "backend packed (as asked)" in done.stdout
    draw_command("sample", "run", "--backend", "packed", "--out", "drawn.png", cwd=tmp_path)
    draw_command(
        "evaluate", "run", "--backend", "packed", "--importance-samples", "2", cwd=tmp_path
    )
