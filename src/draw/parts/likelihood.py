"""The distributions of a pixel given the canvas, `DRAWConfig.likelihood`, and what their nats mean.

To add one, write a module that maps canvas and images to nats per image, and name it in
`LIKELIHOODS`.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.fields import part_of
from draw.parts.objective import bits_per_dimension, discretized_logistic_loss, reconstruction_loss

START_LOG_SCALE = -3.0
"""# ours: s = 0.05, a standard deviation of 0.09. Photographs lie 0.25 round their mean image, but
a model is soon nearer to them than that."""


class Bernoulli(nn.Module):
    """Each pixel is 0 or 1 with mean sigmoid(c_T), as in the paper (eq 9)."""

    def forward(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        """L^x in nats; of grey values a cross-entropy."""
        return reconstruction_loss(canvas, images)


class DiscretizedLogistic(nn.Module):
    """Each pixel is one of 256 values, logistic round sigmoid(c_T) with a learned scale.

    # Differs from the paper: its pixels are Bernoulli. See `discretized_logistic_loss`.

    # ours: one scale a channel. docs/decisions.md has what one a pixel is worth.

    Args:
        channels: of the images.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((channels, 1, 1), START_LOG_SCALE))

    def forward(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        """L^x in nats, of 8-bit pixels."""
        return discretized_logistic_loss(canvas, images, self.log_scale)


LIKELIHOODS: dict[str, Callable[[DRAWConfig], nn.Module]] = {
    "bernoulli": lambda config: Bernoulli(),
    "logistic": lambda config: DiscretizedLogistic(config.channels),
}
"""The distributions by their names in `DRAWConfig.likelihood`."""


def make_likelihood(config: DRAWConfig) -> nn.Module:
    """The distribution that a config names."""
    return part_of(LIKELIHOODS, "likelihood", config.likelihood)(config)


def in_bits(config: DRAWConfig, nats: float | None) -> float | None:
    """A bound in bits per dimension; None where there is no bound, and for Bernoulli pixels.

    A Bernoulli's nats are of 0s and 1s or a cross-entropy: neither compares with those of 8 bits.
    """
    if nats is None or config.likelihood == "bernoulli":
        return None
    channels, rows, columns = config.image_shape
    return bits_per_dimension(nats, channels * rows * columns)


def bounds_likelihood(config: DRAWConfig, *, binary: bool) -> bool:
    """Whether a model's nats bound -log p(x); otherwise they are a cross-entropy.

    Args:
        config: the model's.
        binary: all pixels that the model sees are 0 or 1.
    """
    return config.likelihood == "logistic" or binary


def meaning(config: DRAWConfig, *, binary: bool, dynamic: bool) -> str:
    """What the nats of a model are, in words for people.

    Args:
        config: the model's.
        binary: all pixels of the images are 0 or 1.
        dynamic: they are drawn as 0 or 1.
    """
    if config.likelihood == "logistic":
        return "8-bit pixels, discretized logistic likelihood: nats, and bits per dimension"
    if binary:
        return "Bernoulli likelihood, pixels are 0 or 1 (static)"
    if dynamic:
        return "Bernoulli likelihood, pixels are drawn as 0 or 1 anew at each use (dynamic)"
    return "Bernoulli means, grey values: nats are a cross-entropy, no likelihood"


def check_pixels(config: DRAWConfig, *, binary: bool, dynamic: bool, source: str) -> None:
    """Refuse images of two values for a likelihood of 256.

    Raises:
        DrawError: if the figures would mean nothing, with what to do.
    """
    if config.likelihood != "logistic" or not (binary or dynamic):
        return
    if dynamic:
        came, remedy = "pixels drawn as 0 or 1", "pass --data.binarize none, or "
    else:
        came, remedy = "images whose pixels are all 0 or 255", ""
    raise DrawError(
        f"expected images of 256 values for the logistic likelihood, got {came} from {source}: its "
        f"bits per dimension would mean nothing; {remedy}train with --model.likelihood bernoulli"
    )
