"""Windows that are not the paper's: plain loops, gradients, extremes, starts; several a step."""

import dataclasses
import itertools
import math
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import Tensor

from draw.attention import (
    SAMPLERS,
    SeveralWindows,
    WindowAttention,
    filterbank,
    read_patch,
    window_parameters,
)
from draw.attention.cauchy import cauchy_filterbank
from draw.attention.grid import GaussianSampler
from draw.attention.laplace import laplace_filterbank
from draw.attention.lattice import LatticeSampler
from draw.attention.rotated import RotatedSampler, RotatedWindow, turned_filters
from draw.attention.scattered import scattered_filters
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.errors import DrawError
from draw.model.classifier import Classifier
from draw.model.draw import DRAW

SHAPES = {  # channels, rows, columns, size
    "square": (1, 6, 6, 3),
    "tall and colour": (3, 7, 4, 2),
    "wide": (1, 4, 7, 2),
    "one filter": (1, 5, 6, 1),
    "more filters than pixels": (1, 2, 3, 5),
    "one pixel": (1, 1, 1, 2),
}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
every = pytest.mark.parametrize("name", SAMPLERS)
OWN = ("lattice", "rotated", "affine")


def make(name: str, rows: int, columns: int, size: int) -> Any:
    """A sampler without a zero anywhere."""
    sampler = SAMPLERS[name](rows, columns, size).double()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in sampler.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=random)
    return sampler


def controls_of(sampler: Any, batch: int = 2) -> Tensor:
    random = torch.Generator().manual_seed(2)
    free = torch.randn(batch, sampler.controls, generator=random, dtype=torch.float64)
    return 0.4 * free


def random(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


# In plain loops


def gaussian(distance: float, sigma: float, others: list[float]) -> float:
    heights = [math.exp(-(d**2) / (2 * sigma**2)) for d in (distance, *others)]
    return heights[0] / sum(heights[1:])


def filter_places(name: str, sampler: Any, window: Any, n: int) -> list[tuple[float, float, float]]:
    """Where each filter of image n stands, and how wide it is."""
    g_x, g_y, delta, sigma = (
        float(getattr(window, field)[n]) for field in ("g_x", "g_y", "delta", "sigma")
    )
    N, places = sampler.size, []
    for j, i in itertools.product(range(1, N + 1), repeat=2):
        d_x, d_y = (i - N / 2 - 0.5) * delta, (j - N / 2 - 0.5) * delta
        if name == "rotated":
            angle = float(window.angle[n])
            x = g_x + math.cos(angle) * d_x - math.sin(angle) * d_y
            y = g_y + math.sin(angle) * d_x + math.cos(angle) * d_y
            places.append((x, y, sigma))
        else:
            k = (j - 1) * N + i - 1
            u, v = sampler.places[k].tolist()
            width = sigma * math.exp(sampler.log_widths[k].item())
            places.append((g_x + u * delta, g_y + v * delta, width))
    return places


@shapes
@pytest.mark.parametrize("name", ["lattice", "rotated"])
def test_scattered_filters_in_plain_loops(name: str, shape: tuple[int, ...]) -> None:
    channels, rows, columns, size = shape
    sampler = make(name, rows, columns, size)
    window = sampler.window(controls_of(sampler))
    images, patch = random(2, channels, rows, columns), random(2, channels, size, size)
    read, written = np.zeros((2, channels, size * size)), np.zeros((2, channels, rows, columns))
    for n, c in itertools.product(range(2), range(channels)):
        gamma = float(window.gamma[n])
        for k, (x, y, sigma) in enumerate(filter_places(name, sampler, window, n)):
            across, down = range(1, columns + 1), range(1, rows + 1)
            for b, a in itertools.product(down, across):
                F_x = gaussian(a - x, sigma, [other - x for other in across])
                F_y = gaussian(b - y, sigma, [other - y for other in down])
                read[n, c, k] += gamma * F_y * F_x * float(images[n, c, b - 1, a - 1])
                value = float(patch[n, c].flatten()[k])
                written[n, c, b - 1, a - 1] += F_y * F_x * value / gamma
    found = sampler.read(images, window).flatten(2)
    np.testing.assert_allclose(found.detach().numpy(), read, rtol=1e-8, atol=1e-10)
    put = sampler.write(patch, window)
    np.testing.assert_allclose(put.detach().numpy(), written, rtol=1e-8, atol=1e-10)


def bilinear(grid: Tensor, x: float, y: float) -> float:
    """Of a picture whose pixels are counted from 1; 0 beyond it."""
    rows, columns = grid.shape
    total = 0.0
    for b, a in itertools.product(range(1, rows + 1), range(1, columns + 1)):
        weight = max(0.0, 1 - abs(x - a)) * max(0.0, 1 - abs(y - b))
        total += weight * float(grid[b - 1, a - 1])
    return total


@shapes
def test_affine_windows_in_plain_loops(shape: tuple[int, ...]) -> None:
    channels, rows, columns, size = shape
    sampler = make("affine", rows, columns, size)
    controls = controls_of(sampler)
    window = sampler.window(controls)
    images, patch = random(2, channels, rows, columns), random(2, channels, size, size)
    read, written = np.zeros((2, channels, size, size)), np.zeros((2, channels, rows, columns))
    for n, c in itertools.product(range(2), range(channels)):
        x_, y_, log_w, log_h, angle, shear, log_gamma = controls[n].tolist()
        g = np.array([(columns + 1) / 2 * (x_ + 1), (rows + 1) / 2 * (y_ + 1)])
        cos, sin, longer = math.cos(angle), math.sin(angle), max(rows, columns)
        scale = np.diag([longer / 2 * math.exp(log_w), longer / 2 * math.exp(log_h)])
        M = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, shear], [0, 1]]) @ scale
        for j, i in itertools.product(range(1, size + 1), repeat=2):
            u = np.array([(2 * i - 1) / size - 1, (2 * j - 1) / size - 1])
            x, y = np.clip(g + M @ u, 1, [columns, rows])
            read[n, c, j - 1, i - 1] = math.exp(log_gamma) * bilinear(images[n, c], x, y)
        for b, a in itertools.product(range(1, rows + 1), range(1, columns + 1)):
            u = np.linalg.solve(M, np.array([a, b]) - g)
            i, j = (u + 1) * size / 2 + 0.5  # the field in the patch, counted from 1
            written[n, c, b - 1, a - 1] = bilinear(patch[n, c], i, j) / math.exp(log_gamma)
    found, put = sampler.read(images, window), sampler.write(patch, window)
    np.testing.assert_allclose(found.detach().numpy(), read, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(put.detach().numpy(), written, rtol=1e-8, atol=1e-10)


def test_laplace_filters_in_plain_loops() -> None:
    values = [(3.5, 1.2, 0.7), (1.0, 0.1, 3.0), (-4.0, 2.0, 0.3), (40.0, 5.0, 1e-3)]
    g, delta, sigma = torch.tensor(values, dtype=torch.float64).unbind(1)
    found, N, pixels = laplace_filterbank(g, delta, sigma, 3, 8), 3, 8
    for k, i in itertools.product(range(len(values)), range(1, N + 1)):
        mu = values[k][0] + (i - N / 2 - 0.5) * values[k][1]
        logs = [-abs(a - mu) / values[k][2] for a in range(1, pixels + 1)]
        heights = [math.exp(one - max(logs)) for one in logs]
        expected = [height / sum(heights) for height in heights]
        np.testing.assert_allclose(found[k, i - 1].numpy(), expected, rtol=1e-9, atol=1e-300)


def test_a_laplace_filter_has_fallen_to_1_over_e_a_sigma_away() -> None:
    one = torch.ones(1, dtype=torch.float64)
    F = laplace_filterbank(6 * one, one, 2 * one, 1, 11)[0, 0]
    assert F.argmax() == 5
    assert F[7] / F[5] == pytest.approx(1 / math.e)


# Gradients and extremes


@every
@pytest.mark.parametrize("size", [1, 3])
def test_gradients(name: str, size: int) -> None:
    sampler = make(name, 4, 5, size)
    images, patch = random(2, 3, 4, 5).requires_grad_(), random(2, 3, size, size).requires_grad_()
    learned = tuple(sampler.parameters())

    def both(x: Tensor, w: Tensor, controls: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        window = sampler.window(controls)
        return sampler.read(x, window), sampler.write(w, window)

    controls = controls_of(sampler).requires_grad_()
    assert torch.autograd.gradcheck(both, (images, patch, controls, *learned))


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_controls_stay_finite(name: str, dtype: torch.dtype) -> None:
    sampler = SAMPLERS[name](5, 4, 2).to(dtype)
    many = torch.tensor([0.0, 1e4, -1e4, 1e8, -1e8, 40.0], dtype=dtype)
    pick = torch.randint(len(many), (400, sampler.controls), generator=torch.Generator())
    controls = many[pick].requires_grad_()
    window = sampler.window(controls)
    images = torch.rand(400, 1, 5, 4, dtype=dtype, requires_grad=True)
    patch = torch.randn(400, 1, 2, 2, dtype=dtype, requires_grad=True)
    read, written = sampler.read(images, window), sampler.write(patch, window)
    gradients = torch.autograd.grad(read.sum() + written.sum(), (controls, images, patch))
    for result in (*window.numbers.values(), window.outline, read, written, *gradients):
        assert result.isfinite().all()


@every
def test_a_batch_of_none(name: str) -> None:
    model = DRAW(dataclasses.replace(SMALL, attention=name, read_heads=2, write_heads=2))
    assert model(torch.rand(0, 3, 6, 5)).bound.shape == (0,)


# Starts


@every
def test_first_windows_are_seen(name: str) -> None:
    """In the middle, over all of the image to read and half of it to write."""
    attention: Any = DRAW(DRAWConfig(attention=name, glimpses=1)).attention
    for sampler, affine, share in (
        (attention.reader, attention.read_window, 1.0),
        (attention.writer, attention.write_window, 0.5),
    ):
        window = sampler.window(affine.bias.detach())
        assert window.centre.tolist() == [14.5, 14.5]
        (frame,) = window.outline.detach()
        span = float(frame[:, 0].max() - frame[:, 0].min())
        assert span == pytest.approx(share * 28, abs=1.0)


@pytest.mark.parametrize("name", ["lattice", "rotated"])
def test_training_begins_exactly_at_the_papers_window(name: str) -> None:
    ours, papers = SAMPLERS[name](7, 6, 3).double(), SAMPLERS["gaussian"](7, 6, 3).double()
    controls = controls_of(papers)
    more = torch.zeros(2, ours.controls - papers.controls, dtype=torch.float64)
    window, their_window = ours.window(torch.cat([controls, more], 1)), papers.window(controls)
    x, w = random(2, 3, 7, 6), random(2, 3, 3, 3)
    torch.testing.assert_close(ours.read(x, window), papers.read(x, their_window))
    torch.testing.assert_close(ours.write(w, window), papers.write(w, their_window))
    torch.testing.assert_close(window.outline, their_window.outline)


def test_a_quarter_turn_of_window_and_image_together_changes_nothing() -> None:
    sampler = SAMPLERS["rotated"](7, 7, 3).double()
    controls = torch.tensor([[0.0, 0.0, 0.1, -0.6, 0.2, 0.0]], dtype=torch.float64)
    turned = controls.clone()
    turned[:, 5] = math.pi / 2
    image = random(1, 1, 7, 7)
    torch.testing.assert_close(
        sampler.read(image.rot90(-1, (-2, -1)), sampler.window(turned)),
        sampler.read(image, sampler.window(controls)),
    )


@pytest.mark.parametrize("kind", [RotatedSampler, LatticeSampler])
def test_filters_that_nobody_would_ask_for_are_refused(kind: type[GaussianSampler]) -> None:
    with pytest.raises(
        TypeError, match=rf"expected Mine to read .* {kind.__name__}.read has Gauss"
    ):
        type("Mine", (kind,), {"filters": staticmethod(laplace_filterbank)})
    own = {"read": lambda *_: None, "write": lambda *_: None}
    type("Mine", (kind,), {"filters": staticmethod(laplace_filterbank), **own})


def test_the_frame_of_a_lattice_goes_round_its_outermost_filters() -> None:
    sampler = SAMPLERS["lattice"](9, 9, 2)
    with torch.no_grad():
        sampler.places.copy_(torch.tensor([[-2.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 0.5]]))
    window = sampler.window(torch.zeros(5))
    delta, middle = 8.0, 5.0
    assert window.outline[0, 0].tolist() == [middle - 2 * delta - 0.5, middle - delta - 0.5]
    assert window.outline[0, 2].tolist() == [middle + delta + 0.5, middle + delta / 2 + 0.5]


def test_corners_of_an_affine_window() -> None:
    sampler = SAMPLERS["affine"](10, 10, 2)
    controls = [0.0, 0.0, math.log(0.4), math.log(0.2), math.pi / 2, 1.0, 0.0]
    (corners,) = sampler.window(torch.tensor(controls)).outline
    # Half 2 wide and 1 high; leaning by 1 to the right; then turned, x becoming y.
    expected = [[5.5 + 1, 5.5 - 3], [5.5 + 1, 5.5 + 1], [5.5 - 1, 5.5 + 3], [5.5 - 1, 5.5 - 1]]
    np.testing.assert_allclose(corners.numpy(), expected, atol=1e-5)


def test_a_large_picture_is_kept_by_reading_and_writing_it_back() -> None:
    """An affine window over the whole image with a filter a pixel changes nothing."""
    sampler = SAMPLERS["affine"](6, 6, 6)
    window = sampler.window(torch.zeros(2, 7))
    image = torch.rand(2, 3, 6, 6)
    read = sampler.read(image, window)
    torch.testing.assert_close(read, image)
    torch.testing.assert_close(sampler.write(read, window), image)


# Several windows

SMALL = DRAWConfig(
    rows=6, columns=5, channels=3, glimpses=2, hidden_size=6, latent_size=3, read_size=2,
    write_size=3,
)  # fmt: skip


@every
def test_several_windows_are_read_side_by_side_and_written_as_a_sum(name: str) -> None:
    config = dataclasses.replace(SMALL, attention=name, read_heads=2, write_heads=3)
    attention: Any = DRAW(config).attention.double()
    x, x_hat, h_dec = random(2, 3, 6, 5), random(2, 3, 6, 5) + 1, random(2, 6)
    r, windows = attention.read(x, x_hat, h_dec)
    controls = attention.read_window(h_dec).unflatten(1, (2, -1))
    expected = []
    for head in range(2):
        window = attention.reader.window(controls[:, head])
        expected.append(attention.reader.read(torch.cat([x, x_hat], 1), window).flatten(1))
        torch.testing.assert_close(windows.centres[:, head], window.centre)
        torch.testing.assert_close(windows.outline[:, head], window.outline[:, 0])
        torch.testing.assert_close(windows.line_widths[:, head], window.line_width)
    torch.testing.assert_close(r, torch.cat(expected, 1))
    written, windows = attention.write(h_dec)
    controls = attention.write_window(h_dec).unflatten(1, (3, -1))
    content = attention.write_content(h_dec).unflatten(1, (3, 3, 3, 3))
    total = torch.zeros(())
    for head in range(3):
        window = attention.writer.window(controls[:, head])
        total = total + attention.writer.write(content[:, head], window)
    torch.testing.assert_close(written, total)
    assert all(value.shape[:2] == (2, 3) for value in windows.numbers.values())


def test_several_windows_start_apart_and_within_the_image() -> None:
    attention: Any = DRAW(dataclasses.replace(SMALL, read_heads=3, write_heads=4)).attention
    for affine, heads in ((attention.read_window, 3), (attention.write_window, 4)):
        window = attention.reader.window(affine.bias.detach().view(heads, -1))
        apart = torch.cdist(window.centre, window.centre) + 99 * torch.eye(heads)
        assert apart.min() > 1
        assert (window.centre > 1).all()
        assert (window.centre < torch.tensor([5, 6])).all()


def test_several_windows_are_stacked_indexed_and_told_apart() -> None:
    model = DRAW(dataclasses.replace(SMALL, write_heads=2))
    drawn = model.generate(3, seed=1)
    windows: Any = drawn.write_windows
    assert isinstance(windows, SeveralWindows)
    assert windows.size == 3
    assert windows.outline.shape == (2, 3, 2, 4, 2)
    assert windows[1, :2].centres.shape == (2, 2, 2)
    one: Any = DRAW(dataclasses.replace(SMALL, attention="rotated", write_heads=2))
    with pytest.raises(ValueError, match=r"got SeveralWindows\(kind='Window', size=3\) and .*Rota"):
        windows[0].stack([windows[0], one.generate(3, seed=1).write_windows[0]])


def test_one_window_is_the_papers_model() -> None:
    """Not a sum over one, nor a dimension more."""
    model = DRAW(SMALL)
    assert model.attention.read_window.out_features == 5
    assert type(model.generate(1).write_windows).__name__ == "Window"


@pytest.mark.parametrize("field", ["read_heads", "write_heads"])
def test_several_windows_without_attention_are_refused(field: str) -> None:
    with pytest.raises(DrawError, match=rf"expected model\.{field} to be 1 without attention, got"):
        DRAW(dataclasses.replace(SMALL, attention="none", **{field: 2}))


# The classifier

LOOKING = ClassifierConfig(rows=9, columns=8, glimpses=2, hidden_size=6, read_size=2, classes=3)


def test_the_literal_and_the_table_have_the_same_names() -> None:
    hint = get_type_hints(ClassifierConfig, include_extras=True)["attention"]
    assert get_origin(hint) is not None
    assert get_args(get_args(hint)[0]) == tuple(SAMPLERS)


@every
@pytest.mark.parametrize("heads", [1, 2])
def test_a_classifier_looks_through_every_window(name: str, heads: int) -> None:
    config = dataclasses.replace(LOOKING, attention=name, read_heads=heads)
    model = Classifier(config).double()
    x = random(4, 1, 9, 8).sigmoid()
    answers = model(x)
    answers.logits.logsumexp(1).sum().backward()
    without = [name for name, one in model.named_parameters() if not one.grad.abs().sum() > 0]
    assert not without
    h = model.h_0.expand(4, -1)
    controls = model.read_window(h).unflatten(1, (heads, -1))
    first = answers.windows[0]
    for head in range(heads):
        window = model.reader.window(controls[:, head])
        torch.testing.assert_close(first.centres[:, head], window.centre)


def test_a_classifier_of_another_window_says_why_it_is_slower() -> None:
    reason = Classifier(dataclasses.replace(LOOKING, attention="affine")).choice.reason
    assert "attention 'affine'" in reason or "cannot run" in reason


@pytest.mark.usefixtures("without_shape_checks")
def test_a_window_that_no_table_has_is_refused() -> None:
    with pytest.raises(DrawError, match=r"expected model\.attention to be .*'affine', got 'none'"):
        Classifier(dataclasses.replace(LOOKING, attention="none"))  # type: ignore[arg-type]


def test_cards_have_words_for_every_window() -> None:
    words = [WindowAttention(4, 1, 5, 5, 2, 2, kind).description for kind in SAMPLERS.values()]
    assert len(set(words)) == len(SAMPLERS)
    several = WindowAttention(4, 1, 5, 5, 2, 2, read_heads=2, write_heads=3).description
    assert several.endswith("; 2 to read and 3 to write at every step")


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_windows_of_half_precision_lie_where_their_numbers_say(name, dtype) -> None:
    """On an image so wide that 8 bits of mantissa do not tell its pixels apart."""
    rows, columns, size = 40, 400, 5
    half, exact = (SAMPLERS[name](rows, columns, size).to(kind) for kind in (dtype, torch.double))
    places = torch.tensor([[0.1, 0.2], [0.7, -0.3], [0.9, 0.5], [3.0, 0.0]])
    controls = torch.stack([half.start(0.2, *place) for place in places.tolist()]).to(dtype)
    images = torch.rand(4, 2, rows, columns).to(dtype)
    patch = torch.rand(4, 2, size, size).to(dtype)
    found, there = half.window(controls), exact.window(controls.double())
    seen, written = half.read(images, found), half.write(patch, found)
    assert (seen.dtype, written.dtype, found.centre.dtype) == (dtype, dtype, torch.float32)
    near = {"rtol": 0.02, "atol": 1e-3}
    torch.testing.assert_close(seen.double(), exact.read(images.double(), there), **near)
    torch.testing.assert_close(written.double(), exact.write(patch.double(), there), **near)


def scattered_alone(g: Tensor, delta: Tensor, sigma: Tensor, size: int, length: int) -> Tensor:
    mu = g[:, None] + delta[:, None] * torch.arange(size, device=g.device)
    return scattered_filters(mu, sigma[:, None].expand(-1, size), length)


def turned_alone(g: Tensor, delta: Tensor, sigma: Tensor, size: int, length: int) -> Tensor:
    window = RotatedWindow(g, g, delta, sigma, torch.ones_like(g), size, torch.ones_like(g))
    return turned_filters(window, 2, length)[1]


@pytest.mark.parametrize(
    "filters",
    [filterbank, laplace_filterbank, cauchy_filterbank, scattered_alone, turned_alone],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_filters_of_numbers_in_half_precision_are_in_full(filters, dtype) -> None:
    """They sum to 1, and lie on pixels that 16 bits do not tell apart."""
    numbers = [torch.tensor(values, dtype=dtype) for values in ([300, 90], [8, 2], [0.5, 3])]
    found = filters(*numbers, 3, 400)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, filters(*(value.float() for value in numbers), 3, 400))


@pytest.mark.usefixtures("without_shape_checks")
def test_controls_of_autocast_place_a_window_on_images_in_full() -> None:
    images, affine = torch.rand(2, 3, 9, 14), torch.nn.Linear(7, 5)
    with torch.autocast("cpu", torch.bfloat16):
        controls = affine(torch.randn(2, 7))
    assert controls.dtype == torch.bfloat16
    seen = read_patch(images, window_parameters(controls, 9, 14, 4))
    full = read_patch(images, window_parameters(controls.float(), 9, 14, 4))
    assert seen.dtype == torch.float32
    assert torch.equal(seen, full)
    with pytest.raises(ValueError, match=r"floating-point .*, got torch\.uint8; divide"):
        read_patch((255 * images).byte(), window_parameters(controls, 9, 14, 4))
