"""Backward pass of windows that turn, derived by hand: draw/attention/rotated.py, last line first.

Part of draw/kernels/window_kinds.py. `p` counts the N^2 filters, row by row of the grid.
"""

import torch
from torch import Tensor

from draw.attention.rotated import RotatedWindow, turned_filters, turned_window
from draw.attention.window import MAX_CENTRE, MAX_LOG, filter_centres


def write_turned_backward(controls: Tensor, w: Tensor, d_image: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of a patch and of its window's controls through what is written.

    Args:
        controls: controls of the window, [batch, 6].
        w: the patch, [batch, channels, N, N].
        d_image: gradient of what is written, [batch, channels, rows, columns].
    """
    N, (B, A) = w.shape[-1], d_image.shape[-2:]
    window = turned_window(controls, B, A, N)
    F_y, F_x = turned_filters(window, B, A)
    w = w.flatten(2)
    # image[b, a] = (1/gamma) sum_p w[p] F_y[p, b] F_x[p, a]
    d_image = d_image / window.gamma[:, None, None, None]
    d_w, d_F_y, d_F_x = _through_filters(F_y, F_x, d_image, w)
    d_log_gamma = -(w * d_w).flatten(1).sum(1)
    d_controls = _window_backward(controls, window, F_y, F_x, d_F_y, d_F_x, d_log_gamma)
    return d_w.view(*d_w.shape[:2], N, N), d_controls


def read_turned_backward(controls: Tensor, images: Tensor, d_r: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of images and of a window's controls through what is read.

    Args:
        controls: controls of the window, [batch, 6].
        images: images, [batch, channels, rows, columns].
        d_r: gradient of the patch, [batch, channels, N, N].
    """
    B, A = images.shape[-2:]
    window = turned_window(controls, B, A, d_r.shape[-1])
    F_y, F_x = turned_filters(window, B, A)
    # patch[p] = gamma sum_ba F_y[p, b] F_x[p, a] image[b, a]
    d_patch = window.gamma[:, None, None] * d_r.flatten(2)
    d_images = (F_y[:, None] * d_patch[..., None]).mT @ F_x[:, None]
    seen, d_F_y, d_F_x = _through_filters(F_y, F_x, images, d_patch)
    d_log_gamma = (seen * d_patch).flatten(1).sum(1)
    d_controls = _window_backward(controls, window, F_y, F_x, d_F_y, d_F_x, d_log_gamma)
    return d_images, d_controls


def _through_filters(
    F_y: Tensor, F_x: Tensor, image: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What each filter sees of an image, and what F_y and F_x get of weight[p] times that."""
    F_y_image = F_y[:, None] @ image
    image_F_x = F_x[:, None] @ image.mT
    seen = (F_y_image * F_x[:, None]).sum(-1)
    d_F_y = (weight[..., None] * image_F_x).sum(1)
    d_F_x = (weight[..., None] * F_y_image).sum(1)
    return seen, d_F_y, d_F_x


def _window_backward(
    controls: Tensor,
    window: RotatedWindow,
    F_y: Tensor,
    F_x: Tensor,
    d_F_y: Tensor,
    d_F_x: Tensor,
    d_log_gamma: Tensor,
) -> Tensor:
    """Gradient of the six numbers that place a window, [batch, 6]."""
    N, B, A = window.size, F_y.shape[-1], F_x.shape[-1]
    cos, sin = window.angle.cos()[:, None, None], window.angle.sin()[:, None, None]
    steps = filter_centres(torch.zeros_like(window.delta), torch.ones_like(window.delta), N)
    i, j = steps[:, None, :], steps[:, :, None]
    # in strides from the centre of the grid, and by how much a turn moves them
    place_x, place_y = cos * i - sin * j, sin * i + cos * j
    delta = window.delta[:, None, None]
    mu_x = window.g_x[:, None, None] + delta * place_x
    mu_y = window.g_y[:, None, None] + delta * place_y
    d_mu_x, d_log_sigma_x = _filters_backward(mu_x.flatten(1), window.sigma, F_x, d_F_x)
    d_mu_y, d_log_sigma_y = _filters_backward(mu_y.flatten(1), window.sigma, F_y, d_F_y)
    place_x, place_y = place_x.flatten(1), place_y.flatten(1)
    d_controls = torch.stack(
        [
            (A + 1) / 2 * d_mu_x.sum(1),  # (22)
            (B + 1) / 2 * d_mu_y.sum(1),  # (23)
            (d_log_sigma_x + d_log_sigma_y) / 2,  # sigma = exp(log sigma^2 / 2)
            window.delta * (d_mu_x * place_x + d_mu_y * place_y).sum(1),  # (24)
            d_log_gamma,
            window.delta * (d_mu_y * place_x - d_mu_x * place_y).sum(1),  # d mu_X = -mu_Y d angle
        ],
        -1,
    )
    size = controls.abs()
    inside = [size[:, :2] <= MAX_CENTRE, size[:, 2:5] <= MAX_LOG, size[:, 5:] <= MAX_CENTRE]
    return d_controls * torch.cat(inside, -1)


def _filters_backward(mu: Tensor, sigma: Tensor, F: Tensor, d_F: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the filters' places along one side, [batch, filters], and of log sigma."""
    a = torch.arange(1, F.shape[-1] + 1, dtype=mu.dtype, device=mu.device)
    distance = (a - mu[..., None]) / sigma[:, None, None]
    # (25-26) F = softmax(-distance^2 / 2)
    d_distance = -F * (d_F - (F * d_F).sum(-1, keepdim=True)) * distance
    return -(d_distance / sigma[:, None, None]).sum(-1), -(d_distance * distance).sum((-2, -1))
