"""The backward pass derived by hand against autograd of the reference, and against differences."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from draw.errors import DrawError
from draw.kernels import unroll_backward
from draw.model.draw import DRAW
from draw.parts.state import NOTHING, Context

pytestmark = pytest.mark.parametrize("backend", ["reference"], indirect=True)

OFF_IMAGE = (5.0, -4.0, 0.0, 0.0, 0.5)
BEYOND_THE_LIMITS = (2e4, -2e4, 25.0, -25.0, 21.0)

CASES: dict[str, dict[str, object]] = {
    "odd sides": {"rows": 9, "columns": 7},
    "wide": {"rows": 3, "columns": 12, "read_size": 3, "write_size": 2},
    "tall, colour": {"rows": 11, "columns": 4, "channels": 3},
    "one filter": {"read_size": 1, "write_size": 1},
    "more filters than pixels": {"rows": 3, "columns": 2, "read_size": 5, "write_size": 4},
    "one pixel": {"rows": 1, "columns": 1},
    "one step": {"glimpses": 1},
    "one image": {"batch": 1},
    "no image": {"batch": 0},
    "one unit, one latent variable": {"hidden_size": 1, "latent_size": 1},
    "window off the image": {"read_window": OFF_IMAGE, "write_window": OFF_IMAGE},
    "window beyond the limits": {"read_window": BEYOND_THE_LIMITS},
    "no attention": {"attention": "none"},
    "no attention, colour, odd": {"attention": "none", "channels": 3, "rows": 5},
    "no attention, no image": {"attention": "none", "batch": 0},
    "learned prior": {"prior": "learned", "rows": 9},
    "learned prior, one step": {"prior": "learned", "glimpses": 1},
    "learned prior, no attention": {"prior": "learned", "attention": "none"},
    "learned prior, no image": {"prior": "learned", "batch": 0},
    "context": {"context": (True, True)},
    "the encoder told": {"context": (True, False)},
    "the decoder told, no attention": {"context": (False, True), "attention": "none"},
    "told, learned prior, one image": {"context": (True, True), "prior": "learned", "batch": 1},
    "told, no attention, learned prior": {
        "context": (True, True), "attention": "none", "prior": "learned", "channels": 3,
    },
}  # fmt: skip
SMALL = {"rows": 6, "columns": 8, "glimpses": 4, "hidden_size": 5, "latent_size": 3,
         "read_size": 3, "write_size": 4, "batch": 3}  # fmt: skip


@pytest.fixture
def case(random_model, random_batch) -> Callable[..., tuple[DRAW, Tensor, Tensor]]:
    """A model with random weights, images and noise, in float64."""

    def make(**options: object) -> tuple[DRAW, Tensor, Tensor]:
        options = {**SMALL, **options}
        batch = options.pop("batch")
        model = random_model(**options)
        return model, *random_batch(model, batch)

    return make


@pytest.mark.parametrize("name", CASES)
def test_every_gradient_is_that_of_autograd(name: str, case) -> None:
    options = dict(CASES[name])
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


@pytest.mark.parametrize(
    ("attention", "prior"), [("gaussian", "standard"), ("none", "standard"), ("none", "learned")]
)
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


def test_what_is_not_derived_is_refused(case) -> None:
    model, images, noise = case(attention="cauchy")
    with pytest.raises(DrawError, match="got WindowAttention; its gradient is autograd's"):
        unroll_backward.unroll(model, images, noise)
