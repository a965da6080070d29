"""The backward pass derived by hand against autograd of the reference, and against differences."""

import pytest
import torch
from torch import Tensor

from draw.errors import DrawError
from draw.kernels import unroll_backward
from draw.kernels.gpu import triton_unroll
from draw.model.draw import DRAW
from draw.parts.state import NOTHING, Context
from running import on
from sequences import CASES, case

__all__ = ["case"]

pytestmark = pytest.mark.parametrize("backend", ["reference"], indirect=True)


OTHERS: dict[str, dict[str, object]] = {
    "windows to read": {"read_heads": 2, "rows": 9},
    "windows to write, colour": {"write_heads": 3, "channels": 3},
    "windows to read and write, Laplace filters, one image": {
        "read_heads": 3, "write_heads": 2, "attention": "laplace", "batch": 1,
    },
    "windows that turn, to read and write, colour": {
        "read_heads": 2, "write_heads": 3, "attention": "rotated", "channels": 3,
    },
    "windows to read and write, no image": {"read_heads": 2, "write_heads": 2, "batch": 0},
}  # fmt: skip


@pytest.mark.parametrize("name", CASES | OTHERS)
def test_every_gradient_is_that_of_autograd(name: str, case) -> None:
    options = dict((CASES | OTHERS)[name])
    whether = options.pop("context", (False, False))
    model, images, noise = case(**options)
    addends = {
        field: torch.randn(len(images), 20, dtype=torch.float64, requires_grad=True)
        for field, given in zip(Context._fields, whether, strict=True)
        if given
    }
    context = NOTHING._replace(**addends)
    wanted = {"images": images.requires_grad_(), "noise": noise.requires_grad_(), **addends,
              **dict(model.named_parameters())}  # fmt: skip
    expected, found = (
        model.unroll(images, noise, context),
        unroll_backward.unroll(model, images, noise, context),
    )
    random = torch.Generator().manual_seed(1)
    slopes = [torch.randn(part.shape, generator=random).double() for part in expected]
    ways = [torch.autograd.grad(way, list(wanted.values()), slopes) for way in (expected, found)]
    for part, ours, theirs in zip(expected._fields, found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, msg=part)
    for part, theirs, ours in zip(wanted, *ways, strict=True):
        torch.testing.assert_close(
            ours, theirs, rtol=1e-11, atol=1e-11 * float(theirs.abs().sum()),
            msg=lambda message, part=part: f"{part}: {message}",
        )  # fmt: skip


def test_a_parameter_in_two_places_gets_the_gradient_of_both(case) -> None:
    model, images, noise = case()
    model.log_sigma.weight = model.mu.weight
    ways = unroll_backward.unroll(model, images, noise), model.unroll(images, noise)
    found, expected = (torch.autograd.grad(way.kl.sum(), model.mu.weight)[0] for way in ways)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    taken = triton_unroll._parameters(model)
    assert taken["log_sigma.weight"] is taken["mu.weight"]


@pytest.mark.parametrize(
    ("attention", "prior"),
    [
        ("none", "standard"),
        *(
            pytest.param(*parts, marks=pytest.mark.slow)
            for parts in (
                ("gaussian", "standard"), ("gaussian", "learned"), ("cauchy", "standard"),
                ("laplace", "learned"), ("rotated", "standard"), ("none", "learned"),
            )
        ),
    ],
)  # fmt: skip
def test_gradient_is_that_of_differences(attention: str, prior: str, case) -> None:
    model, images, noise = case(
        rows=3, columns=2, glimpses=2, hidden_size=2, latent_size=2, read_size=2, write_size=2,
        attention=attention, prior=prior, batch=2,
    )  # fmt: skip
    context = [torch.randn(2, 8, dtype=torch.float64, requires_grad=True) for _ in Context._fields]
    inputs = images.requires_grad_(), noise.requires_grad_(), *context, *model.parameters()

    def unroll(images: Tensor, noise: Tensor, enc: Tensor, dec: Tensor, *_: Tensor) -> object:
        return tuple(unroll_backward.unroll(model, images, noise, Context(enc, dec)))

    assert torch.autograd.gradcheck(unroll, inputs)


def test_only_what_wants_a_gradient_gets_one(case) -> None:
    model, images, noise = case()
    model.requires_grad_(False)
    model.mu.weight.requires_grad_()
    unroll_backward.unroll(model, images, noise).kl.sum().backward()
    found = model.mu.weight.grad
    expected = torch.autograd.grad(model.unroll(images, noise).kl.sum(), model.mu.weight)[0]
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert model.canvas_0.grad is None


def test_a_weight_changed_before_the_gradient_is_an_error(case) -> None:
    model, images, noise = case()
    loss = unroll_backward.unroll(model, images, noise).kl.sum()
    with torch.no_grad():
        model.mu.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_filter_on_a_pixel_has_the_slope_of_autograd(case) -> None:
    """As every model begins: the outermost filters of its first window stand on pixels."""
    model, images, noise = case(attention="laplace", rows=5, columns=5, glimpses=1)
    fresh = on("reference", DRAW(model.config)).double()
    wanted = list(fresh.attention.read_window.parameters())
    ways = [
        torch.autograd.grad(way.canvas.sum() + way.kl.sum(), wanted)
        for way in (
            fresh.unroll(images, noise, NOTHING), unroll_backward.unroll(fresh, images, noise)
        )
    ]  # fmt: skip
    for expected, found in zip(*ways, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("attention", ["lattice", "affine"])
def test_what_is_not_derived_is_refused(attention: str, case) -> None:
    model, images, noise = case(attention=attention)
    with pytest.raises(DrawError, match=r"got \w+Sampler; its gradient is autograd's"):
        unroll_backward.unroll(model, images, noise)
