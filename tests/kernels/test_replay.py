"""What a graph computes belongs to whoever asked for it, however many replays come after."""

import copy
import gc
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from draw.kernels import BACKENDS, replay
from draw.model.draw import DRAW
from draw.parts.state import NOTHING
from fake_graphs import fake_graphs, taped_graphs
from running import TINY_MODEL

BY_GRAPH = "graph", "packed"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    return fake_graphs(monkeypatch)


@pytest.fixture(params=BY_GRAPH)
def backend(request: pytest.FixtureRequest, recorded) -> Any:
    return BACKENDS[request.param]


@pytest.fixture
def model() -> DRAW:
    model = DRAW(TINY_MODEL).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4)
    return model


def batch(size: int = 2) -> tuple[Tensor, Tensor]:
    images, noise = torch.rand(size, 1, 6, 5), torch.randn(3, size, 4)
    return images.double(), noise.double()


def gradients(outputs: tuple[Tensor, ...], model: DRAW, **options: Any) -> list[Tensor]:
    """Of a loss in which every number has its weight."""
    loss = sum((torch.linspace(1, 2, t.numel()).double().view_as(t) * t).sum() for t in outputs)
    wanted = [value for value in model.parameters() if value.requires_grad]
    return list(torch.autograd.grad(loss, wanted, materialize_grads=True, **options))


def same(found: Any, expected: Any) -> None:
    torch.testing.assert_close(tuple(found), tuple(expected), rtol=1e-9, atol=1e-9)


def test_results_outlive_the_next_replay(backend, model) -> None:
    first, second = batch(), batch()
    found = backend.unroll(model, *first)
    slopes = gradients(found, model)
    before = [t.clone() for t in (*found, *slopes)]
    gradients(backend.unroll(model, *second), model)
    assert all(torch.equal(t, kept) for t, kept in zip((*found, *slopes), before, strict=True))
    same(found, model.unroll(*first))


def test_every_replay_is_the_loop(backend, model, recorded) -> None:
    for _ in range(3):
        given = batch()
        expected = model.unroll(*given)
        found = backend.unroll(model, *given)
        same(found, expected)
        same(gradients(found, model), gradients(expected, model))
    assert len(recorded) == 2, "forward and backward"


def test_two_passes_may_live_at_once(backend, model) -> None:
    given = [batch(), batch()]
    found = [backend.unroll(model, *each) for each in given]
    for each, outputs in reversed([*zip(given, found, strict=True)]):
        same(gradients(outputs, model), gradients(model.unroll(*each), model))


def test_a_gradient_may_be_taken_twice(backend, model) -> None:
    given = batch()
    outputs = backend.unroll(model, *given)
    expected = gradients(model.unroll(*given), model)
    same(gradients(outputs, model, retain_graph=True), expected)
    other = batch()
    between = backend.unroll(model, *other)
    same(gradients(outputs, model), expected)
    same(gradients(between, model), gradients(model.unroll(*other), model))


def test_without_being_retained_it_may_not(backend, model) -> None:
    outputs = backend.unroll(model, *batch())
    gradients(outputs, model)
    with pytest.raises(RuntimeError, match="second time"):
        gradients(outputs, model)


def replays(graphs: replay.Graphs) -> list[bool]:
    """Notes for each pass from now on that it is a replay."""
    made: list[bool] = []
    for graph in graphs._graphs.values():
        forward = graph.forward
        graph.forward = lambda given, forward=forward: (made.append(True), forward(given))[1]
    return made


@pytest.mark.parametrize("end", ["gradient", "forgotten"])
def test_a_pass_that_is_over_frees_its_graph(end: str, model, recorded) -> None:
    backend = BACKENDS["graph"]
    outputs = backend.unroll(model, *batch())
    made = replays(model.execution.kept["graph"])
    if end == "gradient":
        gradients(outputs, model)
    else:
        del outputs
        gc.collect()
    again = backend.unroll(model, *batch())
    assert made == [True]
    third = backend.unroll(model, *batch())
    assert made == [True], "its memory belongs to the second pass"
    del again, third


def test_gradients_add_up(backend, model) -> None:
    parts = [batch(), batch(), batch()]
    for given in parts:
        backend.unroll(model, *given).kl.sum().backward()
    found = [value.grad for value in model.parameters()]
    model.zero_grad()
    for given in parts:
        model.unroll(*given).kl.sum().backward()
    for ours, value in zip(found, model.parameters(), strict=True):
        if value.grad is not None:
            torch.testing.assert_close(ours, value.grad, rtol=1e-9, atol=1e-9)


def test_a_graph_follows_the_optimizer(backend, model) -> None:
    other = copy.deepcopy(model)
    for way, trained in ((backend.unroll, model), (DRAW.unroll, other)):
        torch.manual_seed(1)
        adam = torch.optim.Adam(trained.parameters(), lr=0.1)
        for size in (2, 2, 3, 2, 3):
            adam.zero_grad()
            way(trained, *batch(size)).kl.sum().backward()
            with torch.no_grad():
                way(trained, *batch(5))
            adam.step()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-7, atol=1e-7)


def test_parameters_changed_before_the_gradient_are_an_error(backend, model) -> None:
    outputs = backend.unroll(model, *batch())
    with torch.no_grad():
        model.mu.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradients(outputs, model)


def test_evaluation_between_a_pass_and_its_gradient(backend, model) -> None:
    given = batch()
    outputs = backend.unroll(model, *given)
    for size in (2, 3, 2, 2):
        with torch.no_grad():
            other = batch(size)
            same(backend.unroll(model, *other), model.unroll(*other))
    same(gradients(outputs, model), gradients(model.unroll(*given), model))


def test_without_gradients_a_shape_is_captured_when_it_comes_again(backend, model, recorded):
    drawn = []
    for count, mode in ((0, torch.no_grad), (1, torch.inference_mode), (1, torch.no_grad)):
        given = batch()
        with mode():
            drawn.append((given, backend.unroll(model, *given)))
        assert len(recorded) == count
    for given, found in drawn:
        same(found, model.unroll(*given))


@pytest.mark.parametrize("new", [True, False])
def test_drawings_are_nobody_elses(new: bool, backend, model, recorded) -> None:
    drawn = []
    for _ in range(3):
        images, noise = batch()
        given = (None if new else images), noise
        drawn.append((given, backend.trajectory(model, *given)))
    assert len(recorded) == 1
    for given, found in drawn:
        expected = model.trajectory(*given)
        same((found.canvases,), (expected.canvases,))
        assert found.windows.keys() == expected.windows.keys()
        for name, windows in expected.windows.items():
            same(found.windows[name].numbers.values(), windows.numbers.values())


def test_images_and_what_is_told_get_gradients(backend, model) -> None:
    images, noise = batch()
    enc = torch.randn(2, 32).double()
    given = [tensor.requires_grad_() for tensor in (images, noise, enc)]
    for _ in range(2):
        context = NOTHING._replace(enc=enc)
        ways = backend.unroll(model, images, noise, context), model.unroll(images, noise, context)
        same(*(torch.autograd.grad(way.canvas.sum() + way.kl.sum(), given) for way in ways))


def test_a_second_derivative_is_refused(backend, model) -> None:
    loss = backend.unroll(model, *batch()).kl.square().sum()
    slope = torch.autograd.grad(loss, model.mu.weight, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()


def test_a_copy_has_graphs_of_its_own(backend, model, recorded) -> None:
    given = batch()
    gradients(backend.unroll(model, *given), model)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.mu.weight.mul_(2)
    same(gradients(backend.unroll(other, *given), other), gradients(other.unroll(*given), other))
    assert len(recorded) == 4


def test_the_latest_shapes_are_kept(model, recorded, monkeypatch) -> None:
    monkeypatch.setattr(replay, "MOST", 2)
    backend = BACKENDS["graph"]
    for size, count in ((1, 2), (2, 4), (1, 4), (3, 6), (1, 6), (2, 8)):
        given = batch(size)
        same(backend.unroll(model, *given), model.unroll(*given))
        assert len(recorded) == count


def test_code_that_is_captured_as_a_whole_records_nothing(backend, model, recorded) -> None:
    given = batch()
    with replay.no_graphs():
        found = backend.unroll(model, *given)
    assert recorded == []
    same(gradients(found, model), gradients(model.unroll(*given), model))
    backend.unroll(model, *given)
    assert recorded


def freeze(model: DRAW) -> None:
    model.requires_grad_(False)


def freeze_all_but_one(model: DRAW) -> None:
    model.requires_grad_(False)
    model.mu.weight.requires_grad_()


@pytest.mark.parametrize("change", [freeze, freeze_all_but_one])
def test_frozen_parameters_get_no_gradient(change: Callable[[DRAW], None], backend, model) -> None:
    change(model)
    for _ in range(2):
        given = batch()
        found, expected = backend.unroll(model, *given), model.unroll(*given)
        same(found, expected)
        assert found.kl.requires_grad == expected.kl.requires_grad
        if expected.kl.requires_grad:
            same(gradients(found, model), gradients(expected, model))


class Scaled(DRAW):
    """Its code reads an attribute of its own."""

    scale = 1.0

    def decode(self, z: Tensor, *rest: Any) -> Any:
        return super().decode(self.scale * z, *rest)


@pytest.mark.parametrize("trained", [True, False])
def test_an_attribute_has_its_effect_on_replays(trained: bool, monkeypatch) -> None:
    taped_graphs(monkeypatch)
    model, given = Scaled(TINY_MODEL).double(), batch()
    for scale in (1.0, 5.0):
        model.scale = scale
        for _ in range(3):
            with torch.set_grad_enabled(trained):
                same(BACKENDS["graph"].unroll(model, *given), model.unroll(*given))


@pytest.fixture
def often_in_turns() -> Iterator[None]:
    """Threads that change places whenever they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("often_in_turns")
@pytest.mark.parametrize("trained", [True, False])
def test_threads_get_their_own_results(trained: bool, model, monkeypatch) -> None:
    taped_graphs(monkeypatch)
    backend, rounds = BACKENDS["graph"], 12
    right: list[bool] = []

    def work(seed: int) -> None:
        random = torch.Generator().manual_seed(seed)
        for _ in range(rounds):
            images = torch.rand(2, 1, 6, 5, generator=random, dtype=torch.float64)
            noise = torch.randn(3, 2, 4, generator=random, dtype=torch.float64)
            with torch.set_grad_enabled(trained):
                ways = backend.unroll(model, images, noise), model.unroll(images, noise)
            found, expected = ([*way, *(gradients(way, model) if trained else ())] for way in ways)
            right.append(all(map(torch.allclose, found, expected)))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert right == 3 * rounds * [True]
