"""Gaussian filters at any places: reading and writing where they are no upright grid.

A filter at (mu_x, mu_y) is still a product of one along the columns and one along the rows, so that
each costs A + B numbers, not A B. What the grid of the paper saves besides, sharing its N filters a
side among N^2 places, is lost: reading costs some N times as much.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from draw.tensors import in_full


def scattered_filters(
    mu: Float[Tensor, "*batch filters"], sigma: Float[Tensor, "*batch filters"], length: int
) -> Float[Tensor, "*batch filters {length}"]:
    """Gaussian filters along one side, each with a place and a width of its own, summing to 1.

    F[i, a] = exp(-(a - mu_i)^2 / (2 sigma_i^2)) / Z_i, as eqs 25-26 for the filters of a grid.

    Args:
        mu: centres of the filters, in pixels counted from 1.
        sigma: standard deviation of each filter in pixels.
        length: number of pixels, A or B.

    Returns:
        The filters, in float32 at least, as windows are.
    """
    mu, sigma = in_full(mu), in_full(sigma)
    a = torch.arange(1, length + 1, dtype=mu.dtype, device=mu.device)
    steepness = -0.5 / sigma.square()
    return ((a - mu[..., None]).square() * steepness[..., None]).softmax(-1)


def read_by_filters(
    images: Float[Tensor, "batch channels rows columns"],
    F_y: Float[Tensor, "batch filters rows"],
    F_x: Float[Tensor, "batch filters columns"],
    size: int,
) -> Float[Tensor, "batch channels {size} {size}"]:
    """Read one number a filter: r_i = sum_b sum_a F_Y[i, b] F_X[i, a] x[b, a], for each channel.

    Args:
        images: images, [batch, channels, rows, columns].
        F_y: vertical parts of size^2 filters.
        F_x: horizontal parts of the same filters.
        size: side of the patch, which the filters fill row by row.
    """
    r = ((F_y[:, None] @ images) * F_x[:, None]).sum(-1)
    return r.reshape(*r.shape[:2], size, size)


def write_by_filters(
    w: Float[Tensor, "batch channels size size"],
    F_y: Float[Tensor, "batch filters rows"],
    F_x: Float[Tensor, "batch filters columns"],
) -> Float[Tensor, "batch channels rows columns"]:
    """The adjoint of reading: sum_i w_i F_Y[i, b] F_X[i, a] at pixel (b, a)."""
    return (F_y[:, None] * w.flatten(-2)[..., None]).mT @ F_x[:, None]
