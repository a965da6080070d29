"""Backward pass of the paper's upright windows, derived by hand: eqs 19-29, the last one first.

`draw.kernels.window_kinds` has the other kinds.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from draw.attention.cauchy import cauchy_filterbank
from draw.attention.laplace import laplace_filterbank
from draw.attention.window import (
    MAX_CENTRE,
    MAX_LOG,
    Filterbank,
    Window,
    filter_centres,
    filterbank,
    filterbanks,
    window_parameters,
)


def write_patch_backward(
    controls: Tensor, w: Tensor, d_image: Tensor, filters: Filterbank = filterbank
) -> tuple[Tensor, Tensor]:
    """Gradients of a patch and of its window's controls through what is written (eqs 22-26, 29).

    Args:
        controls: controls of the window, [batch, 5].
        w: the patch, [batch, channels, N, N].
        d_image: gradient of what is written, [batch, channels, rows, columns].
        filters: filters of the window; a key of `SLOPES`.
    """
    window, F_y, F_x = _window(controls, d_image, w, filters)
    # (29) image = (1/gamma) F_y^T w F_x
    d_image = d_image / window.gamma[:, None, None, None]
    w_F_x, F_y_d_image = w @ F_x, F_y @ d_image
    d_w = F_y_d_image @ F_x.mT
    d_F_y = (w_F_x @ d_image.mT).sum(1)
    d_F_x = (w.mT @ F_y_d_image).sum(1)
    d_log_gamma = -(w * d_w).flatten(1).sum(1)
    return d_w, _window_backward(controls, window, F_y, F_x, d_F_y, d_F_x, d_log_gamma, filters)


def read_patch_backward(
    controls: Tensor, images: Tensor, d_r: Tensor, filters: Filterbank = filterbank
) -> tuple[Tensor, Tensor]:
    """Gradients of images and of a window's controls through what is read (eqs 22-27).

    Args:
        controls: controls of the window, [batch, 5].
        images: images, [batch, channels, rows, columns].
        d_r: gradient of the patch, [batch, channels, N, N].
        filters: filters of the window; a key of `SLOPES`.
    """
    window, F_y, F_x = _window(controls, images, d_r, filters)
    # (27) patch = gamma F_y image F_x^T
    d_patch = window.gamma[:, None, None, None] * d_r
    d_patch_F_x = d_patch @ F_x
    d_images = F_y.mT @ d_patch_F_x
    d_F_y = (d_patch_F_x @ images.mT).sum(1)
    d_F_x = (d_patch.mT @ (F_y @ images)).sum(1)
    d_log_gamma = (images * d_images).flatten(1).sum(1)
    d_controls = _window_backward(controls, window, F_y, F_x, d_F_y, d_F_x, d_log_gamma, filters)
    return d_images, d_controls


def _window(
    controls: Tensor, images: Tensor, patch: Tensor, filters: Filterbank
) -> tuple[Window, Tensor, Tensor]:
    """A window and its filters, which serve every channel."""
    B, A = images.shape[-2:]
    window = window_parameters(controls, B, A, patch.shape[-1])
    F_y, F_x = filterbanks(window, B, A, filters)
    return window, F_y[:, None], F_x[:, None]


def _window_backward(
    controls: Tensor,
    window: Window,
    F_y: Tensor,
    F_x: Tensor,
    d_F_y: Tensor,
    d_F_x: Tensor,
    d_log_gamma: Tensor,
    filters: Filterbank,
) -> Tensor:
    """Gradient of the five numbers that place a window, [batch, 5] (eqs 19-26)."""
    slope, B, A = SLOPES[filters], F_y.shape[-1], F_x.shape[-1]
    d_g_y, d_delta_y, d_log_sigma_y = _filterbank_backward(window.g_y, window, F_y, d_F_y, slope)
    d_g_x, d_delta_x, d_log_sigma_x = _filterbank_backward(window.g_x, window, F_x, d_F_x, slope)
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
    size = controls.abs()
    inside = torch.cat([size[:, :2] <= MAX_CENTRE, size[:, 2:] <= MAX_LOG], -1)
    return d_controls * inside


def _filterbank_backward(
    g: Tensor, window: Window, F: Tensor, d_F: Tensor, slope: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the centre, the stride and log sigma of one side's filters, each [batch]."""
    F = F[:, 0]
    N, length = F.shape[-2:]
    steps = filter_centres(torch.zeros_like(g), torch.ones_like(g), N)  # i - N/2 - 1/2
    mu = filter_centres(g, window.delta, N)  # (19-20)
    a = torch.arange(1, length + 1, dtype=g.dtype, device=g.device)
    sigma = window.sigma[:, None, None]
    distance = (a - mu[..., None]) / sigma
    # (25-26) F = softmax(e(distance))
    d_exponent = F * (d_F - (F * d_F).sum(-1, keepdim=True))
    d_distance = d_exponent * slope(distance)
    d_mu = -(d_distance / sigma).sum(-1)
    return d_mu.sum(-1), (d_mu * steps).sum(-1), -(d_distance * distance).sum((-2, -1))


SLOPES: dict[Filterbank, Callable[[Tensor], Tensor]] = {
    filterbank: lambda distance: -distance,
    cauchy_filterbank: lambda distance: -2 * distance / (1 + distance.square()),
    laplace_filterbank: lambda distance: -distance.sign(),
}
"""By how much the exponent of a filter grows with the distance from its centre in units of sigma:
of -distance^2 / 2 for the Gaussian filter, -log(1 + distance^2) for the Cauchy filter, -|distance|
for the Laplace filter."""
