"""The loss and what it bounds, in nats per image: eqs 9-12 and the importance-weighted estimate."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def reconstruction_loss(
    canvas: Float[Tensor, "batch channels rows columns"],
    images: Float[Tensor, "batch channels rows columns"],
) -> Float[Tensor, " batch"]:
    """L^x = -log D(x | c_T), D independent Bernoullis with means sigmoid(c_T) (eq 9), in nats.

    For pixels that are not 0 or 1 this is a cross-entropy, not a likelihood: never call it bits
    per dimension.
    """
    return binary_cross_entropy_with_logits(canvas, images, reduction="none").flatten(1).sum(1)


def kl_divergence(
    mu: Float[Tensor, "*batch latent"], log_sigma: Float[Tensor, "*batch latent"]
) -> Float[Tensor, "*batch"]:
    """KL(N(mu, sigma^2) || N(0, 1)) summed over the latent variables, in nats (eqs 10-11)."""
    return (mu.square() + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(-1) / 2


def log_prior_over_posterior(
    mu: Float[Tensor, "glimpses batch latent"],
    log_sigma: Float[Tensor, "glimpses batch latent"],
    noise: Float[Tensor, "glimpses batch latent"],
) -> Float[Tensor, " batch"]:
    """Log-ratio log p(z) / q(z | x) of one sample z = mu + sigma noise, in nats.

    Less the reconstruction loss it is log p(x, z) / q(z | x), the weight of that sample; its
    expectation over the noise is minus the bound of eq 12.
    """
    z = mu + log_sigma.exp() * noise
    return ((noise.square() - z.square()) / 2 + log_sigma).sum((0, 2))


def importance_weighted_estimate(
    log_weights: Float[Tensor, "samples batch"],
) -> Float[Tensor, " batch"]:
    """-log (1/K sum_k p(x, z_k) / q(z_k | x)) in nats (Burda et al. 2015).

    In expectation an upper bound on -log p(x) that falls towards it as the samples K grow; with
    K = 1 its expectation is the bound of eq 12.
    """
    return math.log(len(log_weights)) - torch.logsumexp(log_weights, 0)
