"""A window of Cauchy filters instead of Gaussian ones: their tails reach across the image."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.grid import GaussianSampler
from draw.attention.window import Filterbank, filter_centres


def cauchy_filterbank(
    g: Float[Tensor, "*batch"],
    delta: Float[Tensor, "*batch"],
    sigma: Float[Tensor, "*batch"],
    size: int,
    length: int,
) -> Float[Tensor, "*batch {size} {length}"]:
    """Build N Cauchy filters along one side of the image, each summing to 1.

        F[i, a] = 1 / (Z_i (1 + ((a - mu_i) / sigma)^2))

    with mu_i of eqs 19-20. Far from its centre a Gaussian filter (eqs 25-26) and its gradient
    vanish; this one falls with the square of the distance only, so that a window learns from what
    lies far away too.

    Args:
        g: centre of the grid in pixels, counted from 1.
        delta: distance between neighbouring filters in pixels.
        sigma: half width at half height of each filter in pixels.
        size: number of filters along the side, N.
        length: number of pixels along the side, A for F_X and B for F_Y.

    Returns:
        The filters, in float32 at least, as windows are.
    """
    mu = filter_centres(g, delta, size)  # (19-20)
    a = torch.arange(1, length + 1, dtype=mu.dtype, device=g.device)
    distance = (a - mu[..., None]) / sigma[..., None, None]
    return (-torch.log1p(distance.square())).softmax(-1)


class CauchySampler(GaussianSampler):
    """Reads and writes through an N x N grid of Cauchy filters (`cauchy_filterbank`).

    # Differs from the paper, whose filters are Gaussian. Everything else is as there: five numbers
    # place a window, whose sigma is the half width at half height here.
    """

    description: ClassVar = "windows of Cauchy filters"
    filters: ClassVar[Filterbank] = staticmethod(cauchy_filterbank)
