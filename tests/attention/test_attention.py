"""Eqs 17-29: the window against the paper in plain loops, its gradients and its extremes."""

import dataclasses
import doctest
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import draw.attention
import draw.attention.window
import oracle
from draw.attention.gaussian import GaussianAttention
from draw.attention.whole import NoAttention
from draw.attention.window import (
    MAX_LOG,
    Window,
    filterbank,
    filterbanks,
    read_patch,
    window_parameters,
    write_patch,
)

SHAPES = {  # channels, rows, columns, size
    "square": (1, 6, 6, 3),
    "tall": (1, 7, 4, 2),
    "wide": (1, 4, 7, 2),
    "colour": (3, 5, 4, 2),
    "one filter": (1, 5, 6, 1),
    "more filters than pixels": (1, 4, 3, 5),
    "one pixel": (1, 1, 1, 2),
    "one row": (3, 1, 6, 3),
}
WINDOWS = {  # g~_X, g~_Y, log sigma^2, log delta~, log gamma
    "centred": (0.0, 0.0, 0.0, 0.0, 0.0),
    "general": (0.3, -0.6, 0.4, -0.7, 0.5),
    "off to the right": (9.0, 0.2, 0.1, -0.5, 0.0),
    "off to the upper left": (-40.0, -70.0, 1.0, -1.0, -0.5),
    "narrow filters": (0.21, -0.13, -12.0, -0.3, 0.1),
    "wide filters": (0.2, 0.4, 18.0, 0.3, 0.1),
    "small stride": (0.2, 0.4, 0.0, -15.0, 0.1),
    "large stride": (0.2, 0.4, 0.0, 12.0, 0.1),
    "bright": (0.2, 0.4, 0.0, 0.0, 15.0),
    "dim": (0.2, 0.4, 0.0, 0.0, -15.0),
}
EXTREME_G = (0.0, 1e4, -1e4, 1e8, -1e8)
EXTREME_LOGS = (-1e4, 0.0, 1e4)

shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
windows = pytest.mark.parametrize("controls", WINDOWS.values(), ids=WINDOWS)
dtypes = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64], ids=["float32", "float64"]
)


def close(ours: torch.Tensor, papers: np.ndarray | float) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), papers, rtol=1e-10, atol=1e-10)


def window_of(controls: tuple[float, ...], rows: int, columns: int, size: int) -> Window:
    return window_parameters(torch.tensor([controls], dtype=torch.float64), rows, columns, size)


# Against the oracle


@shapes
@windows
def test_window_is_the_papers(shape, controls):
    _, rows, columns, size = shape
    ours = window_of(controls, rows, columns, size)
    papers = oracle.window(list(controls), columns, rows, size)
    close(ours.g_x, papers.g_x)
    close(ours.g_y, papers.g_y)
    close(ours.sigma**2, papers.variance)
    close(ours.gamma, papers.gamma)
    if size > 1:
        close(ours.delta, papers.delta)


@shapes
@windows
def test_filterbanks_are_the_papers(shape, controls):
    _, rows, columns, size = shape
    F_y, F_x = filterbanks(window_of(controls, rows, columns, size), rows, columns)
    papers = oracle.window(list(controls), columns, rows, size)
    papers_F_x, papers_F_y = oracle.filterbanks(papers, columns, rows, size)
    close(F_x[0], papers_F_x)
    close(F_y[0], papers_F_y)


@shapes
@windows
def test_read_patch_is_the_papers(shape, controls):
    channels, rows, columns, size = shape
    image = torch.rand(1, channels, rows, columns, dtype=torch.float64)
    ours = read_patch(image, window_of(controls, rows, columns, size))
    papers = oracle.window(list(controls), columns, rows, size)
    close(ours[0] / papers.gamma, oracle.read_patch(image[0].numpy(), papers, size) / papers.gamma)


@shapes
@windows
def test_write_patch_is_the_papers(shape, controls):
    channels, rows, columns, size = shape
    patch = torch.randn(1, channels, size, size, dtype=torch.float64)
    ours = write_patch(patch, window_of(controls, rows, columns, size), rows, columns)
    papers = oracle.window(list(controls), columns, rows, size)
    theirs = oracle.write_patch(patch[0].numpy(), papers, columns, rows)
    close(ours[0] * papers.gamma, theirs * papers.gamma)


def test_every_image_of_a_batch_has_its_own_window():
    controls = torch.tensor([WINDOWS["general"], WINDOWS["centred"]], dtype=torch.float64)
    images = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    together = read_patch(images, window_parameters(controls, 5, 4, 3))
    for image, control, patch in zip(images, controls, together, strict=True):
        alone = read_patch(image[None], window_parameters(control[None], 5, 4, 3))
        torch.testing.assert_close(patch, alone[0])


def test_window_may_have_any_batch_shape():
    controls = torch.randn(2, 3, 5, dtype=torch.float64)
    F_y, F_x = filterbanks(window_parameters(controls, 6, 4, 2), 6, 4)
    assert F_y.shape == (2, 3, 2, 6)
    assert F_x.shape == (2, 3, 2, 4)
    flat_y, _ = filterbanks(window_parameters(controls.flatten(0, 1), 6, 4, 2), 6, 4)
    torch.testing.assert_close(F_y.flatten(0, 1), flat_y)


@pytest.mark.parametrize(("rows", "columns"), [(9, 9), (9, 5), (5, 9)])
def test_zeros_put_the_outermost_filters_on_the_border_of_the_longer_side(rows, columns):
    window = window_of((0.0,) * 5, rows, columns, size=4)
    centre = window.g_x if columns == 9 else window.g_y
    torch.testing.assert_close(centre - 1.5 * window.delta, torch.ones_like(centre))
    torch.testing.assert_close(centre + 1.5 * window.delta, torch.full_like(centre, 9))


def test_stride_has_no_effect_on_a_single_filter():
    image = torch.rand(1, 1, 6, 5, dtype=torch.float64)
    narrow, wide = (window_of((0.2, 0.1, 0.0, d, 0.0), 6, 5, size=1) for d in (-3.0, 3.0))
    torch.testing.assert_close(read_patch(image, narrow), read_patch(image, wide))


def test_no_attention_reads_and_writes_the_whole_image():
    attention = NoAttention(hidden_size=4, channels=3, rows=2, columns=5).double()
    x, x_hat = torch.rand(2, 2, 3, 2, 5, dtype=torch.float64)
    h_dec = torch.randn(2, 4, dtype=torch.float64)
    r, read_window = attention.read(x, x_hat, h_dec)
    written, write_window = attention.write(h_dec)
    assert read_window is None
    assert write_window is None
    assert r.shape == (2, attention.features)
    torch.testing.assert_close(r, torch.cat([x.flatten(1), x_hat.flatten(1)], 1))
    p = {"attention." + n: v.numpy() for n, v in attention.state_dict().items()}
    for image, h in zip(written, h_dec, strict=True):
        close(image, oracle.write(p, h.tolist(), (3, 2, 5), N=0)[0])


@pytest.mark.parametrize(("read_size", "write_size"), [(2, 3), (3, 1), (1, 4)])
def test_gaussian_attention_reads_and_writes_as_the_paper(read_size, write_size):
    attention = GaussianAttention(4, 3, 5, 6, read_size, write_size).double()
    x, x_hat = torch.rand(2, 2, 3, 5, 6, dtype=torch.float64)
    h_dec = torch.randn(2, 4, dtype=torch.float64)
    r, _ = attention.read(x, x_hat, h_dec)
    written, _ = attention.write(h_dec)
    assert r.shape == (2, attention.features)
    p = {"attention." + n: v.numpy() for n, v in attention.state_dict().items()}
    for n in range(2):
        h = h_dec[n].tolist()
        close(r[n], oracle.read(p, x[n].numpy(), x_hat[n].numpy(), h, read_size)[0])
        close(written[n], oracle.write(p, h, (3, 5, 6), write_size)[0])


# Gradients


GRADCHECK_WINDOWS = ("centred", "general", "off to the right", "small stride")


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("name", GRADCHECK_WINDOWS)
def test_gradient_of_the_filterbanks(name, size):
    controls = torch.tensor([WINDOWS[name]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda c: filterbanks(window_parameters(c, 4, 5, size), 4, 5), controls
    )


@pytest.mark.parametrize("name", GRADCHECK_WINDOWS)
def test_gradient_of_read_patch(name):
    controls = torch.tensor([WINDOWS[name]] * 2, dtype=torch.float64, requires_grad=True)
    images = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, c: read_patch(x, window_parameters(c, 4, 5, 2)), (images, controls)
    )


@pytest.mark.parametrize("name", GRADCHECK_WINDOWS)
def test_gradient_of_write_patch(name):
    controls = torch.tensor([WINDOWS[name]] * 2, dtype=torch.float64, requires_grad=True)
    patch = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda w, c: write_patch(w, window_parameters(c, 4, 5, 2), 4, 5), (patch, controls)
    )


# Extremes


def every_extreme(dtype: torch.dtype, *gs: float) -> torch.Tensor:
    values = torch.tensor(gs, dtype=dtype), torch.tensor(EXTREME_LOGS, dtype=dtype)
    return torch.cartesian_prod(values[0], values[0], *[values[1]] * 3).requires_grad_()


def finite_with_finite_gradients(controls: torch.Tensor, size: int) -> None:
    images = torch.rand(len(controls), 1, 5, 4, dtype=controls.dtype, requires_grad=True)
    patch = torch.randn(len(controls), 1, size, size, dtype=controls.dtype, requires_grad=True)
    window = window_parameters(controls, 5, 4, size)
    F_y, F_x = filterbanks(window, 5, 4)
    seen, written = read_patch(images, window), write_patch(patch, window, 5, 4)
    for F in (F_y, F_x):
        torch.testing.assert_close(F.sum(-1), torch.ones_like(F[..., 0]))
    weigh = [torch.randn_like(out) for out in (F_y, F_x, seen, written)]
    loss = sum((w * out).sum() for w, out in zip(weigh, (F_y, F_x, seen, written), strict=True))
    gradients = torch.autograd.grad(loss, (controls, images, patch))
    for result in (*window.numbers.values(), F_y, F_x, seen, written, *gradients):
        assert result.isfinite().all()


@dtypes
@pytest.mark.parametrize("size", [1, 2, 5])
def test_extreme_controls_stay_finite(dtype, size):
    finite_with_finite_gradients(every_extreme(dtype, *EXTREME_G), size)


@pytest.mark.parametrize("g", [1e15, 1e20, 1e30])
def test_absurd_centres_stay_finite_in_float32(g):
    finite_with_finite_gradients(every_extreme(torch.float32, g, -g), size=2)


@pytest.mark.parametrize("place", [2, 3, 4])
def test_logarithms_are_held_within_the_limit(place):
    at_limit, beyond = [0.0] * 5, [0.0] * 5
    at_limit[place], beyond[place] = MAX_LOG, 2 * MAX_LOG
    at, past = (window_of(tuple(controls), 5, 4, 3) for controls in (at_limit, beyond))
    assert at.numbers == past.numbers
    at_limit[place], beyond[place] = -MAX_LOG, -2 * MAX_LOG
    at, past = (window_of(tuple(controls), 5, 4, 3) for controls in (at_limit, beyond))
    assert at.numbers == past.numbers


@pytest.mark.parametrize(("g_tilde", "pixel"), [(-50.0, 0), (50.0, -1)])
def test_filters_off_the_image_fall_on_the_nearest_pixel(g_tilde, pixel):
    window = window_of((g_tilde, g_tilde, 0.0, -3.0, 0.0), 6, 4, size=2)
    for F in filterbanks(window, 6, 4):
        torch.testing.assert_close(F[..., pixel], torch.ones_like(F[..., pixel]))


# Properties


finite = {"allow_nan": False, "allow_infinity": False}
any_controls = st.tuples(
    st.floats(-1e3, 1e3, **finite),
    st.floats(-1e3, 1e3, **finite),
    *[st.floats(-1e5, 1e5, **finite)] * 3,
)
tame_controls = st.tuples(
    st.floats(-1.5, 1.5),
    st.floats(-1.5, 1.5),
    st.floats(-3, 3),
    st.floats(-3, 1),
    st.floats(-3, 3),
)


@given(any_controls, st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
def test_filters_are_distributions_over_the_pixels(controls, size, rows, columns):
    for dtype in (torch.float32, torch.float64):
        window = window_parameters(torch.tensor([controls], dtype=dtype), rows, columns, size)
        for F in filterbanks(window, rows, columns):
            assert (F >= 0).all()
            torch.testing.assert_close(F.sum(-1), torch.ones_like(F[..., 0]))


@given(tame_controls, st.integers(1, 4), st.integers(1, 7), st.integers(1, 7))
def test_writing_is_the_adjoint_of_reading_up_to_gamma(controls, size, rows, columns):
    window = window_of(controls, rows, columns, size)
    image = torch.randn(1, 2, rows, columns, dtype=torch.float64)
    patch = torch.randn(1, 2, size, size, dtype=torch.float64)
    of_patches = (read_patch(image, window) * patch).sum() / window.gamma
    of_images = (image * write_patch(patch, window, rows, columns)).sum() * window.gamma
    torch.testing.assert_close(of_patches, of_images.expand(1))


@given(
    st.floats(15, 24), st.floats(15, 24), st.floats(0.3, 2), st.floats(0.3, 1.0), st.integers(1, 4)
)
def test_moving_window_and_image_together_changes_nothing_in_the_interior(
    g_x, g_y, delta, sigma, size
):
    image = torch.rand(1, 1, 40, 40, dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    here = Window(g_x * one, g_y * one, delta * one, sigma * one, one, size)
    for g_step_x, g_step_y in ((1, 0), (0, 1), (-1, 1)):
        there = dataclasses.replace(here, g_x=here.g_x + g_step_x, g_y=here.g_y + g_step_y)
        moved = image.roll((g_step_y, g_step_x), (-2, -1))
        torch.testing.assert_close(
            read_patch(moved, there), read_patch(image, here), rtol=0, atol=1e-12
        )


@given(st.floats(7, 14), st.floats(0.3, 1.5), st.floats(0.8, 1.0), st.integers(1, 4))
def test_filters_have_their_centre_of_mass_at_mu(g, delta, sigma, size):
    one = torch.ones(1, dtype=torch.float64)
    F = filterbank(g * one, delta * one, sigma * one, size, 20)[0]
    pixels = torch.arange(1, 21, dtype=torch.float64)
    expected = [g + (i - (size + 1) / 2) * delta for i in range(1, size + 1)]
    torch.testing.assert_close(F @ pixels, torch.tensor(expected).double(), rtol=0, atol=1e-3)
    spread = F @ pixels.square() - (F @ pixels).square()
    assert math.sqrt(spread.max()) == pytest.approx(sigma, rel=1e-3)


def test_examples_of_the_docstring():
    result = doctest.testmod(draw.attention)
    assert result.attempted > 0
    assert result.failed == 0
