"""Factors of h_dec, the same at all steps: every backend against the loop under autograd."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from draw.errors import KernelArgumentError
from draw.kernels import BACKENDS, unroll_backward
from draw.kernels.cpp import unroll as cpp
from draw.kernels.gpu.triton_backend import TRITON
from draw.kernels.packed import packed_sequence
from draw.kernels.packed.packed_backend import PACKED_STEP
from draw.model.draw import DRAW
from draw.parts.state import Context, UnrollOutput
from running import on
from sequences import case

__all__ = ["case"]

on_the_reference = pytest.mark.parametrize("backend", ["reference"], indirect=True)

WAYS: dict[str, Callable[..., UnrollOutput]] = {
    "cpp": lambda model, *given: cpp.unroll(model.config, model, *given),
    "packed": packed_sequence.unroll,
    "derived by hand": unroll_backward.unroll,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "several blocks of units, prior": {"hidden_size": 37, "prior": "learned"},
    "more images than lanes": {"batch": 19, "hidden_size": 16},
    "no attention": {"attention": "none", "prior": "learned"},
    "Cauchy, colour": {"attention": "cauchy", "channels": 3},
    "no image": {"batch": 0},
}


def factors(model: DRAW, images: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(3)
    stays = torch.rand(len(images), model.config.hidden_size, generator=random) < 0.6
    return stays.to(images) / 0.6


def gradients(found: UnrollOutput, wanted: list[Tensor]) -> list[Tensor]:
    random = torch.Generator().manual_seed(1)
    slopes = [torch.randn(part.shape, generator=random).to(part) for part in found]
    return list(torch.autograd.grad(tuple(found), wanted, slopes, materialize_grads=True))


@on_the_reference
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_those_of_the_loop(name: str, way: str, case) -> None:
    model, images, noise = case(**CASES[name])
    units = factors(model, images)
    shape = len(images), 4 * model.config.hidden_size
    random = torch.Generator().manual_seed(2)
    told = [
        torch.randn(shape, generator=random, dtype=images.dtype).requires_grad_() for _ in range(2)
    ]
    wanted = [images.requires_grad_(), noise.requires_grad_(), *told, *model.parameters()]
    context = Context(*told)
    expected = model.unroll(images, noise, context, unit_mask=units)
    found = WAYS[way](model, images, noise, context, units)
    pairs = zip(
        (*found, *gradients(found, wanted)), (*expected, *gradients(expected, wanted)), strict=True
    )
    for ours, theirs in pairs:
        largest = float(theirs.detach().abs().sum())
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12 * largest)
    without = WAYS[way](model, images, noise, context, None)
    assert not len(images) or not torch.allclose(found.kl, without.kl)


@on_the_reference
@pytest.mark.parametrize("way", ["cpp", "packed"])
def test_in_few_bits_it_is_near(way: str, case) -> None:
    model, images, noise = case(batch=5, hidden_size=20)
    model.float()
    given = images.float(), noise.float(), Context(None, None), factors(model, images).float()
    expected = model.unroll(*given[:3], unit_mask=given[3])
    with torch.autocast("cpu", torch.bfloat16):
        found = WAYS[way](model, *given)
    assert not torch.equal(found.kl, expected.kl)
    torch.testing.assert_close(found.kl.float(), expected.kl, rtol=0.1, atol=0.1)
    torch.testing.assert_close(found.canvas.float(), expected.canvas, rtol=0.1, atol=0.1)


def test_one_backend_runs_with_and_without_factors(case, monkeypatch) -> None:
    model, images, noise = case()
    backend = BACKENDS[model.choice.name]
    given: list[int] = []
    own = type(backend).unroll
    monkeypatch.setattr(
        type(backend), "unroll", lambda *all_of: given.append(len(all_of)) or own(*all_of)
    )
    units = factors(model, images)
    found = model(images, noise, unit_mask=units)
    expected = on("reference", model)(images, noise, unit_mask=units)
    torch.testing.assert_close(found.bound, expected.bound)
    assert given[0] == 6


def test_factors_that_want_a_gradient_get_that_of_the_loop(case) -> None:
    model, images, noise = case()
    units = factors(model, images).requires_grad_()
    slope = torch.autograd.grad(model(images, noise, unit_mask=units).bound.sum(), units)[0]
    loop = model.unroll(images, noise, unit_mask=units)
    loss = model.likelihood(loop.canvas, images).sum() + loop.kl.sum()
    torch.testing.assert_close(slope, torch.autograd.grad(loss, units)[0])
    assert slope.abs().max() > 0


def test_triton_hands_it_to_the_packed_step(case, monkeypatch) -> None:
    model, images, noise = case()
    units = factors(model, images)
    packed = PACKED_STEP.unroll(model, images, noise, Context(None, None), units)
    monkeypatch.setattr(
        PACKED_STEP, "unroll", lambda *given: packed if given[-1] is units else None
    )
    assert TRITON.unroll(model, images, noise, Context(None, None), units) is packed


@on_the_reference
def test_factors_of_another_shape_are_refused_by_the_operator(case) -> None:
    model, images, noise = case()
    with pytest.raises(KernelArgumentError, match="expected unit_mask of shape"):
        WAYS["cpp"](model, images, noise, Context(None, None), images.new_ones(len(images), 3))
