"""The kernel of all steps backward; draw/kernels/unroll_backward.py derives what it computes.

It makes the gradients of data. What each affine map's weights need of them is stored step by step,
and multiplied by the activations afterwards, once for all steps.
"""

from draw.kernels.gpu.cells import lstm_backward, meet, product, sigmoid, two_products
from draw.kernels.gpu.language import jit, tl
from draw.kernels.gpu.windows_backward import look_backward


@jit
def sample_backward(
    d_z, columns, noise, moments, d_moments, d_noise, d_kl, d_log_ratio, rows, batch,
    WANT_NOISE: tl.constexpr, LEARNED: tl.constexpr, Z: tl.constexpr, ZP: tl.constexpr,
):  # fmt: skip
    """Gradients of the moments and the noise, from those of z and of the losses (eqs 6, 10)."""
    WIDTH: tl.constexpr = 4 * ZP if LEARNED else 2 * ZP
    at = rows[:, None] * WIDTH + columns[None, :]
    latent = (columns < Z)[None, :]
    real = latent & (rows < batch)[:, None]
    of_noise = rows[:, None] * Z + columns[None, :]
    mu = tl.load(moments + at)
    log_sigma = tl.load(moments + ZP + at)
    epsilon = tl.load(noise + of_noise, mask=real, other=0.0)
    sigma = tl.exp(log_sigma)
    of_kl = tl.load(d_kl + rows)[:, None]
    of_ratio = tl.load(d_log_ratio + rows)[:, None]
    to = d_moments + at
    if LEARNED:
        mu_p = tl.load(moments + 2 * ZP + at)
        scale = tl.exp(-tl.load(moments + 3 * ZP + at))
        u = (mu + sigma * epsilon - mu_p) * scale
        # of (mu - mu_p) / sigma_p and log (sigma / sigma_p), where they cost something
        of_mu = of_kl * (mu - mu_p) * scale * scale
        variance = sigma * sigma * scale * scale
        of_width = of_kl * (variance - 1) + of_ratio
        tl.store(to + 2 * ZP, of_ratio * u * scale - of_mu)
        d_log_sigma_p = of_ratio * u * u - of_mu * (mu - mu_p) - of_width
        tl.store(to + 3 * ZP, tl.where(latent, d_log_sigma_p, 0.0))
        slope = d_z - of_ratio * u * scale
    else:
        of_mu = of_kl * mu
        of_width = of_kl * (sigma * sigma - 1) + of_ratio
        slope = d_z - of_ratio * (mu + sigma * epsilon)
    tl.store(to, slope + of_mu)
    tl.store(to + ZP, tl.where(latent, slope * sigma * epsilon + of_width, 0.0))
    if WANT_NOISE:
        tl.store(d_noise + of_noise, slope * sigma + of_ratio * epsilon, mask=real)


@jit
def unroll_backward(
    counters, x, noise, canvases, outputs, cells_enc, cells_dec, gates_enc, gates_dec, moments,
    d_canvas, d_kl, d_log_ratio, d_h_enc, d_h_dec, d_c_enc, d_c_dec, d_r, d_gates_enc, d_gates_dec,
    d_moments, d_outputs, d_noise, d_x, tables, w_enc, w_post, w_prior, w_dec, w_out,
    batch, padded, T: tl.constexpr,
    WANT_X: tl.constexpr, WANT_NOISE: tl.constexpr, WINDOWS: tl.constexpr,
    FILTERS: tl.constexpr, LEARNED: tl.constexpr,
    C: tl.constexpr, B: tl.constexpr, A: tl.constexpr, BP: tl.constexpr, AP: tl.constexpr,
    NR: tl.constexpr, NW: tl.constexpr, NRP: tl.constexpr, NWP: tl.constexpr, Z: tl.constexpr,
    HP: tl.constexpr, RP: tl.constexpr, ZP: tl.constexpr, OP: tl.constexpr, TABLE: tl.constexpr,
    M: tl.constexpr, MI: tl.constexpr, BN: tl.constexpr, BZ: tl.constexpr, BO: tl.constexpr,
    BR: tl.constexpr, OUT_DEPTH: tl.constexpr, Z_DEPTH: tl.constexpr, DEC_DEPTH: tl.constexpr,
    POST_DEPTH: tl.constexpr, ENC_DEPTH: tl.constexpr, R_DEPTH: tl.constexpr, PARTS: tl.constexpr,
    FAST: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """All steps for M images, the last one first; arguments as in gradient.py.

    The weights are those of the forward pass, transposed.
    """
    WIDTH: tl.constexpr = 4 * ZP if LEARNED else 2 * ZP
    INPUTS: tl.constexpr = 2 * HP + RP
    PIXELS: tl.constexpr = C * B * A
    start = tl.program_id(0) * M
    if PARTS > 1:
        part = tl.program_id(1)
    else:
        part = 0
    rows = start + tl.arange(0, M)
    counter = counters + tl.program_id(0)
    meetings = 0
    if WINDOWS:
        d_canvas += part * padded * PIXELS
        d_x += part * padded * PIXELS
        tables += part * padded * TABLE
    for step in range(T + 1):
        then = tl.cast(T - step, tl.int64) * padded
        # (3-4) of the step after, and (8), (28) and (21) of this one
        if WINDOWS:
            look_backward(
                x, canvases + then * PIXELS, d_canvas, outputs + then * OP, d_r,
                d_outputs + then * OP, d_x, tables, start, batch, tl.minimum(T - step, 1), WANT_X,
                C, B, A, BP, AP, NR, NW, NRP, NWP, OP, RP, TABLE, M, MI, FILTERS,
                FAST,
            )  # fmt: skip
            tl.debug_barrier()
        if step < T:
            t = T - 1 - step
            now = then - padded
            to_dec = d_gates_dec + now * 4 * HP
            to_enc = d_gates_enc + now * 4 * HP
            # (7), from h_dec
            lstm_backward(
                d_outputs + then * OP, w_out, d_h_dec, d_c_dec, gates_dec + now * 4 * HP,
                cells_dec + now * HP, cells_dec + then * HP, to_dec, rows, part, OP, OP, HP, M, BN,
                OUT_DEPTH, PARTS, FAST, PRECISION,
            )  # fmt: skip
            meetings += 1
            meet(counter, meetings, PARTS)
            for n in range(0, ZP, PARTS * BZ):
                columns = n + part * BZ + tl.arange(0, BZ)
                d_z = product(
                    to_dec, w_dec + HP, rows, columns, HP + ZP, 4 * HP, 4 * HP, M, BZ, Z_DEPTH,
                    PRECISION,
                )  # fmt: skip
                # (6), (10)
                sample_backward(
                    d_z, columns, noise + tl.cast(t, tl.int64) * batch * Z,
                    moments + now * WIDTH, d_moments + now * WIDTH,
                    d_noise + tl.cast(t, tl.int64) * batch * Z, d_kl + t * padded, d_log_ratio,
                    rows, batch, WANT_NOISE, LEARNED, Z, ZP,
                )  # fmt: skip
            for n in range(0, HP, PARTS * BN):
                columns = n + part * BN + tl.arange(0, BN)
                d_h = product(
                    to_dec, w_dec, rows, columns, HP + ZP, 4 * HP, 4 * HP, M, BN, DEC_DEPTH,
                    PRECISION,
                )  # fmt: skip
                tl.store(d_h_dec + rows[:, None] * HP + columns[None, :], d_h)
            meetings += 1
            meet(counter, meetings, PARTS)
            # (1-2), then (5)
            lstm_backward(
                d_moments + now * WIDTH, w_post, d_h_enc, d_c_enc, gates_enc + now * 4 * HP,
                cells_enc + now * HP, cells_enc + then * HP, to_enc, rows, part, 2 * ZP, WIDTH, HP,
                M, BN, POST_DEPTH, PARTS, FAST, PRECISION,
            )  # fmt: skip
            meetings += 1
            meet(counter, meetings, PARTS)
            for n in range(0, HP, PARTS * BN):
                columns = n + part * BN + tl.arange(0, BN)
                at = rows[:, None] * HP + columns[None, :]
                d_enc, d_dec = two_products(
                    to_enc, w_enc, rows, columns, HP + RP, INPUTS, 4 * HP, 4 * HP, M, BN,
                    ENC_DEPTH, PRECISION,
                )  # fmt: skip
                tl.store(d_h_enc + at, d_enc)
                d_dec += tl.load(d_h_dec + at)
                if LEARNED:
                    d_dec += product(
                        d_moments + now * WIDTH + 2 * ZP, w_prior, rows, columns, HP, WIDTH, 2 * ZP,
                        M, BN, POST_DEPTH, PRECISION,
                    )  # fmt: skip
                tl.store(d_h_dec + at, d_dec)
            # (3-4), the rest of it without attention
            for n in range(0, RP, (1 if WINDOWS else PARTS) * BR):
                columns = n + (0 if WINDOWS else part) * BR + tl.arange(0, BR)
                at = rows[:, None] * RP + columns[None, :]
                d = product(
                    to_enc, w_enc + HP, rows, columns, INPUTS, 4 * HP, 4 * HP, M, BR, R_DEPTH,
                    PRECISION,
                )  # fmt: skip
                if WINDOWS:
                    tl.store(d_r + at, d)
                else:
                    s = sigmoid(tl.load(canvases + now * RP + at).to(tl.float32), FAST)
                    slope = tl.load(d_canvas + at) - s * (1 - s) * d
                    tl.store(d_canvas + at, slope)
                    tl.store(d_outputs + now * OP + at, slope)
                    if WANT_X:
                        tl.store(d_x + at, d + tl.load(d_x + at))
            if WINDOWS:
                tl.debug_barrier()
            else:
                meetings += 1
                meet(counter, meetings, PARTS)
