"""A window of Laplace filters, which have a peak and a gradient everywhere."""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.grid import GaussianSampler
from draw.attention.window import Filterbank, filter_centres


def laplace_filterbank(
    g: Float[Tensor, "*batch"],
    delta: Float[Tensor, "*batch"],
    sigma: Float[Tensor, "*batch"],
    size: int,
    length: int,
) -> Float[Tensor, "*batch {size} {length}"]:
    """N Laplace filters along one side of the image, each summing to 1.

    F[i, a] = exp(-|a - mu_i| / sigma) / Z_i, with mu_i of eqs 19-20. It falls more slowly than a
    Gaussian filter (eqs 25-26), and its logarithm has the same slope however far a pixel is; it has
    a kink where a pixel lies exactly at mu_i, at which torch's gradient of |.| is 0.

    Args:
        g: centre of the grid in pixels, counted from 1.
        delta: distance between neighbouring filters in pixels.
        sigma: distance in pixels at which a filter has fallen to 1/e.
        size: number of filters along the side, N.
        length: number of pixels along the side, A for F_X and B for F_Y.

    Returns:
        The filters, in float32 at least, as windows are.
    """
    mu = filter_centres(g, delta, size)  # (19-20)
    a = torch.arange(1, length + 1, dtype=mu.dtype, device=g.device)
    return (-(a - mu[..., None]).abs() / sigma[..., None, None]).softmax(-1)


class LaplaceSampler(GaussianSampler):
    """Reads and writes through an N x N grid of Laplace filters (`laplace_filterbank`).

    # Differs from the paper, whose filters are Gaussian. Everything else is as there: five numbers
    # place a window, whose sigma is the distance of the fall to 1/e here.
    """

    description: ClassVar = "windows of Laplace filters"
    filters: ClassVar[Filterbank] = staticmethod(laplace_filterbank)
