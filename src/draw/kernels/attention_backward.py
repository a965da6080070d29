"""Backward pass of reading and writing of a model, derived by hand: eqs 17-21, 27-29.

Part of draw/kernels/unroll_backward.py. Through a window itself: `draw.kernels.window_kinds`.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from draw.attention.whole import NoAttention
from draw.kernels.products import Products
from draw.kernels.window_kinds import WINDOWS

if TYPE_CHECKING:
    from draw.model.draw import DRAW


def write_backward(model: "DRAW", h_dec: Tensor, d_image: Tensor, products: Products) -> Tensor:
    """Gradient of h_dec through what it writes: eqs 28-29, or eq 18 without attention."""
    attention: Any = model.attention
    if isinstance(attention, NoAttention):
        d_w = d_image.flatten(1)
        products.add("attention.write_content", h_dec, d_w)
        d_h_dec: Tensor = d_w @ attention.write_content.weight
        return d_h_dec
    heads, N, batch = attention.write_heads, attention.write_size, len(h_dec)
    kind = WINDOWS[model.config.attention]
    controls = attention.write_window(h_dec).reshape(batch * heads, kind.controls)
    w = attention.write_content(h_dec).reshape(batch * heads, attention.channels, N, N)
    # the image is the sum of what the windows write
    d_w, d_controls = kind.write_backward(controls, w, _of_each_window(d_image, heads))
    # (28) and (21), affine maps of h_dec
    d_w = d_w.reshape(batch, attention.write_content.out_features)
    d_controls = d_controls.view(batch, kind.controls * heads)
    products.add("attention.write_content", h_dec, d_w)
    products.add("attention.write_window", h_dec, d_controls)
    d_h_dec = d_controls @ attention.write_window.weight
    d_h_dec += d_w @ attention.write_content.weight
    return d_h_dec


def read_backward(
    model: "DRAW", x: Tensor, x_hat: Tensor, h_dec: Tensor, d_r: Tensor, products: Products
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, x_hat and h_dec through what is read: eq 27, or eq 17 without attention."""
    attention: Any = model.attention
    if isinstance(attention, NoAttention):
        d_x, d_x_hat = d_r.view(len(x), 2, *x.shape[1:]).unbind(1)
        return d_x, d_x_hat, torch.zeros_like(h_dec)
    heads, N, batch = attention.read_heads, attention.read_size, len(h_dec)
    kind = WINDOWS[model.config.attention]
    controls = attention.read_window(h_dec).reshape(batch * heads, kind.controls)
    images = _of_each_window(torch.cat([x, x_hat], 1), heads)
    d_patch = d_r.reshape(*images.shape[:2], N, N)
    d_each, d_controls = kind.read_backward(controls, images, d_patch)
    # every window reads the same images
    d_images = d_each.reshape(batch, heads, *images.shape[1:]).sum(1)
    d_controls = d_controls.view(batch, kind.controls * heads)
    # (21) an affine map of h_dec
    products.add("attention.read_window", h_dec, d_controls)
    d_x, d_x_hat = d_images.chunk(2, 1)
    d_h_dec: Tensor = d_controls @ attention.read_window.weight
    return d_x, d_x_hat, d_h_dec


def _of_each_window(images: Tensor, heads: int) -> Tensor:
    """The same images for each of several windows, [batch * heads, channels, rows, columns]."""
    return images[:, None].expand(-1, heads, -1, -1, -1).flatten(0, 1)
