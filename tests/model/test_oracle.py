"""The oracle against what can be worked out by hand, so that it and `draw` cannot err together."""

from math import e, log, pi

import numpy as np
import pytest

import oracle


def test_window_of_zeros_spans_the_longer_side():
    w = oracle.window([0.0] * 5, A=9, B=5, N=3)
    assert w == oracle.Window(g_x=5, g_y=3, variance=1, delta=4, gamma=1)


def test_filters_stand_a_stride_apart_round_the_centre():
    F = oracle.filterbank(g=5, delta=4, variance=1e-2, N=3, pixels=9)
    np.testing.assert_allclose(F, np.eye(9)[[0, 4, 8]], atol=1e-15)


def test_filter_between_two_pixels_is_shared_by_them():
    F = oracle.filterbank(g=2.5, delta=1, variance=1e-2, N=1, pixels=4)
    np.testing.assert_allclose(F, [[0, 0.5, 0.5, 0]], atol=1e-15)


def test_neighbours_of_a_filter():
    F = oracle.filterbank(g=2, delta=1, variance=0.5, N=1, pixels=3)
    np.testing.assert_allclose(F, [[1 / (e + 2), e / (e + 2), 1 / (e + 2)]])


def test_narrow_filters_read_and_write_single_pixels():
    image = np.arange(12.0).reshape(1, 3, 4)
    w = oracle.Window(g_x=3, g_y=2, variance=1e-3, delta=2, gamma=5)
    corners = image[:, [0, 2]][:, :, [1, 3]]
    np.testing.assert_allclose(oracle.read_patch(image, w, 2), 5 * corners)
    written = oracle.write_patch(np.array([[[1.0, 2.0], [3.0, 4.0]]]), w, A=4, B=3)
    expected = np.array([[[0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 4]]]) / 5
    np.testing.assert_allclose(written, expected, atol=1e-15)


def test_lstm_forgets_lets_in_and_lets_out():
    """Saturated gates: c = c + tanh(g) where f = i = 1, and h = tanh(c) where o = 1."""
    p = {
        "lstm.weight_ih": np.zeros((4, 1)),
        "lstm.weight_hh": np.zeros((4, 1)),
        "lstm.bias_ih": np.array([100.0, 100.0, 0.5, 100.0]),
        "lstm.bias_hh": np.zeros(4),
    }
    h, c = oracle.lstm(p, "lstm", [1.0], [1.0], [0.25])
    assert c == pytest.approx([0.25 + np.tanh(0.5)])
    assert h == pytest.approx(np.tanh(c))
    p["lstm.bias_hh"] = np.array([0.0, -200.0, 0.0, 0.0])
    assert oracle.lstm(p, "lstm", [1.0], [1.0], [0.25])[1] == pytest.approx([np.tanh(0.5)])
    p["lstm.bias_hh"] = np.array([-200.0, 0.0, 0.0, 0.0])
    assert oracle.lstm(p, "lstm", [1.0], [1.0], [0.25])[1] == pytest.approx([0.25])


def test_losses_in_nats():
    assert oracle.kl([0.0, 0.0], [1.0, 1.0]) == 0
    assert oracle.kl([3.0, 0.0], [1.0, 1.0]) == pytest.approx(4.5)
    assert oracle.kl([0.0], [e]) == pytest.approx((e**2 - 3) / 2)
    assert oracle.log_normal(1.0, 1.0, 2.0) == pytest.approx(-log(2) - log(2 * pi) / 2)
    image, canvas = np.array([[[1.0, 0.0]]]), np.array([[[log(3), log(3)]]])
    assert oracle.reconstruction_loss(image, canvas) == pytest.approx(log(4 / 3) + log(4))
