"""The GPU kernels against the reference: on a GPU, or by Triton's interpreter on a CPU.

bfloat16 is left out: the interpreter multiplies it wrongly.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="Triton is not installed: it comes with torch for CUDA")

from draw.kernels.gpu import triton_unroll as gpu
from draw.kernels.gpu.layout import Tiles, layout_of
from draw.kernels.gpu.weights import pack, unpack
from draw.model.draw import DRAW
from draw.parts.state import Context, Trajectory, UnrollOutput

pytestmark = pytest.mark.parametrize("backend", ["reference"], indirect=True)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

OFF_IMAGE = (5.0, -4.0, 0.0, 0.0, 0.5)
BEYOND_THE_LIMITS = (2e4, -2e4, 25.0, -25.0, 21.0)
TOLERANCE = {torch.float32: 2e-5, torch.float16: 2e-2}
"""Largest difference from the reference in float64, as a share of the norm; or twice the difference
of the reference in float32, where that is more."""

CASES: dict[str, dict[str, object]] = {
    "odd sides": {"rows": 5, "columns": 7},
    "wide, colour": {"rows": 3, "columns": 12, "channels": 3, "write_size": 2},
    "one filter": {"read_size": 1, "write_size": 1},
    "more filters than pixels": {"rows": 3, "columns": 3, "read_size": 5, "write_size": 6},
    "one pixel": {"rows": 1, "columns": 1},
    "one step": {"glimpses": 1},
    "one image": {"batch": 1},
    "no image": {"batch": 0},
    "more images than a tile": {"batch": 17},
    "window off the image": {"read_window": OFF_IMAGE, "write_window": OFF_IMAGE},
    "window beyond the limits": {"read_window": BEYOND_THE_LIMITS},
    "several tiles": {
        "hidden_size": 20, "latent_size": 20,
        "tiles": Tiles(units=16, units_backward=32, bytes=4096, pixels=256, pixels_backward=128),
    },
    "no attention": {"attention": "none"},
    "no attention, colour, no image": {"attention": "none", "channels": 3, "batch": 0},
    "no attention, several tiles": {
        "attention": "none", "hidden_size": 20, "channels": 3, "batch": 18,
        "tiles": Tiles(units=16, units_backward=32, bytes=4096),
    },
    "learned prior": {"prior": "learned"},
    "learned prior, no attention, several tiles": {
        "prior": "learned", "attention": "none", "hidden_size": 20, "latent_size": 20,
        "rows": 2, "batch": 17, "tiles": Tiles(units=16, units_backward=16, bytes=4096),
    },
    "context": {"context": (True, True)},
    "the decoder told, no image": {"context": (False, True), "batch": 0},
    "told, no attention, learned prior": {
        "context": (True, True), "prior": "learned", "attention": "none", "channels": 3, "rows": 3,
    },
    "Cauchy filters": {"attention": "cauchy", "rows": 5},
    "Laplace filters": {"attention": "laplace", "rows": 5},
    "Cauchy filters far off, told, learned prior": {
        "attention": "cauchy", "read_window": OFF_IMAGE, "write_window": OFF_IMAGE,
        "context": (True, False), "prior": "learned", "channels": 3,
    },
}  # fmt: skip
SMALL = {"rows": 6, "columns": 8, "glimpses": 2, "hidden_size": 5, "latent_size": 3,
         "read_size": 2, "write_size": 3, "batch": 3, "tiles": Tiles(),
         "context": (False, False)}  # fmt: skip


class Case(NamedTuple):
    """A model in float32, the same in float64, what they are given, and how the work is cut."""

    model: DRAW
    exact: DRAW
    images: Tensor
    noise: Tensor
    context: Context
    tiles: Tiles


@pytest.fixture
def case(random_model, random_batch) -> Callable[..., Case]:
    """A case by its name; its random numbers are the same every time."""

    def make(name: str) -> Case:
        options = {**SMALL, **CASES[name]}
        batch, tiles, told = (options.pop(key) for key in ("batch", "tiles", "context"))
        model = random_model(dtype=torch.float32, **options).to(DEVICE)
        exact = DRAW(model.config).to(DEVICE, torch.float64)
        exact.load_state_dict(model.state_dict())
        images, noise = (each.to(DEVICE) for each in random_batch(model, batch))
        shape = len(images), 4 * model.config.hidden_size
        context = Context(*(torch.randn(shape, device=DEVICE) if each else None for each in told))
        return Case(model, exact, images, noise, context, tiles)

    return make


def error(found: Tensor, expected: Tensor) -> float:
    """As a share of the norm."""
    return float((found.double() - expected).norm() / (expected.norm() + 1e-3))


def outputs_and_gradients(
    unroll: Callable[..., UnrollOutput],
    model: DRAW,
    images: Tensor,
    noise: Tensor,
    context: Context,
) -> dict[str, Tensor]:
    """Of a loss in which every output has weights of its own."""
    given = {"images": images, "noise": noise, **context._asdict()}
    given = {
        name: tensor.detach().to(model.canvas_0.dtype).requires_grad_()
        for name, tensor in given.items()
        if tensor is not None
    }
    x, n, *_ = given.values()
    out = unroll(model, x, n, Context(given.get("enc"), given.get("dec")))
    random = torch.Generator().manual_seed(1)
    slopes = [torch.randn(part.shape, generator=random).to(part) for part in out]
    wanted = {**given, **dict(model.named_parameters())}
    gradients = torch.autograd.grad(tuple(out), list(wanted.values()), slopes)
    outputs = {name: part.detach() for name, part in out._asdict().items()}
    return outputs | dict(zip(wanted, gradients, strict=True))


@pytest.mark.filterwarnings("ignore:overflow encountered in exp")  # 1 / (1 + exp(100)) is 0
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", CASES)
def test_outputs_and_gradients_are_the_references(name: str, dtype: torch.dtype, case) -> None:
    if dtype == torch.float16 and name == "window beyond the limits":
        pytest.skip("its numbers are beyond those of float16")
    model, exact, *given, tiles = case(name)
    expected = outputs_and_gradients(DRAW.unroll, exact, *given)
    plain = outputs_and_gradients(DRAW.unroll, model, *given)
    found = outputs_and_gradients(partial(gpu.unroll, dtype=dtype, tiles=tiles), model, *given)
    assert expected.keys() == found.keys()
    for part in expected:
        assert found[part].isfinite().all(), part
        limit = max(TOLERANCE[dtype], 2 * error(plain[part], expected[part]))
        assert error(found[part], expected[part]) <= limit, part


def seen(drawn: Trajectory) -> dict[str, Tensor]:
    """All numbers of a drawing."""
    windows = {
        f"{place} {name}": value
        for place, window in drawn.windows.items()
        for name, value in window.numbers.items()
    }
    return {"canvases": drawn.canvases, **windows}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "name",
    ["wide, colour", "no attention", "told, no attention, learned prior",
     "Cauchy filters far off, told, learned prior"],
)  # fmt: skip
def test_drawings_are_the_references(name: str, dtype: torch.dtype, case) -> None:
    model, exact, images, noise, context, tiles = case(name)
    told = Context(*(None if each is None else each.double() for each in context))
    for given in (images, None):
        found = gpu.trajectory(model, given, noise, context, dtype=dtype, tiles=tiles)
        with torch.no_grad():
            x = None if given is None else given.double()
            expected = exact.trajectory(x, noise.double(), told)
        assert seen(found).keys() == seen(expected).keys()
        for part, value in seen(expected).items():
            assert error(seen(found)[part], value) <= TOLERANCE[dtype], part


@pytest.mark.parametrize("name", ["odd sides", "no attention"])
def test_without_gradients_the_outputs_are_the_same(name: str, case) -> None:
    model, _, *given, tiles = case(name)
    kept = gpu.unroll(model, *given, tiles=tiles)
    with torch.no_grad():
        found = gpu.unroll(model, *given, tiles=tiles)
    for part, ours, theirs in zip(kept._fields, found, kept, strict=True):
        assert torch.equal(ours, theirs), part


@pytest.mark.parametrize("name", ["odd sides", "learned prior, no attention, several tiles"])
def test_weights_packed_and_taken_out_again_are_the_same(name: str, case) -> None:
    model, *_, tiles = case(name)
    layout = layout_of(model.config, torch.float32, tiles)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    weights, exact = pack(layout, parameters, torch.float32)
    found = unpack(layout, weights | exact, parameters)
    assert set(found) == {name for name in parameters if not name.endswith("_0")}
    for name, value in found.items():
        if ".bias_" in name:  # an LSTM's two biases are one in its product
            lstm = name.partition(".")[0]
            value = value - parameters[f"{lstm}.bias_{'hh' if name.endswith('ih') else 'ih'}"]
        torch.testing.assert_close(value, parameters[name])


def test_a_sequence_starts_from_the_models_own_start(case) -> None:
    model, *_, tiles = case("odd sides")
    layout = layout_of(model.config, torch.float16, tiles)
    parameters = {name: torch.randn_like(p) for name, p in model.named_parameters()}
    weights, exact = pack(layout, parameters, torch.float16)
    assert {weight.dtype for weight in weights.values()} == {torch.float16}
    H, second = layout.config.hidden_size, layout.hidden + layout.read_width
    for row, first, name in (
        ("activations", 0, "h_enc_0"),
        ("activations", second, "h_dec_0"),
        ("cell_enc", 0, "c_enc_0"),
        ("cell_dec", 0, "c_dec_0"),
        ("canvas", 0, "canvas_0"),
    ):
        start = exact[row][first : first + parameters[name].numel()]
        assert torch.equal(start, parameters[name].flatten()), name
    assert exact["activations"].count_nonzero() == 2 * H
    assert all(part.data_ptr() % 16 == 0 for part in (*weights.values(), *exact.values()))


def test_two_passes_that_are_alive_together_do_not_share_memory(case) -> None:
    model, _, images, noise, _, tiles = case("odd sides")
    weights = list(model.parameters())
    alone = [
        torch.autograd.grad(gpu.unroll(model, images, s * noise, tiles=tiles).kl.sum(), weights)
        for s in (1, -1)
    ]
    first, second = (gpu.unroll(model, images, s * noise, tiles=tiles).kl.sum() for s in (1, -1))
    together = [torch.autograd.grad(loss, weights) for loss in (second, first)][::-1]
    for ours, theirs in zip(together, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
