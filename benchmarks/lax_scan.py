"""The loop that a user of JAX would write: the bound as a `lax.scan` under `jit`, for comparison.

It computes the same bound as `benchmarks.eager` from the same parameters
(tests/test_benchmarks.py). `python -m benchmarks.train_step --ways eager cpp jax` times it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor

from draw.config.model import DRAWConfig

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError("expected JAX for this comparison, found none: pip install jax") from error

Arrays = dict[str, jax.Array]
Affine = Callable[[str, jax.Array], jax.Array]


def to_jax(tensors: Mapping[str, Tensor]) -> Arrays:
    """The same numbers in JAX."""
    return {name: array(tensor) for name, tensor in tensors.items()}


def array(tensor: Tensor) -> jax.Array:
    """The same numbers in JAX, on the same kind of device."""
    (device, *_) = jax.devices(tensor.device.type)
    return jax.device_put(tensor.detach().cpu().numpy(), device)


def bound(
    parameters: Arrays, x: jax.Array, noise: jax.Array, config: DRAWConfig, precision: str
) -> jax.Array:
    """The bound of each image, in nats; bf16 rounds the operands of the affine maps alone."""
    dtype = jnp.bfloat16 if precision == "bf16" else jnp.float32

    def product(weight: str, value: jax.Array) -> jax.Array:
        return (value.astype(dtype) @ parameters[weight].T.astype(dtype)).astype(jnp.float32)

    def affine(name: str, value: jax.Array) -> jax.Array:
        return product(f"{name}.weight", value) + parameters[f"{name}.bias"]

    def lstm(
        name: str, value: jax.Array, h: jax.Array, c: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        gates = product(f"{name}.weight_ih", value) + product(f"{name}.weight_hh", h)
        gates = gates + parameters[f"{name}.bias_ih"] + parameters[f"{name}.bias_hh"]
        i, f, g, o = jnp.split(gates, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def step(state: tuple[jax.Array, ...], eps: jax.Array) -> tuple[tuple[jax.Array, ...], Any]:
        canvas, h_enc, c_enc, h_dec, c_dec = state
        x_hat = x - jax.nn.sigmoid(canvas)
        r = read(affine, config, jnp.concatenate([x, x_hat], 1), h_dec)
        h_enc, c_enc = lstm("lstm_enc", jnp.concatenate([r, h_dec], 1), h_enc, c_enc)
        mu, log_sigma = affine("mu", h_enc), affine("log_sigma", h_enc)
        z = mu + jnp.exp(log_sigma) * eps
        h_dec, c_dec = lstm("lstm_dec", z, h_dec, c_dec)
        canvas = canvas + write(affine, config, h_dec)
        kl = 0.5 * (mu**2 + jnp.exp(2 * log_sigma) - 2 * log_sigma - 1).sum(1)
        return (canvas, h_enc, c_enc, h_dec, c_dec), kl

    names = ("canvas_0", "h_enc_0", "c_enc_0", "h_dec_0", "c_dec_0")
    start = tuple(
        jnp.broadcast_to(parameters[name], (len(x), *parameters[name].shape)) for name in names
    )
    (canvas, *_), kl = jax.lax.scan(step, start, noise)
    loss = (jax.nn.softplus(canvas) - x * canvas).reshape(len(x), -1).sum(1)
    return loss + kl.sum(0)


def read(affine: Affine, config: DRAWConfig, both: jax.Array, h_dec: jax.Array) -> jax.Array:
    """What the encoder sees of the image and of the error image."""
    batch = len(both)
    if config.attention == "none":
        return both.reshape(batch, -1)
    F_y, F_x, gamma = filters(affine("attention.read_window", h_dec), config, config.read_size)
    r = F_y[:, None] @ both @ F_x[:, None].mT
    return (gamma[:, None, None, None] * r).reshape(batch, -1)


def write(affine: Affine, config: DRAWConfig, h_dec: jax.Array) -> jax.Array:
    """What the decoder adds to the canvas."""
    batch, size = len(h_dec), config.write_size
    w = affine("attention.write_content", h_dec)
    if config.attention == "none":
        return w.reshape(batch, *config.image_shape)
    F_y, F_x, gamma = filters(affine("attention.write_window", h_dec), config, size)
    w = w.reshape(batch, config.channels, size, size)
    return (F_y[:, None].mT @ w @ F_x[:, None]) / gamma[:, None, None, None]


def filters(
    controls: jax.Array, config: DRAWConfig, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """F_Y, F_X and gamma of a window."""
    g_x, g_y, log_sigma2, log_delta, log_gamma = controls.T
    delta = (max(config.rows, config.columns) - 1) / max(size - 1, 1) * jnp.exp(log_delta)
    offset = jnp.arange(1, size + 1) - size / 2 - 0.5

    def bank(g: jax.Array, length: int) -> jax.Array:
        mu = ((length + 1) / 2 * (g + 1))[:, None] + offset * delta[:, None]
        squares = (jnp.arange(1, length + 1) - mu[:, :, None]) ** 2
        weights = jnp.exp(-squares / (2 * jnp.exp(log_sigma2)[:, None, None]))
        return weights / (weights.sum(2, keepdims=True) + 1e-8)

    return bank(g_y, config.rows), bank(g_x, config.columns), jnp.exp(log_gamma)


def update(
    state: tuple[Arrays, Arrays, Arrays, jax.Array], gradients: Arrays
) -> tuple[Arrays, Arrays, Arrays, jax.Array]:
    """Clipping and Adam; the state is parameters, both averages and the number of updates."""
    parameters, mean, square, count = state
    norm = jnp.sqrt(sum((g**2).sum() for g in gradients.values()))
    gradients = jax.tree.map(lambda g: g * jnp.minimum(1.0, 100.0 / norm), gradients)
    count = count + 1
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, gradients)
    square = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g**2, square, gradients)
    rate, root = 1e-4 / (1 - 0.9**count), 1 / jnp.sqrt(1 - 0.999**count)
    parameters = jax.tree.map(
        lambda p, m, s: p - rate * m / (root * jnp.sqrt(s) + 1e-8), parameters, mean, square
    )
    return parameters, mean, square, count


def training_step(
    weights: Mapping[str, Tensor], config: DRAWConfig, precision: str, x: Tensor, noise: Tensor
) -> Callable[[], None]:
    """A function that makes one update of a model and waits for it."""
    parameters = to_jax(weights)
    images, eps = array(x), array(noise)
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = parameters, zeros, zeros, jnp.zeros(())
    loss_of = partial(bound, config=config, precision=precision)

    def update_once(
        state: tuple[Arrays, Arrays, Arrays, jax.Array], x: jax.Array, noise: jax.Array
    ) -> tuple[Arrays, Arrays, Arrays, jax.Array]:
        _, gradients = jax.value_and_grad(lambda p: loss_of(p, x, noise).mean())(state[0])
        return update(state, gradients)

    compiled = jax.jit(update_once)

    def step() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(state, images, eps))

    return step
