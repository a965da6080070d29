"""The distributions of a pixel given the canvas, `DRAWConfig.likelihood`, and what their nats mean.

To add one, write a class with the methods of `Likelihood` in a file of its own and name it in
`LIKELIHOODS`.
"""

from typing import Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from draw.config.data import Binarization
from draw.config.model import DRAWConfig
from draw.errors import DrawError
from draw.fields import part_of
from draw.parts.objective import bits_per_dimension, discretized_logistic_loss, reconstruction_loss

START_LOG_SCALE = -3.0
"""# ours: s = 0.05, a standard deviation of 0.09. Photographs lie 0.25 round their mean image, but
a model is soon nearer to them than that."""


@runtime_checkable
class Likelihood(Protocol):
    """A module made from a `DRAWConfig` that computes the reconstruction loss of images."""

    title: ClassVar[str]
    """Name of the distribution in the literature."""
    values: ClassVar[Literal[2, 256]]
    """Number of values that a pixel can take. Nats are a likelihood only of images with no other
    values; those of 256 values, 8 bits, are given in bits per dimension too."""

    def __call__(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        """Reconstruction loss L^x = -log P(x | c_T) in nats, for images in [0, 1].

        Args:
            canvas: c_T in logits, [batch, channels, rows, columns].
            images: x in [0, 1], of the canvas's shape.
        """


class Bernoulli(nn.Module):
    """Each pixel is 0 or 1 with mean sigmoid(c_T), as in the paper (eq 9).

    Args:
        config: the model's config, of which nothing is used.
    """

    title: ClassVar = "Bernoulli"
    values: ClassVar = 2

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()

    def forward(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        """Reconstruction loss L^x in nats (eq 9); for grey values a cross-entropy."""
        return reconstruction_loss(canvas, images)


class DiscretizedLogistic(nn.Module):
    """Each pixel is one of 256 values, logistic round sigmoid(c_T) with a learned scale.

    # Differs from the paper: its pixels are Bernoulli. See `discretized_logistic_loss`.

    # ours: one scale for each channel. docs/decisions.md has what one for each pixel is worth.

    Args:
        config: the model's config, of which `channels` is used.
    """

    title: ClassVar = "discretized logistic"
    values: ClassVar = 256

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((config.channels, 1, 1), START_LOG_SCALE))

    def forward(
        self,
        canvas: Float[Tensor, "batch channels rows columns"],
        images: Float[Tensor, "batch channels rows columns"],
    ) -> Float[Tensor, " batch"]:
        """Reconstruction loss L^x in nats, for 8-bit pixels."""
        return discretized_logistic_loss(canvas, images, self.log_scale)


LIKELIHOODS: dict[str, type[nn.Module]] = {
    "bernoulli": Bernoulli,
    "logistic": DiscretizedLogistic,
}
"""The likelihoods by their names in `DRAWConfig.likelihood`."""


def loss_of(
    likelihood: nn.Module,
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, " batch"]:
    """Reconstruction loss L^x in nats by a likelihood, which may be one of somebody's own.

    Args:
        likelihood: the model's likelihood.
        canvas: c_T in logits.
        images: images in [0, 1].

    Raises:
        DrawError: if the likelihood does not give one number for each image.
    """
    loss: Tensor = likelihood(canvas, images)
    if loss.shape != canvas.shape[:1]:
        raise DrawError(
            f"expected a loss for each of {len(canvas)} images from the likelihood "
            f"{type(likelihood).__name__}, got {list(loss.shape)}; sum over channels, rows and "
            "columns alone: .flatten(1).sum(1)"
        )
    return loss


def likelihood_of(config: DRAWConfig) -> Any:
    """Look up the class of the likelihood that a config names."""
    return part_of(LIKELIHOODS, "likelihood", config.likelihood)


def make_likelihood(config: DRAWConfig) -> nn.Module:
    """Build the likelihood that a config names."""
    return cast(nn.Module, likelihood_of(config)(config))


def has_bits(config: DRAWConfig) -> bool:
    """Whether a model's likelihood is one of 8-bit pixels, which have bits per dimension."""
    return bool(likelihood_of(config).values == 256)


def in_bits(config: DRAWConfig, nats: float | None) -> float | None:
    """Convert a bound from nats per image to bits per dimension, where that has a meaning.

    The result is None where there is no bound, and for pixels of two values: their nats are of 0s
    and 1s or a cross-entropy, and neither compares with those of 8-bit pixels.
    """
    if nats is None or not has_bits(config):
        return None
    channels, rows, columns = config.image_shape
    return bits_per_dimension(nats, channels * rows * columns)


def bounds_likelihood(config: DRAWConfig, binarization: Binarization) -> bool:
    """Whether a model's nats bound -log p(x); otherwise they are a cross-entropy.

    Args:
        config: the model's config.
        binarization: way in which the pixels that the model sees come to be 0 or 1.
    """
    return has_bits(config) or binarization != "none"


def meaning(config: DRAWConfig, binarization: Binarization) -> str:
    """Describe in words for people what the nats of a model measure.

    Args:
        config: the model's config.
        binarization: way in which the pixels that the model sees come to be 0 or 1.
    """
    title = likelihood_of(config).title
    if has_bits(config):
        return f"8-bit pixels, {title} likelihood: nats, and bits per dimension"
    if binarization == "static":
        return f"{title} likelihood, pixels are 0 or 1 (static)"
    if binarization == "dynamic":
        return f"{title} likelihood, pixels are drawn as 0 or 1 anew at each use (dynamic)"
    return f"{title} means, grey values: nats are a cross-entropy, no likelihood"


def check_pixels(config: DRAWConfig, binarization: Binarization, *, source: str) -> None:
    """Refuse images of two pixel values for a likelihood of 256 values.

    Args:
        config: the model's config.
        binarization: way in which the pixels that the model sees come to be 0 or 1.
        source: what the images are, for the message.

    Raises:
        DrawError: if the figures would mean nothing, with what to do.
    """
    if not has_bits(config) or binarization == "none":
        return
    if binarization == "dynamic":
        came, remedy = "pixels drawn as 0 or 1", "pass --data.binarize none, or "
    else:
        came, remedy = "images whose pixels are all 0 or 255", ""
    raise DrawError(
        f"expected images of 256 values for the {config.likelihood} likelihood, got {came} from "
        f"{source}: its bits per dimension would mean nothing; {remedy}train with "
        "--model.likelihood bernoulli"
    )
