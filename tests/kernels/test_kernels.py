"""The cpp backend against the reference: outputs, every gradient, and how torch treats it."""

import dataclasses
import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator

import pytest
import torch
from torch import Tensor

from draw.config.data import DataConfig
from draw.config.model import DRAWConfig
from draw.config.presets import digits
from draw.data import load_splits
from draw.data.batches import to_unit_interval
from draw.kernels.cpp import buffers, operators
from draw.kernels.cpp.binding import shape_of
from draw.kernels.cpp.build import hand_over_products, library
from draw.kernels.cpp.unroll import parameters_of
from draw.model.draw import DRAW
from draw.parts.state import Context, DRAWOutput
from running import on, one_thread

pytestmark = pytest.mark.parametrize("backend", ["cpp"], indirect=True)
"""Run once, not once for each backend, and skipped where cpp cannot run."""


@pytest.fixture(autouse=True)
def _only_with_cpp(backend: str) -> None:
    pass


TOLERANCE = {"float64": 1e-11, "float32": 5e-5, "bf16": 0.1}
"""Largest difference from the reference in float64, as a share of a tensor's largest element
(outputs) or of its norm (gradients). bf16 may also differ by twice as much as the reference itself
does under autocast: with random weights a few cases amplify any rounding; with a smaller `scale` of
them, less."""
ACROSS_A_KINK = 0.5
"""That of gradients in bf16 of Laplace filters, which jump where rounding takes a filter from one
side of a pixel to the other."""

OFF_IMAGE = (5.0, -4.0, 0.0, 0.0, 0.5)
NARROW = (0.1, -0.2, -19.0, -3.0, 0.0)
WIDE = (0.0, 0.0, 12.0, 3.0, -1.0)
BEYOND_THE_LIMITS = (2e4, -2e4, 25.0, -25.0, 21.0)

CASES: dict[str, dict[str, object]] = {
    "odd sides": {"rows": 9, "columns": 7},
    "wide": {"rows": 3, "columns": 20, "read_size": 3, "write_size": 2},
    "tall, colour": {"rows": 17, "columns": 4, "channels": 3},
    "one filter": {"read_size": 1, "write_size": 1},
    "more filters than pixels": {"rows": 3, "columns": 3, "read_size": 5, "write_size": 6},
    "one pixel": {"rows": 1, "columns": 1, "read_size": 2, "write_size": 3},
    "one step": {"glimpses": 1},
    "one image": {"batch": 1},
    "a block of images and one more": {"batch": 17},
    "several chunks of steps": {"glimpses": 19, "batch": 40, "hidden_size": 9},
    "more images than a chunk": {"batch": 530, "glimpses": 2, "hidden_size": 5, "latent_size": 3},
    "one unit, one latent variable": {"hidden_size": 1, "latent_size": 1},
    "sizes of whole blocks": {"hidden_size": 32, "latent_size": 16},
    "window off the image": {"read_window": OFF_IMAGE, "write_window": OFF_IMAGE},
    "narrow window": {"read_window": NARROW, "write_window": NARROW},
    "wide window": {"read_window": WIDE, "write_window": WIDE},
    "window beyond the limits": {"read_window": BEYOND_THE_LIMITS},
    "no attention": {"attention": "none"},
    "no attention, odd": {"attention": "none", "rows": 5, "columns": 5, "hidden_size": 17},
    "no attention, colour": {"attention": "none", "channels": 3, "batch": 18},
    "no attention, chunks": {"attention": "none", "glimpses": 17, "batch": 35},
}
PARTS = [
    {"attention": attention, "prior": prior, "condition": condition}
    for attention, prior, condition in itertools.product(
        ("gaussian", "none"), ("standard", "learned"), ("none", "class")
    )
]
SIZES = (
    "odd sides",
    "tall, colour",
    "one step",
    "one image",
    "a block of images and one more",
    "several chunks of steps",
    "one unit, one latent variable",
    "sizes of whole blocks",
)
OTHERS = [parts for parts in PARTS if parts["prior"] == "learned" or parts["condition"] == "class"]
CROSSED = {
    f"{size}, {', '.join(parts.values())}": CASES[size] | parts | {"scale": 0.4}
    for size in SIZES
    for parts in OTHERS
}
CASES |= CROSSED
SWEEP = [
    name
    for number, name in enumerate(CROSSED)
    if (number // len(OTHERS) + number) % 3  # the rest: each size with one of them, both attentions
]
"""All parts with all sizes, where two for each size and a size or more for each part are enough;
and the smallest of several windows."""
OTHER_FILTERS = "cauchy", "laplace", "rotated"


def placed_by(options: dict[str, object]) -> dict[str, object]:
    """With an angle for a window that turns, where the others' numbers are given."""
    if options["attention"] != "rotated":
        return options
    placed = {name: options[name] for name in ("read_window", "write_window") if name in options}
    return options | {name: (*numbers, 0.7) for name, numbers in placed.items()}


WITH_ALL = [
    {"attention": filters, "prior": "learned", "condition": "class"} for filters in OTHER_FILTERS
]
CASES |= {
    f"{size}, {', '.join(parts.values())}": CASES[size] | parts | {"scale": 0.4}
    for size in ("odd sides", "tall, colour", "one step", "several chunks of steps")
    for parts in WITH_ALL
}
CASES |= {
    f"{case}, {filters}": placed_by(CASES[case] | {"attention": filters})
    for case in (
        "one filter",
        "more filters than pixels",
        "window off the image",
        "narrow window",
        "wide window",
        "window beyond the limits",
    )
    for filters in OTHER_FILTERS
}
HEADS: dict[str, dict[str, object]] = {
    "odd sides, windows to read": CASES["odd sides"] | {"read_heads": 2},
    "odd sides, windows to write": CASES["odd sides"] | {"write_heads": 3},
    "windows to read and write, colour, learned, class": CASES["tall, colour"]
    | {"read_heads": 2, "write_heads": 3, "prior": "learned", "condition": "class", "scale": 0.4},
    "more controls than a vector has lanes": {"read_heads": 7, "write_heads": 5, "scale": 0.4},
    "windows of one filter": CASES["one filter"] | {"read_heads": 3, "write_heads": 2},
    "windows off the image": CASES["window off the image"]
    | {"read_heads": 2, "write_heads": 2, "scale": 0.4},
    "windows to read and write, several chunks of steps": CASES["several chunks of steps"]
    | {"read_heads": 2, "write_heads": 2, "scale": 0.4},
    "windows to read and write, one step, one image": CASES["one step"]
    | {"read_heads": 2, "write_heads": 2, "batch": 1},
    **{
        f"odd sides, windows to read and write, {filters}": CASES["odd sides"]
        | {"attention": filters, "read_heads": 3, "write_heads": 2, "scale": 0.4}
        for filters in OTHER_FILTERS
    },
}
CASES |= HEADS
SWEEP += [
    "windows of one filter",
    "windows off the image",
    "windows to read and write, one step, one image",
]
OF_PARTS = {
    **{", ".join(parts.values()): parts for parts in (*PARTS, *WITH_ALL)},
    "several windows": {"read_heads": 2, "write_heads": 3},
}
SMALL = {"rows": 6, "columns": 8, "glimpses": 4, "hidden_size": 21, "latent_size": 7,
         "read_size": 3, "write_size": 4, "batch": 3}  # fmt: skip


@pytest.fixture
def case(random_model) -> Callable[[str], tuple[DRAW, DRAW, Tensor, Tensor]]:
    """A model on each backend with the same weights, images and noise, in float64."""

    def make(name: str) -> tuple[DRAW, DRAW, Tensor, Tensor]:
        options = {**SMALL, **CASES[name]}
        batch, scale = options.pop("batch"), options.pop("scale", 1.0)
        cpp = random_model(**options)
        with torch.no_grad():
            for parameter in cpp.parameters():
                parameter.mul_(scale)
        reference = on("reference", DRAW(cpp.config)).double()
        reference.load_state_dict(cpp.state_dict())
        images = torch.rand(batch, *cpp.config.image_shape, dtype=torch.float64)
        images = torch.where(images > 0.6, images.round(), images)
        noise = torch.randn(cpp.config.glimpses, batch, cpp.config.latent_size).double()
        return cpp, reference, images, noise

    return make


def computed(model: DRAW, images: Tensor, noise: Tensor) -> DRAWOutput:
    """What a model makes of these, told each class in turn where it is told any."""
    output: DRAWOutput = model(images, noise, model.labels_for(len(images)))
    return output


def all_gradients(model: DRAW, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
    """Gradients of a loss in which every output has weights of its own."""
    images, noise = (t.detach().clone().requires_grad_() for t in (images, noise))
    output = computed(model, images, noise)
    random = torch.Generator().manual_seed(1)
    parts = (output.canvas, output.kl, output.log_weight)
    weights = [torch.randn(part.shape, generator=random).to(part) for part in parts]
    inputs = {"images": images, "noise": noise, **dict(model.named_parameters())}
    loss = sum((a * b).sum() for a, b in zip(parts, weights, strict=True))
    found = torch.autograd.grad(loss, list(inputs.values()))
    return dict(zip(inputs, found, strict=True))


def outputs(model: DRAW, images: Tensor, noise: Tensor) -> dict[str, Tensor]:
    with torch.no_grad():
        return computed(model, images, noise)._asdict()


def as_kind(kind: str, model: DRAW, *tensors: Tensor) -> tuple[DRAW, *tuple[Tensor, ...]]:
    dtype = torch.float64 if kind == "float64" else torch.float32
    return model.to(dtype), *(tensor.to(dtype) for tensor in tensors)


def outputs_and_gradients(kind: str, model: DRAW, *inputs: Tensor) -> dict[str, Tensor]:
    model, *inputs = as_kind(kind, model, *inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
        found = {**outputs(model, *inputs), **all_gradients(model, *inputs)}
    return {name: value.double() for name, value in found.items()}


def error(name: str, found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """As a share: of the largest element for outputs, of the norm for gradients."""
    p = math.inf if name in DRAWOutput._fields else 2
    difference = torch.linalg.vector_norm(found[name] - expected[name], p)
    return float(difference / (torch.linalg.vector_norm(expected[name], p) + 1e-3))


def compare(kinds: Iterable[str], cpp: DRAW, reference: DRAW, *inputs: Tensor) -> None:
    """The reference computes once for all kinds of numbers."""
    expected = outputs_and_gradients("float64", reference, *inputs)
    for kind in kinds:
        found = outputs_and_gradients(kind, cpp, *inputs)
        rounded = outputs_and_gradients("bf16", reference, *inputs) if kind == "bf16" else expected
        kinked = kind == "bf16" and cpp.config.attention == "laplace"
        for part in expected:
            assert found[part].isfinite().all(), f"{part} in {kind}"
            least = ACROSS_A_KINK if kinked and part not in DRAWOutput._fields else TOLERANCE[kind]
            limit = max(least, 2 * error(part, rounded, expected))
            assert error(part, found, expected) <= limit, f"{part} in {kind}"


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in SWEEP else name for name in CASES],
)
def test_cpp_is_the_reference(name: str, case) -> None:
    compare(TOLERANCE, *case(name))


@pytest.fixture
def without_products_of_torch() -> Iterator[None]:
    """As with a build of torch that exports none, or on a processor that multiplies no bf16."""
    library().draw_products(None, None, None)
    yield
    hand_over_products(library())


@pytest.mark.usefixtures("without_products_of_torch")
@pytest.mark.parametrize(
    "name", ["odd sides", "no attention", "odd sides, gaussian, learned, class"]
)
def test_plain_loops_stand_in_for_the_products_of_torch(name: str, case) -> None:
    compare(["float32", "bf16"], *case(name))


@pytest.mark.parametrize(
    "name",
    [
        "odd sides",
        "tall, colour",
        "no attention, colour",
        "windows to read and write, colour, learned, class",
        "more controls than a vector has lanes",
        *(name for name in CASES if name.startswith(("odd sides, ", "one step, "))),
    ],
)
@pytest.mark.parametrize("given", [False, True])
def test_drawings_are_the_references(name: str, given: bool, case) -> None:
    cpp, reference, *inputs = case(name)
    draw = (lambda m, x, n: m.reconstruct(x, n, labels=m.labels_for(len(x)))) if given else (
        lambda m, x, n: m.generate(len(x), noise=n))  # fmt: skip
    expected = draw(reference, *inputs)
    for kind, tolerance in TOLERANCE.items():
        with torch.autocast("cpu", torch.bfloat16, enabled=kind == "bf16"):
            found = draw(*as_kind(kind, cpp, *inputs))
        limit = tolerance * float(expected.canvases.abs().max())
        torch.testing.assert_close(found.canvases.double(), expected.canvases, rtol=0, atol=limit)
        for ours, theirs in (
            (found.write_windows, expected.write_windows),
            (found.read_windows, expected.read_windows),
        ):
            assert (ours is None) == (theirs is None), kind
            both = (one.numbers.values() if one else () for one in (ours, theirs))
            for a, b in zip(*both, strict=True):
                torch.testing.assert_close(a.double(), b, rtol=5 * tolerance, atol=5 * tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_filter_on_a_pixel_has_the_slope_of_the_reference(dtype: torch.dtype) -> None:
    """A kink of Laplace filters, and the place where the outermost ones of every model begin."""
    config = DRAWConfig(rows=8, columns=8, glimpses=1, hidden_size=9, read_size=7,
                        attention="laplace")  # fmt: skip
    cpp = on("cpp", DRAW(config)).to(dtype)
    reference = on("reference", DRAW(config)).to(dtype)
    reference.load_state_dict(cpp.state_dict())
    images = torch.rand(3, 1, 8, 8, dtype=dtype)
    noise = torch.randn(1, 3, config.latent_size, dtype=dtype)
    found, expected = (
        torch.autograd.grad(model(images, noise).bound.sum(), model.attention.read_window.bias)
        for model in (cpp, reference)
    )
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def addends(model: DRAW, batch: int) -> list[Tensor | None]:
    """What the LSTMs are told, of random numbers, if the model is told anything."""
    if model.config.condition == "none":
        return [None, None]
    shape = batch, 4 * model.config.hidden_size
    return [torch.randn(shape, dtype=model.canvas_0.dtype) for _ in range(2)]


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param(name, marks=() if number % 4 == 0 else pytest.mark.slow)
        for number, name in enumerate(OF_PARTS)
    ],
)
def test_gradient_is_that_of_differences(parts: str, random_model) -> None:
    model = random_model(
        rows=3, columns=4, glimpses=2, hidden_size=3, latent_size=2, read_size=2, write_size=2,
        **OF_PARTS[parts],
    )  # fmt: skip
    parameters = [p.detach().requires_grad_() for p in parameters_of(model.config, model)]
    images = torch.rand(2, 1, 3, 4, dtype=torch.float64, requires_grad=True)
    noise = torch.randn(2, 2, 2, dtype=torch.float64, requires_grad=True)
    context = [t if t is None else t.requires_grad_() for t in addends(model, 2)]

    def unroll(*inputs: Tensor | None) -> tuple[Tensor, ...]:
        shape = shape_of(model.config)
        return operators.unroll(*inputs[:4], None, list(inputs[4:]), shape, False, True)[:3]

    inputs = images, noise, *context, *parameters
    assert torch.autograd.gradcheck(unroll, inputs, fast_mode=False)


@pytest.mark.parametrize("attention", ["gaussian", "none"])
@pytest.mark.parametrize("which", [0, 1])
def test_one_of_the_two_may_be_told_something(which: int, attention: str, case) -> None:
    name = f"odd sides, {attention}, learned, class"
    cpp, reference, images, noise = case(name)
    context = addends(cpp, len(images))
    context[1 - which] = None
    context[which].requires_grad_()
    expected = reference.unroll(images, noise, Context(*context))
    parameters, shape = parameters_of(cpp.config, cpp), shape_of(cpp.config)
    found = operators.unroll(images, noise, *context, None, parameters, shape, False, True)[:3]
    slopes = [torch.randn_like(part) for part in found]
    for ours, theirs in zip(
        (*found, *torch.autograd.grad(found, context[which], slopes)),
        (*expected, *torch.autograd.grad(expected, context[which], slopes)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("attention", ["gaussian", "none"])
def test_a_prior_of_zeros_is_the_standard_one(attention: str, random_model) -> None:
    options = {**SMALL, "attention": attention}
    batch = options.pop("batch")
    standard = random_model(**options)
    learned = random_model(**options, prior="learned")
    learned.load_state_dict(standard.state_dict(), strict=False)
    for parameter in learned.prior.parameters():
        torch.nn.init.zeros_(parameter)
    images = torch.rand(batch, 1, 6, 8, dtype=torch.float64)
    noise = torch.randn(4, batch, 7, dtype=torch.float64)
    for ours, theirs in zip(learned(images, noise), standard(images, noise), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-13, atol=1e-13)
    assert torch.equal(
        learned.generate(batch, noise=noise).canvases,
        standard.generate(batch, noise=noise).canvases,
    )


@pytest.mark.parametrize(
    "parts",
    [
        OF_PARTS["gaussian, standard, none"],
        *(
            pytest.param(parts, marks=pytest.mark.slow)
            for parts in (
                *PARTS[-1:],
                *PARTS[3:5],
                WITH_ALL[0],
                OF_PARTS["several windows"],
            )
        ),
    ],
)
@pytest.mark.parametrize("bf16", [False, True])
def test_torch_finds_the_operators_sound(parts, bf16: bool, random_model) -> None:
    units = torch.rand(3, 4) if bf16 else None
    model = random_model(
        rows=4, columns=5, glimpses=2, hidden_size=4, latent_size=3, **parts, dtype=torch.float32
    )
    shape, parameters = shape_of(model.config), parameters_of(model.config, model)
    images, noise = torch.rand(3, 1, 4, 5), torch.randn(2, 3, 3)
    free, context = [parameter.detach() for parameter in parameters], addends(model, 3)
    for given in (images, None):
        torch.library.opcheck(operators.trajectory, (given, noise, *context, free, shape, bf16))
    *made, kept = operators.unroll(images, noise, *context, units, free, shape, bf16, True)
    slopes, wanted = (
        map(torch.randn_like, made),
        [True, True, *(t is not None for t in context)],
    )
    arguments = (*slopes, images, noise, units, kept, free, shape, bf16, *wanted)
    torch.library.opcheck(operators.unroll_backward, arguments)
    context = [t if t is None else t.requires_grad_() for t in context]
    torch.library.opcheck(
        operators.unroll, (images, noise, *context, units, parameters, shape, bf16, True)
    )


CAPABILITIES = """
import torch
from draw import DRAW, DRAWConfig
torch.manual_seed(0)
model = DRAW(DRAWConfig(rows=5, columns=4, glimpses=3, hidden_size=8, prior="learned"))
model.backend = "cpp"
compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
images, noise = torch.rand(2, 1, 5, 4), torch.randn(3, 2, 100)
plain, found = model(images, noise), compiled(images, noise)
torch.testing.assert_close(tuple(found), tuple(plain))
weights = list(model.parameters())
gradients = [torch.autograd.grad(output.bound.sum(), weights) for output in (plain, found)]
torch.testing.assert_close(*gradients)
print("the same")
"""


@pytest.mark.slow
def test_a_compiled_model_gives_the_same() -> None:
    """In a process of its own: the shape checks of these tests are not for torch.compile."""
    command = [sys.executable, "-c", CAPABILITIES]
    done = subprocess.run(command, env=one_thread(), capture_output=True, text=True, check=False)
    assert done.stdout == "the same\n", done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "odd sides",
        "no attention",
        *(f"odd sides, {parts}" for parts in OF_PARTS if parts.endswith("learned, class")),
        "more controls than a vector has lanes",
    ],
)
def test_without_gradients_nothing_is_kept_and_the_outputs_are_the_same(name: str, case) -> None:
    model, _, images, noise = case(name)
    arguments = shape_of(model.config), False
    parameters, context = parameters_of(model.config, model), addends(model, len(images))
    with_gradient = operators.unroll(images, noise, *context, None, parameters, *arguments, True)
    without = operators.unroll(images, noise, *context, None, parameters, *arguments, False)
    assert without[-1].numel() == 0
    assert with_gradient[-1].numel() >= 1
    for a, b in zip(with_gradient[:3], without[:3], strict=True):
        assert torch.equal(a, b)
    with torch.no_grad():
        assert not computed(model, images, noise).bound.requires_grad
    frozen = [parameter.detach() for parameter in parameters]
    output = operators.unroll(
        images.requires_grad_(), noise, *context, None, frozen, *arguments, False
    )
    with pytest.raises(RuntimeError, match="keep=True"):
        output[0].sum().backward()


def test_calls_that_are_alive_together_do_not_share_memory(case) -> None:
    model, _, images, noise = case("odd sides")
    weights = list(model.parameters())

    def bound(sign: float) -> Tensor:
        return model(images, sign * noise).bound.sum()

    alone = [torch.autograd.grad(bound(sign), weights) for sign in (1.0, -1.0)]
    first, second = bound(1.0), bound(-1.0)
    together = torch.autograd.grad(first, weights), torch.autograd.grad(second, weights)
    first, second = bound(1.0), bound(-1.0)
    crosswise = [torch.autograd.grad(loss, weights) for loss in (second, first)][::-1]
    for ways in zip(alone, together, crosswise, strict=True):
        for a, b, c in zip(*ways, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)
    assert not torch.equal(alone[0][0], alone[1][0])


def test_memory_is_used_again_once_nobody_holds_it() -> None:
    first = buffers.take(100_000)
    address = first.data_ptr()
    part = first[10:20]
    del first
    second = buffers.take(100_000)
    assert second.data_ptr() != address, "a view still holds the first block"
    del part
    assert buffers.take(90_000).data_ptr() == address
    del second
    assert buffers.take(10).data_ptr() != address, "a large block for a small wish"


def test_backward_twice_through_one_graph(case) -> None:
    model, _, images, noise = case("odd sides")
    loss, weights = model(images, noise).bound.sum(), list(model.parameters())
    first = torch.autograd.grad(loss, weights, retain_graph=True)
    second = torch.autograd.grad(loss, weights)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_gradients_accumulate(case) -> None:
    model, reference, images, noise = case("odd sides")
    for each in (model, reference):
        for part in range(3):
            one = slice(part, part + 1)
            each(images[one], noise[:, one]).bound.sum().backward()
    for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-9, atol=1e-9)


def test_only_what_wants_a_gradient_gets_one(case) -> None:
    model, reference, images, noise = case("no attention")
    for each in (model, reference):
        each.requires_grad_(False)
        each.mu.weight.requires_grad_()
        each(images, noise).kl.sum().backward()
    assert model.canvas_0.grad is None
    torch.testing.assert_close(model.mu.weight.grad, reference.mu.weight.grad)


def test_a_condition_alone_may_want_gradients(case) -> None:
    model, reference, images, noise = case("odd sides, gaussian, learned, class")
    for each in (model, reference):
        each.requires_grad_(False)
        each.condition.dec.weight.requires_grad_()
        computed(each, images, noise).kl.sum().backward()
    found, expected = (each.condition.dec.weight.grad for each in (model, reference))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert model.condition.enc.weight.grad is None


def test_memory_order_of_the_inputs_does_not_matter(case) -> None:
    model, _, images, noise = case("tall, colour")
    expected = model(images, noise)
    found = model(
        images.to(memory_format=torch.channels_last), noise.transpose(0, 1).clone().transpose(0, 1)
    )
    assert torch.equal(found.bound, expected.bound)


def test_the_number_of_threads_does_not_matter(case) -> None:
    model, _, images, noise = case("several chunks of steps, gaussian, learned, class")
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(all_gradients(model, images, noise))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        for name, value in found[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-12, atol=1e-12)


def test_what_is_not_a_number_comes_through(case) -> None:
    names = "lstm_enc.weight_ih", "attention.write_window.bias", "c_dec_0", "prior.log_sigma.bias"
    for name in (*names, "condition.enc.weight"):
        model, _, images, noise = case("odd sides, gaussian, learned, class")
        with torch.no_grad():
            model.get_parameter(name).fill_(math.nan)
        assert computed(model, images, noise).bound.isnan().all(), name


def test_an_infinite_variance_is_not_hidden(case) -> None:
    cpp, _, images, noise = case("odd sides")
    cpp, images, noise = as_kind("float32", cpp, images, noise)
    with torch.no_grad():
        cpp.log_sigma.bias.fill_(100.0)
    assert not cpp(images, noise).bound.isfinite().any()


@pytest.mark.slow
def test_training_goes_where_the_reference_goes() -> None:
    """80 steps on the embedded digits from one seed; docs/performance.md has a whole run."""
    data = load_splits(DataConfig(name="digits"), progress=False)
    images, test = (to_unit_interval(part.images.copy()) for part in (data.train, data.test))
    bounds: dict[tuple[str, bool], list[float]] = {}
    for backend, bf16 in (("reference", False), ("cpp", False), ("cpp", True)):
        torch.manual_seed(0)
        model = on(backend, DRAW(dataclasses.replace(digits().model, glimpses=4)))
        adam = torch.optim.Adam(model.parameters(), 1e-3)
        chance = torch.Generator().manual_seed(1)
        for step in range(81):
            batch = images[torch.randint(len(images), (64,), generator=chance)]
            noise = torch.randn(4, 64, model.config.latent_size, generator=chance)
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = model(batch, noise).bound.mean()
            loss.backward()
            adam.step()
            adam.zero_grad()
            if step % 80 == 0:
                noise = torch.randn(4, len(test), model.config.latent_size, generator=chance)
                bound = model(test, noise).bound.mean().item()
                bounds.setdefault((backend, bf16), []).append(bound)
    first, last = bounds["reference", False]
    assert last < first - 200
    assert abs(bounds["cpp", False][1] - last) < 0.05
    assert abs(bounds["cpp", True][1] - last) < 0.5
