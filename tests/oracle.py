"""The paper in plain loops, float64, one image at a time: the tests' independent second opinion.

Written from the equations of Gregor et al. (2015) alone; it shares no code with `draw` and knows
nothing of tensors. Every loop counts from 1, as the paper's indices do, so storage is addressed as
`array[i - 1]`. An image is an array of channels x B rows x A columns.

Three things are storage conventions and not the paper's: the four gates of an LSTM lie one below
another in the order i, f, g, o, with two bias vectors that are added (as torch stores them); the
window's affine map gives g~_X, g~_Y, log sigma^2, log delta~, log gamma in this order; patches and
images are laid out channel by channel, row by row, x before x_hat.
"""

from dataclasses import dataclass
from math import exp, log, log1p, pi, tanh

import numpy as np

Parameters = dict[str, np.ndarray]


@dataclass(frozen=True)
class Window:
    """Centre and stride in pixels, isotropic variance in pixels squared, intensity."""

    g_x: float
    g_y: float
    variance: float
    delta: float
    gamma: float


@dataclass(frozen=True)
class State:
    """What one step hands to the next."""

    canvas: np.ndarray
    h_enc: list[float]
    c_enc: list[float]
    h_dec: list[float]
    c_dec: list[float]


@dataclass(frozen=True)
class Step:
    """All that a step computes, named as in eqs 3-8."""

    x_hat: np.ndarray
    r: list[float]
    mu: list[float]
    sigma: list[float]
    z: list[float]
    kl: float
    state: State
    read_window: Window | None
    write_window: Window | None


@dataclass(frozen=True)
class Bound:
    """Eqs 9-12 for one image and one sample of z, in nats."""

    canvas: np.ndarray
    reconstruction: float
    kl: list[float]
    bound: float
    log_weight: float
    steps: list[Step]


@dataclass(frozen=True)
class Drawing:
    """Eqs 13-16: the canvas after every step, and the last one's Bernoulli means."""

    canvases: list[np.ndarray]
    write_windows: list[Window | None]
    means: np.ndarray


def sigmoid(v: float) -> float:
    return 1 / (1 + exp(-v)) if v >= 0 else exp(v) / (1 + exp(v))


def log_sigmoid(v: float) -> float:
    return -log1p(exp(-v)) if v >= 0 else v - log1p(exp(v))


def affine(weight: np.ndarray, bias: np.ndarray, v: list[float]) -> list[float]:
    """L(v), the paper's affine map."""
    out = []
    for row in range(1, weight.shape[0] + 1):
        total = float(bias[row - 1])
        for column in range(1, weight.shape[1] + 1):
            total += float(weight[row - 1, column - 1]) * v[column - 1]
        out.append(total)
    return out


def affine_named(p: Parameters, name: str, v: list[float]) -> list[float]:
    return affine(p[name + ".weight"], p[name + ".bias"], v)


# Attention


def window(controls: list[float], A: int, B: int, N: int) -> Window:
    """Eqs 21-24. For N = 1 the stride is not defined; it has no effect on eqs 19-20 either."""
    g_tilde_x, g_tilde_y, log_variance, log_delta, log_gamma = controls
    return Window(
        g_x=(A + 1) / 2 * (g_tilde_x + 1),
        g_y=(B + 1) / 2 * (g_tilde_y + 1),
        variance=exp(log_variance),
        delta=(max(A, B) - 1) / (N - 1) * exp(log_delta) if N > 1 else 0.0,
        gamma=exp(log_gamma),
    )


def filterbank(g: float, delta: float, variance: float, N: int, pixels: int) -> np.ndarray:
    """Eqs 19 and 25 (or 20 and 26): N filters over `pixels` pixels.

    Numerator and Z are multiplied by the same exp(nearest / (2 sigma^2)), lest both be 0 in
    floating point where the window is far off the image.
    """
    F = np.zeros((N, pixels))
    for i in range(1, N + 1):
        mu = g + (i - N / 2 - 0.5) * delta
        nearest = min((a - mu) ** 2 for a in range(1, pixels + 1))
        Z = 0.0
        for a in range(1, pixels + 1):
            Z += exp(-((a - mu) ** 2 - nearest) / (2 * variance))
        for a in range(1, pixels + 1):
            F[i - 1, a - 1] = exp(-((a - mu) ** 2 - nearest) / (2 * variance)) / Z
    return F


def filterbanks(w: Window, A: int, B: int, N: int) -> tuple[np.ndarray, np.ndarray]:
    """F_X and F_Y."""
    F_x = filterbank(w.g_x, w.delta, w.variance, N, A)
    F_y = filterbank(w.g_y, w.delta, w.variance, N, B)
    return F_x, F_y


def read_patch(image: np.ndarray, w: Window, N: int) -> np.ndarray:
    """One term of eq 27: gamma F_Y x F_X^T, for each channel."""
    channels, B, A = image.shape
    F_x, F_y = filterbanks(w, A, B, N)
    patch = np.zeros((channels, N, N))
    for k in range(1, channels + 1):
        for j in range(1, N + 1):
            for i in range(1, N + 1):
                total = 0.0
                for b in range(1, B + 1):
                    for a in range(1, A + 1):
                        total += F_y[j - 1, b - 1] * image[k - 1, b - 1, a - 1] * F_x[i - 1, a - 1]
                patch[k - 1, j - 1, i - 1] = w.gamma * total
    return patch


def write_patch(patch: np.ndarray, w: Window, A: int, B: int) -> np.ndarray:
    """Eq 29: (1 / gamma) F_Y^T w F_X, for each channel."""
    channels, N, _ = patch.shape
    F_x, F_y = filterbanks(w, A, B, N)
    image = np.zeros((channels, B, A))
    for k in range(1, channels + 1):
        for b in range(1, B + 1):
            for a in range(1, A + 1):
                total = 0.0
                for j in range(1, N + 1):
                    for i in range(1, N + 1):
                        total += F_y[j - 1, b - 1] * patch[k - 1, j - 1, i - 1] * F_x[i - 1, a - 1]
                image[k - 1, b - 1, a - 1] = total / w.gamma
    return image


def has_attention(p: Parameters) -> bool:
    return "attention.read_window.weight" in p


def flat(array: np.ndarray) -> list[float]:
    return [float(v) for v in array.reshape(-1)]


def read(
    p: Parameters, x: np.ndarray, x_hat: np.ndarray, h_dec: list[float], N: int
) -> tuple[list[float], Window | None]:
    """Eq 27, or eq 17 without attention."""
    if not has_attention(p):
        return flat(x) + flat(x_hat), None
    _, B, A = x.shape
    w = window(affine_named(p, "attention.read_window", h_dec), A, B, N)
    return flat(read_patch(x, w, N)) + flat(read_patch(x_hat, w, N)), w


def write(
    p: Parameters, h_dec: list[float], shape: tuple[int, int, int], N: int
) -> tuple[np.ndarray, Window | None]:
    """Eqs 28-29, or eq 18 without attention."""
    channels, B, A = shape
    content = np.array(affine_named(p, "attention.write_content", h_dec))
    if not has_attention(p):
        return content.reshape(shape), None
    w = window(affine_named(p, "attention.write_window", h_dec), A, B, N)
    return write_patch(content.reshape(channels, N, N), w, A, B), w


# The network


def lstm(
    p: Parameters,
    name: str,
    v: list[float],
    h: list[float],
    c: list[float],
    told: list[float] | None = None,
) -> tuple[list[float], list[float]]:
    """One LSTM cell without peepholes: new h and new c; `told` is added to its gates."""
    from_input = affine(p[name + ".weight_ih"], p[name + ".bias_ih"], v)
    from_hidden = affine(p[name + ".weight_hh"], p[name + ".bias_hh"], h)
    size = len(h)
    new_h, new_c = [], []
    for u in range(1, size + 1):
        gate = [from_input[q * size + u - 1] + from_hidden[q * size + u - 1] for q in range(4)]
        if told is not None:
            gate = [gate[q] + told[q * size + u - 1] for q in range(4)]
        i, f, g, o = sigmoid(gate[0]), sigmoid(gate[1]), tanh(gate[2]), sigmoid(gate[3])
        cell = f * c[u - 1] + i * g
        new_c.append(cell)
        new_h.append(o * tanh(cell))
    return new_h, new_c


def initial_state(p: Parameters) -> State:
    return State(
        np.array(p["canvas_0"], dtype=np.float64),
        flat(p["h_enc_0"]),
        flat(p["c_enc_0"]),
        flat(p["h_dec_0"]),
        flat(p["c_dec_0"]),
    )


def error_image(x: np.ndarray, canvas: np.ndarray) -> np.ndarray:
    """Eq 3."""
    x_hat = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        x_hat[place] = float(x[place]) - sigmoid(float(canvas[place]))
    return x_hat


def told(p: Parameters, which: str, label: int | None) -> list[float] | None:
    """What an LSTM is told of the class of an image, not the paper's; None for nothing."""
    return None if label is None else flat(p[f"condition.{which}.weight"][label])


def prior(p: Parameters, h_dec: list[float], size: int) -> tuple[list[float], list[float]]:
    """Mean and sigma of what is expected of z: N(0, 1), or a learned prior's, not the paper's."""
    if "prior.mu.weight" not in p:
        return [0.0] * size, [1.0] * size
    mu = affine_named(p, "prior.mu", h_dec)
    return mu, [exp(v) for v in affine_named(p, "prior.log_sigma", h_dec)]


def kl_of_two(
    mu: list[float], sigma: list[float], prior_mu: list[float], prior_sigma: list[float]
) -> float:
    """KL of N(mu, sigma^2) from another normal distribution."""
    total = 0.0
    for m, s, pm, ps in zip(mu, sigma, prior_mu, prior_sigma, strict=True):
        total += log(ps / s) + (s**2 + (m - pm) ** 2) / (2 * ps**2) - 1 / 2
    return total


def kl(mu: list[float], sigma: list[float]) -> float:
    """KL of N(mu, sigma^2) from N(0, 1), one half *per latent variable* taken off (eqs 10-11)."""
    total = 0.0
    for m, s in zip(mu, sigma, strict=True):
        total += (m**2 + s**2 - log(s**2)) / 2 - 1 / 2
    return total


def draw_step(
    p: Parameters, state: State, z: list[float], N: int, label: int | None = None
) -> tuple[np.ndarray, list[float], list[float], Window | None]:
    """Eqs 7-8 (and 14-15): canvas, h_dec, c_dec, write window."""
    h_dec, c_dec = lstm(p, "lstm_dec", z, state.h_dec, state.c_dec, told(p, "dec", label))
    added, w = write(p, h_dec, state.canvas.shape, N)
    canvas = np.zeros(state.canvas.shape)
    for place in np.ndindex(canvas.shape):
        canvas[place] = state.canvas[place] + added[place]
    return canvas, h_dec, c_dec, w


def step(
    p: Parameters,
    x: np.ndarray,
    state: State,
    noise: np.ndarray,
    read_size: int,
    write_size: int,
    label: int | None = None,
) -> Step:
    """Eqs 3-8 in their order, with z = mu + sigma * noise for eq 6."""
    x_hat = error_image(x, state.canvas)
    r, read_window = read(p, x, x_hat, state.h_dec, read_size)
    seen = r + state.h_dec
    h_enc, c_enc = lstm(p, "lstm_enc", seen, state.h_enc, state.c_enc, told(p, "enc", label))
    mu = affine_named(p, "mu", h_enc)
    sigma = [exp(v) for v in affine_named(p, "log_sigma", h_enc)]
    z = [m + s * float(e) for m, s, e in zip(mu, sigma, noise, strict=True)]
    canvas, h_dec, c_dec, write_window = draw_step(p, state, z, write_size, label)
    after = State(canvas, h_enc, c_enc, h_dec, c_dec)
    of_step = kl(mu, sigma)
    if "prior.mu.weight" in p:
        of_step = kl_of_two(mu, sigma, *prior(p, state.h_dec, len(z)))
    return Step(x_hat, r, mu, sigma, z, of_step, after, read_window, write_window)


def reconstruction_loss(x: np.ndarray, canvas: np.ndarray) -> float:
    """Eq 9: -log D(x | c_T), independent Bernoulli pixels."""
    total = 0.0
    for place in np.ndindex(x.shape):
        value, logit = float(x[place]), float(canvas[place])
        total -= value * log_sigmoid(logit) + (1 - value) * log_sigmoid(-logit)
    return total


def log_normal(v: float, mu: float, sigma: float) -> float:
    return -((v - mu) ** 2) / (2 * sigma**2) - log(sigma) - log(2 * pi) / 2


def bound(
    p: Parameters,
    x: np.ndarray,
    noise: np.ndarray,
    read_size: int,
    write_size: int,
    label: int | None = None,
) -> Bound:
    """Eqs 1-12 for one image; `noise` is T x latent size, fresh numbers for every step.

    `log_weight` is log p(x | z) + log p(z) - log q(z | x), the importance-weighted estimate's term.
    """
    state = initial_state(p)
    steps = []
    T = noise.shape[0]
    for t in range(1, T + 1):
        steps.append(step(p, x, state, noise[t - 1], read_size, write_size, label))
        state = steps[-1].state
    reconstruction = reconstruction_loss(x, state.canvas)
    log_weight = -reconstruction
    before = initial_state(p)
    for s in steps:
        prior_mu, prior_sigma = prior(p, before.h_dec, len(s.z))
        for k in range(len(s.z)):
            log_weight += log_normal(s.z[k], prior_mu[k], prior_sigma[k])
            log_weight -= log_normal(s.z[k], s.mu[k], s.sigma[k])
        before = s.state
    total = reconstruction
    for s in steps:
        total += s.kl
    return Bound(state.canvas, reconstruction, [s.kl for s in steps], total, log_weight, steps)


def generate(
    p: Parameters, noise: np.ndarray, write_size: int, label: int | None = None
) -> Drawing:
    """Eqs 13-16 for one image; `noise` is T x latent size, for the paper's prior z itself."""
    state = initial_state(p)
    canvases, windows = [], []
    T = noise.shape[0]
    for t in range(1, T + 1):
        mu, sigma = prior(p, state.h_dec, noise.shape[1])
        z = [m + s * e for m, s, e in zip(mu, sigma, flat(noise[t - 1]), strict=True)]
        canvas, h_dec, c_dec, w = draw_step(p, state, z, write_size, label)
        state = State(canvas, state.h_enc, state.c_enc, h_dec, c_dec)
        canvases.append(canvas)
        windows.append(w)
    means = np.zeros(state.canvas.shape)
    for place in np.ndindex(means.shape):
        means[place] = sigmoid(float(state.canvas[place]))
    return Drawing(canvases, windows, means)
