"""Eqs 9-12 and the importance-weighted estimate."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import oracle
from draw.parts.distribution import Gaussian
from draw.parts.objective import (
    discretized_logistic_loss,
    importance_weighted_estimate,
    kl_divergence,
    log_prior_over_posterior,
    reconstruction_loss,
)

log_weights = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.floats(-1e4, 1e4)
)


# Eq 9


def test_reconstruction_loss_is_the_papers():
    canvas = 3 * torch.randn(4, 3, 3, 2, dtype=torch.float64)
    images = torch.rand(4, 3, 3, 2, dtype=torch.float64).round(decimals=1)
    papers = [
        oracle.reconstruction_loss(x, c)
        for x, c in zip(images.numpy(), canvas.numpy(), strict=True)
    ]
    ours = reconstruction_loss(canvas, images)
    torch.testing.assert_close(ours, torch.tensor(papers, dtype=torch.float64))


def test_reconstruction_loss_of_an_empty_canvas_is_log_2_a_pixel():
    loss = reconstruction_loss(torch.zeros(2, 3, 4, 5), torch.rand(2, 3, 4, 5))
    torch.testing.assert_close(loss, torch.full((2,), 60 * math.log(2)))


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_reconstruction_loss_of_extreme_canvases(logit):
    canvas = torch.full((1, 1, 1, 2), logit, requires_grad=True)
    right, wrong = float(logit > 0), float(logit < 0)
    loss = reconstruction_loss(canvas, torch.tensor([[[[right, wrong]]]]))
    torch.testing.assert_close(loss, torch.tensor([1e4]))
    (gradient,) = torch.autograd.grad(loss.sum(), canvas)
    torch.testing.assert_close(gradient.flatten(), torch.tensor([0.0, right - wrong]))


# Eqs 10-11


@given(
    arrays(np.float64, (2, 3, 4), elements=st.floats(-30, 30)),
    arrays(np.float64, (2, 3, 4), elements=st.floats(-10, 3)),
)
def test_kl_is_the_papers_and_not_negative(mu, log_sigma):
    ours = kl_divergence(Gaussian(torch.from_numpy(mu), torch.from_numpy(log_sigma)))
    assert (ours >= -1e-12).all()
    for place in np.ndindex(2, 3):
        papers = oracle.kl(mu[place].tolist(), np.exp(log_sigma[place]).tolist())
        assert ours[place].item() == pytest.approx(papers, rel=1e-10, abs=1e-12)


def test_kl_is_torchs():
    mu, log_sigma = torch.randn(2, 5, 4, dtype=torch.float64)
    normal = torch.distributions.Normal
    theirs = torch.distributions.kl_divergence(normal(mu, log_sigma.exp()), normal(0.0, 1.0))
    torch.testing.assert_close(kl_divergence(Gaussian(mu, log_sigma)), theirs.sum(-1))


def test_kl_is_least_and_zero_at_the_prior():
    mu, log_sigma = torch.zeros(2, 64, 100, requires_grad=True)
    kl = kl_divergence(Gaussian(mu, log_sigma))
    assert torch.equal(kl, torch.zeros(64))
    for gradient in torch.autograd.grad(kl.sum(), (mu, log_sigma)):
        assert torch.equal(gradient, torch.zeros(64, 100))
    for nearby in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1)):
        assert kl_divergence(Gaussian(mu + nearby[0], log_sigma + nearby[1])).min() > 0.4


# The importance weight


def test_prior_and_posterior_weigh_the_same_where_they_are_the_same():
    noise, zeros = torch.randn(3, 2, 4), torch.zeros(3, 2, 4)
    ratio = log_prior_over_posterior(Gaussian(zeros, zeros), noise)
    torch.testing.assert_close(ratio, torch.zeros(2), rtol=1e-5, atol=1e-5)


def test_log_prior_over_posterior_is_in_the_mean_minus_the_kl():
    """The mean of 40,000 samples lies within 4 standard errors of the analytic KL."""
    samples, steps, latent = 40_000, 3, 2
    mu = torch.randn(steps, 1, latent, dtype=torch.float64)
    log_sigma = 0.5 * torch.randn(steps, 1, latent, dtype=torch.float64)
    noise = torch.randn(steps, samples, latent, dtype=torch.float64)
    weights = log_prior_over_posterior(
        Gaussian(mu.expand_as(noise), log_sigma.expand_as(noise)), noise
    )
    expected = -kl_divergence(Gaussian(mu, log_sigma)).sum()
    standard_error = weights.std() / math.sqrt(samples)
    assert expected < -1
    assert standard_error < 0.02
    assert abs(weights.mean() - expected) < 4 * standard_error


# The estimate


@given(log_weights)
def test_estimate_of_one_sample_is_minus_its_weight(weights):
    first = torch.from_numpy(weights[:1])
    torch.testing.assert_close(importance_weighted_estimate(first), -first[0])


@given(log_weights)
def test_estimate_is_never_above_the_mean_bound_of_its_samples(weights):
    """Jensen: what holds in expectation over samples holds for each set of them."""
    weights = torch.from_numpy(weights)
    estimate = importance_weighted_estimate(weights)
    assert (estimate <= -weights.mean(0) + 1e-9 * (1 + weights.abs().max())).all()


@given(log_weights)
def test_estimate_falls_as_samples_are_added(weights):
    """No larger than the mean estimate of the sets that leave one sample out (Burda et al.)."""
    weights = torch.from_numpy(weights)
    if len(weights) == 1:
        weights = weights.repeat(2, 1)
    without_one = [
        importance_weighted_estimate(torch.cat([weights[:k], weights[k + 1 :]]))
        for k in range(len(weights))
    ]
    slack = 1e-9 * (1 + weights.abs().max())
    estimate = importance_weighted_estimate(weights)
    assert (estimate <= torch.stack(without_one).mean(0) + slack).all()


@given(log_weights)
def test_estimate_is_the_logarithm_of_the_mean_weight(weights):
    ours = importance_weighted_estimate(torch.from_numpy(weights))
    for n, column in enumerate(weights.T):
        peak = max(column)
        mean = sum(math.exp(w - peak) for w in column) / len(column)
        assert ours[n].item() == pytest.approx(-(peak + math.log(mean)), rel=1e-12, abs=1e-9)


# The whole: a model so small that p(x) can be had by quadrature


@pytest.fixture(scope="module")
def tiny(random_model):
    return random_model(
        seed=3, rows=3, columns=3, glimpses=2, hidden_size=3, latent_size=1, write_size=2
    )


@pytest.fixture(scope="module")
def image(tiny, random_batch):
    return random_batch(tiny, batch=1, seed=5)[0].round()


@pytest.fixture(scope="module")
def quadrature():
    """Gauss-Hermite nodes [glimpses, nodes, latent] for two numbers, and their probabilities."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    nodes, weights = torch.from_numpy(nodes), torch.from_numpy(weights / weights.sum())
    return torch.cartesian_prod(nodes, nodes).T[..., None], torch.outer(weights, weights).flatten()


@pytest.fixture(scope="module")
def log_likelihood(tiny, image, quadrature):
    """log p(x): D(x | c_T) averaged over the prior of z."""
    z, probability = quadrature
    canvas = tiny.generate(len(probability), noise=z).canvases[-1]
    log_D = -reconstruction_loss(canvas, image.expand_as(canvas))
    return torch.logsumexp(log_D + probability.log(), 0)


def test_weights_average_to_the_likelihood(tiny, image, quadrature, log_likelihood):
    noise, probability = quadrature
    out = tiny(image.expand(len(probability), -1, -1, -1), noise)
    average = torch.logsumexp(out.log_weight + probability.log(), 0)
    torch.testing.assert_close(average, log_likelihood, rtol=0, atol=1e-5)  # the quadrature's error


def test_bound_and_weight_agree_in_expectation(tiny, image, quadrature, log_likelihood):
    noise, probability = quadrature
    out = tiny(image.expand(len(probability), -1, -1, -1), noise)
    bound = (probability * out.bound).sum()
    torch.testing.assert_close((probability * -out.log_weight).sum(), bound, rtol=0, atol=1e-8)
    assert bound > -log_likelihood + 0.05


def test_estimate_falls_from_the_bound_to_the_likelihood(tiny, image, quadrature, log_likelihood):
    repeats, K = 400, 30
    noise = torch.randn(2, repeats * K, 1, dtype=torch.float64)
    with torch.no_grad():
        out = tiny(image.expand(repeats * K, -1, -1, -1), noise)
    mean, error = [], []
    for k in (1, 3, 30):
        sets = out.log_weight[: repeats * k].unflatten(0, (k, repeats))
        estimates = importance_weighted_estimate(sets)
        mean.append(estimates.mean())
        error.append(estimates.std() / math.sqrt(repeats))
    for k in range(2):
        assert mean[k] > mean[k + 1]
    assert mean[-1] > -log_likelihood - 4 * error[-1]
    assert mean[-1] < -log_likelihood + 0.1
    exact_bound = (quadrature[1] * tiny(image.expand(1600, -1, -1, -1), quadrature[0]).bound).sum()
    assert abs(mean[0] - exact_bound) < 4 * error[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_precision_are_computed_in_full(dtype):
    """Of the very same numbers in double precision; in 16 bits 500 nats would be 500 or 504."""
    canvas, images = torch.randn(3, 1, 28, 28).to(dtype), torch.rand(3, 1, 28, 28).to(dtype)
    noise, *numbers = torch.randn(5, 2, 3, 7).to(dtype)

    def losses(*of):
        canvas, images, noise, *numbers = of
        q, p = Gaussian(*numbers[:2]), Gaussian(*numbers[2:])
        return (
            reconstruction_loss(canvas, images),
            discretized_logistic_loss(canvas, images, torch.full((1, 1, 1), -2.0)),
            kl_divergence(q, p),
            kl_divergence(q),
            log_prior_over_posterior(q, noise, p),
        )

    given = canvas, images, noise, *(0.1 * one for one in numbers)
    for ours, exact in zip(losses(*given), losses(*(one.double() for one in given)), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), exact, rtol=1e-5, atol=1e-5)
