"""Backward pass of the unroll, derived by hand: the paper's equations, the last one first.

The readable tier between autograd, which finds the same numbers, and the compiled kernels, which
find them faster and are this file in other words. `d_y` is the gradient of the loss with respect to
y. Of the forward pass it needs the states alone; all else is computed again from them, step by
step. A weight serves at every step: its gradient is one product over all steps and images, once the
sequence is through.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from draw.attention.cauchy import CauchySampler
from draw.attention.gaussian import GaussianAttention
from draw.attention.grid import GaussianSampler
from draw.attention.laplace import LaplaceSampler
from draw.attention.movable import WindowAttention
from draw.attention.rotated import RotatedSampler
from draw.attention.sampler import Sampler
from draw.attention.whole import NoAttention
from draw.errors import DrawError
from draw.kernels.attention_backward import read_backward, write_backward
from draw.kernels.contract import OUTSIDE_NAMES
from draw.kernels.products import Products
from draw.parts.distribution import Gaussian
from draw.parts.layers import LSTMCell
from draw.parts.objective import kl_divergence, log_prior_over_posterior
from draw.parts.priors.learned import LearnedPrior
from draw.parts.priors.standard import StandardPrior
from draw.parts.state import NOTHING, Context, State, UnrollOutput

if TYPE_CHECKING:
    from draw.model.draw import DRAW

PARTS = (
    GaussianAttention, WindowAttention, GaussianSampler, CauchySampler, LaplaceSampler,
    RotatedSampler, NoAttention, StandardPrior, LearnedPrior,
)  # fmt: skip
"""Parts of a DRAW whose gradients are derived here and in attention_backward.py."""


class Gradients(NamedTuple):
    """Gradients of all that a sequence is computed from."""

    images: Float[Tensor, "batch channels rows columns"]
    noise: Float[Tensor, "glimpses batch latent"]
    context: Context
    """Gradients of the addends to the gates, whether there were any or none."""
    parameters: dict[str, Tensor]
    """Gradients by the names of `named_parameters`, less those of likelihood and condition."""


class StepGradients(NamedTuple):
    """Gradients of all that a glimpse is computed from, less the parameters."""

    state: State
    """Gradient of the state before the step."""
    images: Float[Tensor, "batch channels rows columns"]
    noise: Float[Tensor, "batch latent"]
    gates: tuple[Float[Tensor, "batch 4*hidden"], Float[Tensor, "batch 4*hidden"]]
    """Gradients of the gates of encoder and decoder, and so of what is added to them."""


@torch.no_grad()
def unroll_backward(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context,
    states: State,
    d_canvas: Float[Tensor, "batch channels rows columns"],
    d_kl: Float[Tensor, "batch glimpses"],
    d_log_ratio: Float[Tensor, " batch"],
    unit_mask: Float[Tensor, "batch hidden"] | None = None,
) -> Gradients:
    """Gradients of all inputs of `DRAW.unroll`, given those of its three results.

    Args:
        model: DRAW, of which the parameters are used.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        states: the initial state and that after each step, each field [glimpses + 1, batch, ...].
        d_canvas: gradient of c_T.
        d_kl: gradient of the KL divergence of each step, [batch, glimpses].
        d_log_ratio: gradient of log p(z) / q(z | x), [batch].
        unit_mask: factors of h_dec, the same at all steps; None for none.
    """
    products = Products()
    rest = torch.zeros_like(states.h_enc[0])
    d_state = State(d_canvas, rest, rest, rest, rest)
    d_images, d_noise = torch.zeros_like(images), torch.empty_like(noise)
    d_context = rest.new_zeros(2, len(images), 4 * rest.shape[1])
    for t in reversed(range(len(noise))):
        before, after = (State(*(part[i] for part in states)) for i in (t, t + 1))
        step = step_backward(
            model, images, noise[t], context, before, after, d_state, d_kl[:, t], d_log_ratio,
            products, unit_mask,
        )  # fmt: skip
        d_state, d_noise[t] = step.state, step.noise
        d_images += step.images
        d_context += torch.stack(step.gates)  # what is told is added at every step
    starts = {f"{name}_0": d_start.sum(0) for name, d_start in d_state._asdict().items()}
    return Gradients(d_images, d_noise, Context(*d_context), starts | products.gradients())


def step_backward(
    model: "DRAW",
    x: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "batch latent"],
    context: Context,
    before: State,
    after: State,
    d_after: State,
    d_kl: Float[Tensor, " batch"],
    d_log_ratio: Float[Tensor, " batch"],
    products: Products,
    unit_mask: Float[Tensor, "batch hidden"] | None = None,
) -> StepGradients:
    """Gradients of one glimpse (eqs 1-8), the last equation first.

    Args:
        model: DRAW, of which the parameters are used.
        x: images, [batch, channels, rows, columns].
        noise: standard normal noise of the step, [batch, latent].
        context: conditioning of the drawings.
        before: state before the step.
        after: state after the step.
        d_after: gradient of the state after the step, from all later steps.
        d_kl: gradient of the step's KL divergence, [batch].
        d_log_ratio: gradient of log p(z) / q(z | x), [batch].
        products: record of the uses of every affine map, which is added to.
        unit_mask: factors of h_dec; None for none.
    """
    mu, log_sigma = model.mu(after.h_enc), model.log_sigma(after.h_enc)
    mu_p, log_sigma_p = model.prior(before.h_dec)
    z = mu + log_sigma.exp() * noise
    s = before.canvas.sigmoid()
    d_canvas = d_after.canvas
    # (8) c_t = c_{t-1} + write(h_dec_t)
    d_h_dec = d_after.h_dec + write_backward(model, after.h_dec, d_canvas, products)
    if unit_mask is not None:
        d_h_dec = d_h_dec * unit_mask
    # (7) h_dec_t = RNN_dec(h_dec_{t-1}, z_t)
    d_z, d_h_dec, d_c_dec, d_gates_dec = _lstm_backward(
        model.lstm_dec, "lstm_dec", z, before.h_dec, before.c_dec, context.dec, d_h_dec,
        d_after.c_dec, products,
    )  # fmt: skip
    # (6), (10) and log p(z) / q(z | x)
    d_noise, d_posterior, d_prior = code_backward(
        noise, Gaussian(mu, log_sigma), Gaussian(mu_p, log_sigma_p), d_z, d_kl, d_log_ratio
    )
    # the prior is made of h_dec_{t-1}
    d_h_dec = d_h_dec + _prior_backward(model.prior, before.h_dec, d_prior, products)
    # (1-2) mu and log sigma, affine maps of h_enc_t
    d_mu, d_log_sigma = d_posterior
    d_h_enc = d_after.h_enc + d_mu @ model.mu.weight + d_log_sigma @ model.log_sigma.weight
    products.add("mu", after.h_enc, d_mu)
    products.add("log_sigma", after.h_enc, d_log_sigma)
    # (5) h_enc_t = RNN_enc(h_enc_{t-1}, [r_t, h_dec_{t-1}])
    r, _ = model.attention.read(x, x - s, before.h_dec)
    seen = torch.cat([r, before.h_dec], -1)
    d_seen, d_h_enc, d_c_enc, d_gates_enc = _lstm_backward(
        model.lstm_enc, "lstm_enc", seen, before.h_enc, before.c_enc, context.enc, d_h_enc,
        d_after.c_enc, products,
    )  # fmt: skip
    d_r = d_seen[:, : r.shape[1]]
    d_h_dec = d_h_dec + d_seen[:, r.shape[1] :]
    # (4) r_t = read(x, x_hat, h_dec_{t-1})
    d_x, d_x_hat, d_from_read = read_backward(model, x, x - s, before.h_dec, d_r, products)
    # (3) x_hat = x - sigmoid(c_{t-1})
    d_canvas = d_canvas - s * (1 - s) * d_x_hat
    d_before = State(d_canvas, d_h_enc, d_c_enc, d_h_dec + d_from_read, d_c_dec)
    return StepGradients(d_before, d_x + d_x_hat, d_noise, (d_gates_enc, d_gates_dec))


def code_backward(
    noise: Float[Tensor, "batch latent"],
    posterior: Gaussian,
    prior: Gaussian,
    d_z: Float[Tensor, "batch latent"],
    d_kl: Float[Tensor, " batch"],
    d_log_ratio: Float[Tensor, " batch"],
) -> tuple[Float[Tensor, "batch latent"], Gaussian, Gaussian]:
    """Gradients of noise, posterior and prior of a step through z, KL and log-ratio (eqs 6, 10).

    Args:
        noise: standard normal noise of the step, [batch, latent].
        posterior: q(z_t | x).
        prior: P(z_t).
        d_z: gradient of z_t.
        d_kl: gradient of the step's KL divergence, [batch].
        d_log_ratio: gradient of log p(z_t) / q(z_t | x), [batch].
    """
    (mu, log_sigma), (mu_p, log_sigma_p) = posterior, prior
    sigma, sigma_p = log_sigma.exp(), log_sigma_p.exp()
    z = mu + sigma * noise
    # log p(z) / q(z | x) = (noise^2 - y^2) / 2 + log (sigma / sigma_p), y = (z - mu_p) / sigma_p
    d_ratio, y = d_log_ratio[:, None], (z - mu_p) / sigma_p
    d_y = -d_ratio * y
    d_z = d_z + d_y / sigma_p
    d_mu_p, d_log_sigma_p = -d_y / sigma_p, -d_y * y - d_ratio
    # (6) z = mu + sigma noise
    d_noise = d_z * sigma + d_ratio * noise
    d_mu, d_log_sigma = d_z, d_z * sigma * noise + d_ratio
    # (10) KL = (v^2 + w^2 - 1) / 2 - log w, with v = (mu - mu_p) / sigma_p, w = sigma / sigma_p
    d, v, w = d_kl[:, None], (mu - mu_p) / sigma_p, sigma / sigma_p
    d_mu, d_mu_p = d_mu + d * v / sigma_p, d_mu_p - d * v / sigma_p
    d_log_sigma = d_log_sigma + d * (w.square() - 1)
    d_log_sigma_p = d_log_sigma_p - d * (v.square() + w.square() - 1)
    return d_noise, Gaussian(d_mu, d_log_sigma), Gaussian(d_mu_p, d_log_sigma_p)


def _prior_backward(prior: Any, h_dec: Tensor, d_prior: Gaussian, products: Products) -> Tensor:
    """Gradient of h_dec_{t-1} through the prior; the standard one is made of nothing."""
    if isinstance(prior, StandardPrior):
        return torch.zeros_like(h_dec)
    # mu_p and log sigma_p, affine maps of h_dec_{t-1}
    d_mu, d_log_sigma = d_prior
    products.add("prior.mu", h_dec, d_mu)
    products.add("prior.log_sigma", h_dec, d_log_sigma)
    d_h_dec: Tensor = d_mu @ prior.mu.weight + d_log_sigma @ prior.log_sigma.weight
    return d_h_dec


def _lstm_backward(
    lstm: LSTMCell,
    name: str,
    operand: Tensor,
    h: Tensor,
    c: Tensor,
    context: Tensor | None,
    d_h_next: Tensor,
    d_c_next: Tensor,
    products: Products,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of an LSTM's operand, of h and c before it, and of its gates, computed again."""
    gates = operand @ lstm.weight_ih.mT + lstm.bias_ih + h @ lstm.weight_hh.mT + lstm.bias_hh
    if context is not None:
        gates = gates + context
    d_gates, d_c = cell_backward(gates, c, d_h_next, d_c_next)
    products.add(name, operand, d_gates, "_ih")
    products.add(name, h, d_gates, "_hh")
    return d_gates @ lstm.weight_ih, d_gates @ lstm.weight_hh, d_c, d_gates


def cell_backward(
    gates: Float[Tensor, "batch gates"],
    c: Float[Tensor, "batch hidden"],
    d_h_next: Float[Tensor, "batch hidden"],
    d_c_next: Float[Tensor, "batch hidden"],
) -> tuple[Float[Tensor, "batch gates"], Float[Tensor, "batch hidden"]]:
    """Gradients of an LSTM's gates, before their nonlinearities, and of c before it.

    Args:
        gates: gates before their nonlinearities, [batch, 4 hidden].
        c: cell state before the step.
        d_h_next: gradient of the output after the step.
        d_c_next: gradient of the cell state after the step.
    """
    i, f, g, o = gates.chunk(4, -1)
    i, f, g, o = i.sigmoid(), f.sigmoid(), g.tanh(), o.sigmoid()
    tanh_c = (f * c + i * g).tanh()
    # h' = o tanh(c')
    d_c_next = d_c_next + d_h_next * o * (1 - tanh_c.square())
    # c' = f c + i g, and through the nonlinearities to what they were given
    d_gates = torch.cat(
        [
            d_c_next * g * i * (1 - i),
            d_c_next * c * f * (1 - f),
            d_c_next * i * (1 - g.square()),
            d_h_next * tanh_c * o * (1 - o),
        ],
        -1,
    )
    return d_gates, d_c_next * f


class _Unroll(torch.autograd.Function):
    """The loop, with the gradient above."""

    @staticmethod
    def forward(
        ctx: Any,
        model: "DRAW",
        names: list[str],
        images: Tensor,
        noise: Tensor,
        context_enc: Tensor | None,
        context_dec: Tensor | None,
        unit_mask: Tensor | None,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        context = Context(context_enc, context_dec)
        state = model.initial_state(len(images))
        states, steps = [state], []
        for noise_t in noise:
            state, step = model.step(images, noise_t, state, context, unit_mask=unit_mask)
            states.append(state)
            steps.append(step)
        kept = State(*(torch.stack(part) for part in zip(*states, strict=True)))
        posterior = Gaussian.stack([step.posterior for step in steps])
        prior = Gaussian.stack([step.prior for step in steps])
        ctx.model, ctx.names = model, names
        ctx.save_for_backward(images, noise, *context, unit_mask, *kept, *parameters)
        kl = kl_divergence(posterior, prior).mT.contiguous()
        return state.canvas.clone(), kl, log_prior_over_posterior(posterior, noise, prior)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *d_results: Tensor) -> tuple[Tensor | None, ...]:
        images, noise, context_enc, context_dec, unit_mask, *rest = ctx.saved_tensors
        context, states = (
            Context(context_enc, context_dec),
            State(*rest[: len(State._fields)]),
        )
        d_canvas, d_kl, d_log_ratio = d_results
        found = unroll_backward(
            ctx.model, images, noise, context, states, d_canvas, d_kl, d_log_ratio, unit_mask
        )
        of_context = (
            None if t is None else d_t for t, d_t in zip(context, found.context, strict=True)
        )
        of_parameters = [found.parameters[name] for name in ctx.names]
        return None, None, found.images, found.noise, *of_context, None, *of_parameters


def unroll(
    model: "DRAW",
    images: Float[Tensor, "batch channels rows columns"],
    noise: Float[Tensor, "glimpses batch latent"],
    context: Context = NOTHING,
    unit_mask: Float[Tensor, "batch hidden"] | None = None,
) -> UnrollOutput:
    """Compute `DRAW.unroll` with the gradient that is derived here.

    Args:
        model: DRAW as it is, without autocast.
        images: images, [batch, channels, rows, columns], in [0, 1].
        noise: standard normal noise, [glimpses, batch, latent].
        context: conditioning of the drawings.
        unit_mask: factors of h_dec, the same at all steps; they have no gradient.

    Raises:
        DrawError: if the model has an attention, windows or a prior whose gradient is not derived
            here.
    """
    samplers = [part for part in model.modules() if isinstance(part, Sampler)]
    for part in (model.attention, *samplers, model.prior):
        if type(part) not in PARTS:
            names = ", ".join(kind.__name__ for kind in PARTS)
            raise DrawError(
                f"expected a model made of {names}, got {type(part).__name__}; its gradient is "
                "autograd's, of DRAW.unroll"
            )
    parameters = {
        name: parameter
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not name.startswith(OUTSIDE_NAMES)
    }
    found = _Unroll.apply(  # type: ignore[no-untyped-call]
        model, list(parameters), images, noise, *context, unit_mask, *parameters.values()
    )
    return UnrollOutput(*found)
