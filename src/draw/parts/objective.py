"""The loss and what it bounds, in nats per image: eqs 9-12 and the importance-weighted estimate.

All of it is computed in float32 at least: in 16 bits hundreds of nats are whole numbers at best.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

from draw.errors import DrawError
from draw.parts.distribution import STANDARD_NORMAL, Gaussian
from draw.tensors import in_full

LOG_SCALE_BOUND = 20.0
"""Largest |log s| of the discretized logistic; larger ones have no further effect."""


def reconstruction_loss(
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, " batch"]:
    """Reconstruction loss L^x = -log D(x | c_T), D Bernoulli of means sigmoid(c_T) (eq 9), in nats.

    For pixels that are not 0 or 1 this is a cross-entropy, not a likelihood: never call it bits per
    dimension.
    """
    canvas, images = in_full(canvas), in_full(images)
    return binary_cross_entropy_with_logits(canvas, images, reduction="none").flatten(1).sum(1)


def discretized_logistic_loss(
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
    log_scale: Float[Tensor, "#channels #rows #columns"],
) -> Float[Tensor, " batch"]:
    """L^x = -log P(x | c_T) of 8-bit pixels under a discretized logistic distribution, in nats.

    With a pixel's value v = 255 x in {0 .. 255}, mean m = sigmoid(c_T), scale s and
    F(u) = 1 / (1 + exp((m - u) / s)),

        P(v) = F((v + 1/2) / 255) - F((v - 1/2) / 255),

    where v = 0 takes all that is below it and v = 255 all that is above: 256 probabilities whose
    sum is 1. Source: Kingma et al. 2016 (arXiv 1606.04934); the ends are those of Salimans et al.
    2017 (arXiv 1701.05517).

    It is computed as log F(upper edge) + log (1 - F(lower edge))
    + log (1 - exp(-1 / (255 s))), which is the logarithm of the difference with nothing cancelled.

    Args:
        canvas: c_T in logits, [batch, channels, rows, columns].
        images: x in [0, 1]; each pixel counts as the nearest of the 256 values v / 255.
        log_scale: log s in units of the whole range of a pixel, one for each channel, or what else
            broadcasts to an image. # ours: held within +-20, so that nothing overflows.
    """
    mean = in_full(canvas).sigmoid()
    s = in_full(log_scale).clamp(-LOG_SCALE_BOUND, LOG_SCALE_BOUND).exp()
    v = (255 * in_full(images)).round()
    log_below = logsigmoid(((v + 0.5) / 255 - mean) / s)
    log_above = logsigmoid((mean - (v - 0.5) / 255) / s)
    log_width = (-torch.expm1(-1 / (255 * s))).log()
    log_p = (
        log_below.where(v < 255, 0)
        + log_above.where(v > 0, 0)
        + log_width.where((v > 0) & (v < 255), 0)
    )
    return -log_p.flatten(1).sum(1)


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """Convert a bound in nats per image to bits for each of its rows x columns x channels numbers.

    The result has a meaning only where the bound is one on the likelihood of 8-bit pixels.
    """
    return nats / (math.log(2) * dimensions)


def kl_divergence(
    posterior: Gaussian, prior: Gaussian = STANDARD_NORMAL
) -> Float[Tensor, "*batch"]:
    """KL divergence KL(posterior || prior) summed over the latent variables, in nats (eqs 10-11).

    With mu, sigma of the posterior and mu_p, sigma_p of the prior it is the sum of

        ((mu - mu_p)^2 + sigma^2) / (2 sigma_p^2) - log (sigma / sigma_p) - 1/2,

    which for the paper's prior N(0, 1) is eq 10.

    Raises:
        DrawError: if the prior lacks a dimension, such as the batch.
    """
    if prior.mu.ndim not in (0, posterior.mu.ndim):
        raise DrawError(
            f"expected a prior of the posterior's dimensions, {list(posterior.mu.shape)}, got one "
            f"of {list(prior.mu.shape)}; let a prior give [batch, latent] at every step, such as "
            "mu + 0 * h_dec[:, :1]"
        )
    posterior, prior = _in_full(posterior), _in_full(prior)
    variance, prior_variance = (2 * posterior.log_sigma).exp(), (2 * prior.log_sigma).exp()
    scaled = ((posterior.mu - prior.mu).square() + variance) / prior_variance
    return (scaled - 2 * (posterior.log_sigma - prior.log_sigma) - 1).sum(-1) / 2


def log_prior_over_posterior(
    posterior: Gaussian,
    noise: Float[Tensor, "glimpses batch latent"],
    prior: Gaussian = STANDARD_NORMAL,
) -> Float[Tensor, " batch"]:
    """Log-ratio log p(z) / q(z | x) of one sample z = mu + sigma noise, in nats.

    Less the reconstruction loss it is log p(x, z) / q(z | x), the weight of that sample; its
    expectation over the noise is minus the bound of eq 12.

    Args:
        posterior: q(z | x) of all steps, each field [glimpses, batch, latent].
        noise: standard normal noise of the sample, [glimpses, batch, latent].
        prior: p(z) of all steps, each field [glimpses, batch, latent].
    """
    posterior, prior, noise = _in_full(posterior), _in_full(prior), in_full(noise)
    z = prior.noise_of(posterior.sample(noise))
    log_ratio = (noise.square() - z.square()) / 2 + (posterior.log_sigma - prior.log_sigma)
    return log_ratio.sum((0, 2))


def importance_weighted_estimate(
    log_weights: Float[Tensor, "samples batch"],
) -> Float[Tensor, " batch"]:
    """Importance-weighted estimate -log (1/K sum_k p(x, z_k) / q(z_k | x)) in nats.

    Source: Burda et al. 2015 (arXiv 1509.00519). In expectation it is an upper bound on -log p(x)
    that falls towards it as the number K of samples grows; with K = 1 its expectation is the bound
    of eq 12.

    Args:
        log_weights: log p(x, z_k) / q(z_k | x) of each sample, in nats, [samples, batch].
    """
    return math.log(len(log_weights)) - torch.logsumexp(log_weights, 0)


def _in_full(one: Gaussian) -> Gaussian:
    """A Gaussian in float32 at least."""
    return Gaussian(in_full(one.mu), in_full(one.log_sigma))
