"""Backward pass of reading and writing, derived by hand: eqs 17-29, the last one first.

Part of draw/kernels/unroll_backward.py.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from draw.attention.gaussian import GaussianAttention
from draw.attention.window import (
    MAX_CENTRE,
    MAX_LOG,
    Window,
    filter_centres,
    filterbanks,
    window_parameters,
)
from draw.kernels.products import Products

if TYPE_CHECKING:
    from draw.model.draw import DRAW


def write_backward(model: "DRAW", h_dec: Tensor, d_image: Tensor, products: Products) -> Tensor:
    """Gradient of h_dec through what it writes: eqs 28-29, or eq 18 without attention."""
    attention: Any = model.attention
    if not isinstance(attention, GaussianAttention):
        d_w = d_image.flatten(1)
        products.add("attention.write_content", h_dec, d_w)
        d_h_dec: Tensor = d_w @ attention.write_content.weight
        return d_h_dec
    B, A, N = attention.rows, attention.columns, attention.write_size
    controls = attention.write_window(h_dec)
    window = window_parameters(controls, B, A, N)
    F_y, F_x = (F[:, None] for F in filterbanks(window, B, A))
    w = attention.write_content(h_dec).view(len(h_dec), attention.channels, N, N)
    # (29) image = (1/gamma) F_y^T w F_x
    d_image = d_image / window.gamma[:, None, None, None]
    d_w = F_y @ d_image @ F_x.mT
    d_F_y = (w @ F_x @ d_image.mT).sum(1)
    d_F_x = (w.mT @ F_y @ d_image).sum(1)
    d_log_gamma = -(w * d_w).flatten(1).sum(1)
    d_controls = _window_backward(controls, B, A, N, d_F_y, d_F_x, d_log_gamma)
    # (28) and (21), affine maps of h_dec
    d_w = d_w.flatten(1)
    products.add("attention.write_content", h_dec, d_w)
    products.add("attention.write_window", h_dec, d_controls)
    return d_w @ attention.write_content.weight + d_controls @ attention.write_window.weight


def read_backward(
    model: "DRAW", x: Tensor, x_hat: Tensor, h_dec: Tensor, d_r: Tensor, products: Products
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, x_hat and h_dec through what is read: eq 27, or eq 17 without attention."""
    attention = model.attention
    if not isinstance(attention, GaussianAttention):
        d_x, d_x_hat = d_r.view(len(x), 2, *x.shape[1:]).unbind(1)
        return d_x, d_x_hat, torch.zeros_like(h_dec)
    B, A, N = attention.rows, attention.columns, attention.read_size
    controls = attention.read_window(h_dec)
    window = window_parameters(controls, B, A, N)
    F_y, F_x = (F[:, None] for F in filterbanks(window, B, A))
    images = torch.cat([x, x_hat], 1)
    # (27) patch = gamma F_y image F_x^T
    d_patch = window.gamma[:, None, None, None] * d_r.reshape(len(x), 2 * attention.channels, N, N)
    d_images = F_y.mT @ d_patch @ F_x
    d_F_y = (d_patch @ F_x @ images.mT).sum(1)
    d_F_x = (d_patch.mT @ F_y @ images).sum(1)
    d_log_gamma = (images * d_images).flatten(1).sum(1)
    d_controls = _window_backward(controls, B, A, N, d_F_y, d_F_x, d_log_gamma)
    # (21) an affine map of h_dec
    products.add("attention.read_window", h_dec, d_controls)
    d_x, d_x_hat = d_images.chunk(2, 1)
    return d_x, d_x_hat, d_controls @ attention.read_window.weight


def _window_backward(
    controls: Tensor, B: int, A: int, N: int, d_F_y: Tensor, d_F_x: Tensor, d_log_gamma: Tensor
) -> Tensor:
    """Gradient of the five numbers that place a window, [batch, 5] (eqs 19-26)."""
    window = window_parameters(controls, B, A, N)
    F_y, F_x = filterbanks(window, B, A)
    d_g_y, d_delta_y, d_log_sigma_y = _filterbank_backward(window.g_y, window, F_y, d_F_y)
    d_g_x, d_delta_x, d_log_sigma_x = _filterbank_backward(window.g_x, window, F_x, d_F_x)
    d_controls = torch.stack(
        [
            (A + 1) / 2 * d_g_x,  # (22)
            (B + 1) / 2 * d_g_y,  # (23)
            (d_log_sigma_y + d_log_sigma_x) / 2,  # sigma = exp(log sigma^2 / 2)
            (d_delta_y + d_delta_x) * window.delta,  # (24)
            d_log_gamma,
        ],
        -1,
    )
    limits = controls.new_tensor([MAX_CENTRE] * 2 + [MAX_LOG] * 3)
    return d_controls * (controls.abs() <= limits)


def _filterbank_backward(
    g: Tensor, window: Window, F: Tensor, d_F: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the centre, the stride and log sigma of one side's filters, each [batch]."""
    N, length = F.shape[-2:]
    steps = filter_centres(torch.zeros_like(g), torch.ones_like(g), N)  # i - N/2 - 1/2
    mu = filter_centres(g, window.delta, N)  # (19-20)
    a = torch.arange(1, length + 1, dtype=g.dtype, device=g.device)
    sigma = window.sigma[:, None, None]
    distance = (a - mu[..., None]) / sigma
    # (25-26) F = softmax(-distance^2 / 2)
    d_exponent = F * (d_F - (F * d_F).sum(-1, keepdim=True))
    d_mu = (d_exponent * distance / sigma).sum(-1)
    return d_mu.sum(-1), (d_mu * steps).sum(-1), (d_exponent * distance.square()).sum((-2, -1))
