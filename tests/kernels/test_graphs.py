"""The loop as a CUDA graph: on a GPU if there is one, and its bookkeeping anywhere."""

import copy
import dataclasses
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import draw.attention.window
from draw.errors import KernelUnavailableError
from draw.kernels import BACKENDS, replay
from draw.kernels.graph_state import state_of
from draw.model.draw import DRAW
from draw.parts.state import NOTHING
from fake_graphs import fake_graphs
from running import TINY_MODEL, on

GRAPH = BACKENDS["graph"]


def batch(size: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    return torch.rand(size, 1, 6, 5, device=device), torch.randn(3, size, 4, device=device)


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes of what is captured, by a graph that computes again where it has before."""
    shapes: list[torch.Size] = []

    def record(function: Callable[..., object], given: replay.Inputs, *rest: object) -> object:
        shapes.append(given[0].shape)
        return recording(function, given, *rest)

    recording = replay.Graphs._record
    monkeypatch.setattr(replay.Graphs, "_record", staticmethod(record))
    fake_graphs(monkeypatch)
    return shapes


def test_each_shape_is_captured_once(captures) -> None:
    model = on("reference", DRAW(TINY_MODEL))
    for size in (2, 3, 2, 3):
        images, noise = batch(size)
        expected = model.unroll(images, noise)
        for ours, theirs in zip(GRAPH.unroll(model, images, noise), expected, strict=True):
            assert torch.equal(ours, theirs)
    assert [shape[0] for shape in captures] == [2, 3]
    other = copy.deepcopy(model)
    GRAPH.unroll(other, *batch(2))
    assert len(captures) == 3, "a copy has graphs of its own"


@pytest.fixture
def told_model() -> DRAW:
    """A model that is told its class, with numbers that make a difference."""
    model = on("reference", DRAW(dataclasses.replace(TINY_MODEL, condition="class")))
    for table in model.condition.parameters():
        torch.nn.init.normal_(table)
    return model


def test_what_is_told_is_heard(captures, told_model) -> None:
    images, noise = batch(2)
    tables = list(told_model.condition.parameters())
    for labels in (torch.tensor([1, 2]), torch.tensor([3, 0])):
        context = told_model.context(labels, 2)
        expected = told_model.unroll(images, noise, context)
        found = GRAPH.unroll(told_model, images, noise, context)
        assert torch.equal(found.kl, expected.kl)
        for ours, theirs in zip(*(torch.autograd.grad(way.kl.sum(), tables, retain_graph=True)
                                  for way in (found, expected)), strict=True):  # fmt: skip
            assert torch.equal(ours, theirs)
            assert ours.any()
    assert len(captures) == 1, "labels are numbers, not another graph"


def test_each_way_of_being_told_is_captured_by_itself(captures, told_model) -> None:
    images, noise = batch(2)
    both = told_model.context(told_model.labels_for(2), 2)
    for context in (both, both._replace(enc=None), both._replace(dec=None), NOTHING):
        expected = told_model.unroll(images, noise, context)
        found = GRAPH.unroll(told_model, images, noise, context)
        assert torch.equal(found.canvas, expected.canvas)
    assert len(captures) == 4


def test_without_gradients_what_is_told_is_heard(captures, told_model) -> None:
    images, noise = batch(2)
    context = told_model.context(told_model.labels_for(2), 2)
    with torch.no_grad():
        expected = told_model.unroll(images, noise, context)
        found = GRAPH.unroll(told_model, images, noise, context)
    assert torch.equal(found.kl, expected.kl)
    assert captures == []


def test_without_gradients_nothing_is_captured(captures) -> None:
    model = DRAW(TINY_MODEL)
    with torch.no_grad():
        GRAPH.unroll(model, *batch(2))
    assert captures == []


def test_of_no_images_nothing_is_captured(captures) -> None:
    model = on("reference", DRAW(TINY_MODEL))
    assert GRAPH.unroll(model, *batch(0)).kl.shape == (0, 3)
    assert captures == []


def test_each_kind_of_numbers_is_captured_by_itself(captures) -> None:
    model = on("reference", DRAW(TINY_MODEL))
    for bf16 in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            GRAPH.unroll(model, *batch(2))
    assert len(captures) == 2


def test_each_precision_of_products_is_captured_by_itself(captures) -> None:
    """By the newer of torch's names for it, after which the older one raises."""
    model, matmul = on("reference", DRAW(TINY_MODEL)), torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        for precision in ("ieee", "tf32", "ieee"):
            matmul.fp32_precision = precision
            GRAPH.unroll(model, *batch(2))
    finally:
        matmul.fp32_precision = before
    assert len(captures) == 2


ON_A_GPU = [
    {},
    {"prior": "learned", "condition": "class"},
    {"attention": "none"},
    {"attention": "cauchy", "channels": 1, "rows": 6},
]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("backend", ["graph", "packed", "compiled"])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("parts", ON_A_GPU)
def test_on_a_gpu_it_is_the_loop(parts, bf16: bool, backend: str) -> None:
    torch.manual_seed(0)
    graph = on(backend, DRAW(dataclasses.replace(TINY_MODEL, **parts))).cuda()
    loop = on("reference", DRAW(dataclasses.replace(TINY_MODEL, **parts))).cuda()
    loop.load_state_dict(graph.state_dict())
    assert graph.choice.name == backend
    for _ in range(3):
        images, noise = batch(4, "cuda")
        for model in (graph, loop):
            model.zero_grad()
            with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
                model(images, noise, model.labels_for(4)).bound.sum().backward()
        for ours, theirs in zip(graph.parameters(), loop.parameters(), strict=True):
            assert ours.grad is not None
            assert theirs.grad is not None
            apart = (ours.grad - theirs.grad).norm() / (theirs.grad.norm() + 1e-3)
            assert float(apart) < (5e-2 if bf16 else 1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("backend", ["graph", "packed", "compiled"])
def test_on_a_gpu_passes_live_side_by_side(backend: str) -> None:
    """Two at once, one evaluated in between, and a gradient taken twice."""
    torch.manual_seed(0)
    graph = on(backend, DRAW(TINY_MODEL)).cuda()
    loop = on("reference", copy.deepcopy(graph))
    given = [batch(4, "cuda") for _ in range(3)]
    for _ in range(2):
        outputs = [graph(*each).bound.sum() for each in given[:2]]
        with torch.no_grad():
            found = [graph(*given[2]).bound for _ in range(3)]
            expected = loop(*given[2]).bound
        for bound in found:
            torch.testing.assert_close(bound, expected, rtol=1e-3, atol=1e-3)
        for each, output in zip(given, outputs, strict=False):
            slope = torch.autograd.grad(loop(*each).bound.sum(), loop.canvas_0)[0]
            for last in (False, True):
                ours = torch.autograd.grad(output, graph.canvas_0, retain_graph=not last)[0]
                torch.testing.assert_close(ours, slope, rtol=1e-2, atol=1e-2)
        drawn = [model.generate(4, seed=1).canvases for model in (graph, loop)]
        torch.testing.assert_close(*drawn, rtol=1e-3, atol=1e-3)


def replace_a_parameter(model: DRAW) -> None:
    model.mu.weight = torch.nn.Parameter(2 * model.mu.weight.detach())


def replace_a_part(model: DRAW) -> None:
    model.mu = type(model.mu)(8, 4)


def patch_a_method(model: DRAW) -> None:
    read = model.attention.read
    model.attention.read = lambda x, x_hat, h_dec: read(2 * x, x_hat, h_dec)


def transpose_a_parameter(model: DRAW) -> None:
    weight = model.attention.write_content.weight
    weight.data = weight.data.view(weight.shape[::-1]).mT


CHANGES: dict[str, Callable[[DRAW], object]] = {
    "a parameter": replace_a_parameter,
    "a part": replace_a_part,
    "a method": patch_a_method,
    "evaluating": lambda model: model.eval(),
    "frozen": lambda model: model.mu.requires_grad_(False),
    "other numbers": lambda model: model.double().float(),
    "an attribute": lambda model: setattr(model, "scale", 2.0),
    "a part's attribute": lambda model: setattr(model.attention, "limits", [3, {"low": 0.5}]),
    "a part's mode": lambda model: model.prior.eval(),
    "a buffer": lambda model: model.register_buffer("offset", torch.zeros(3)),
    "strides": transpose_a_parameter,
    "a hook": lambda model: model.mu.weight.register_hook(lambda d: 2 * d),
    "a later hook": lambda model: model.mu.weight.register_post_accumulate_grad_hook(print),
}


@pytest.mark.parametrize(
    "change",
    [
        lambda part: part.limits.append(2.0),
        lambda part: part.options.update(scale=1.0),
        lambda part: setattr(part, "chosen", object()),
        lambda part: setattr(part, "numbers", torch.ones(2)),
        lambda part: setattr(part, "limit", 1.5),
    ],
)
def test_the_state_has_what_attributes_hold(change: Callable[[object], object]) -> None:
    model = DRAW(TINY_MODEL)
    part = model.attention
    part.limits, part.options, part.chosen, part.numbers, part.limit = [1.0], {}, object(), None, 1
    before = state_of(model)
    assert state_of(model) == before
    change(part)
    assert state_of(model) != before


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_model_is_captured_anew(change: str, captures) -> None:
    """A graph would go on with the addresses and the code of before."""
    model = on("reference", DRAW(TINY_MODEL))
    for _ in range(2):
        GRAPH.unroll(model, *batch(2))
    CHANGES[change](model)
    for _ in range(2):
        GRAPH.unroll(model, *batch(2))
    assert len(captures) == 2


@pytest.mark.parametrize("own", [True, False])
def test_an_edited_equation_is_captured_anew(own: bool, captures, caplog, monkeypatch) -> None:
    """One of somebody else's may go by numbers that a graph would keep: it is not captured."""
    model = on("reference", DRAW(TINY_MODEL))
    GRAPH.unroll(model, *batch(2))
    edited: Any = lambda *_: None  # noqa: E731
    if own:  # as if it stood in the package's source
        edited = FunctionType(edited.__code__, vars(draw.attention.window))
    monkeypatch.setattr(draw.attention.window, "filter_centres", edited)
    with pytest.raises(AttributeError, match="'NoneType' object"):
        GRAPH.unroll(model, *batch(2))
    assert len(captures) == (2 if own else 1)
    assert ("filter_centres was replaced by a function of" in caplog.text) == (not own)


class Counting(DRAW):
    """Its own code changes an attribute."""

    calls = 0

    def decode(self, *given: Any) -> Any:
        self.calls += 1
        return super().decode(*given)


def test_a_model_that_changes_at_each_call_runs_as_it_is(captures, caplog) -> None:
    model, steps = on("reference", Counting(TINY_MODEL)), TINY_MODEL.glimpses
    for _ in range(replay.MOST_CHANGES + 1):
        GRAPH.unroll(model, *batch(2))
    assert len(captures) == replay.MOST_CHANGES
    assert "the model's attributes are others" in caplog.text
    before = model.calls
    GRAPH.unroll(model, *batch(2))
    assert model.calls == before + steps
    assert len(captures) == replay.MOST_CHANGES
    assert len(caplog.records) == 1, "said once"


@pytest.mark.parametrize("name", ["graph", "compiled", "packed"])
def test_a_hook_on_a_gradient_is_an_obstacle(name: str) -> None:
    """It would act on the gradient of the recording, and on that of the replay."""
    model, place = DRAW(TINY_MODEL), (torch.device("cpu"), torch.float32)
    handle = model.mu.weight.register_hook(lambda d: 0.1 * d)
    assert "mu.weight has a hook on its gradient" in BACKENDS[name].obstacle(model, *place)
    handle.remove()
    assert BACKENDS[name].obstacle(model, *place) is None


@pytest.mark.parametrize("part", ["attention.read_window", "lstm_enc", "mu"])
def test_hooks_keep_the_loop_from_being_captured(part: str) -> None:
    """A replay runs no Python."""
    model = DRAW(TINY_MODEL)
    model.backend = "graph"
    model.register_forward_hook(lambda *_: None)
    model.likelihood.register_forward_hook(lambda *_: None)
    with FakeTensorMode():  # a device that need not be there
        model.canvas_0 = torch.nn.Parameter(torch.empty(1, 6, 5, device="cuda"))
    assert model.choice.name == "graph", "these run in Python in any case"
    model.get_submodule(part).register_forward_hook(lambda *_: None)
    with pytest.raises(KernelUnavailableError, match=f"graph cannot run: {part} has a forw"):
        model.choice  # noqa: B018
