"""The kernel of all steps forward: eqs 1-8 and 10 of the paper, or 13-15 of a new drawing."""

from draw.kernels.gpu.cells import lstm, meet, product, sigmoid, two_products
from draw.kernels.gpu.language import jit, tl
from draw.kernels.gpu.windows import look


@jit
def normal(
    h, weights, bias, rows, columns, STRIDE: tl.constexpr, HP: tl.constexpr, ZP: tl.constexpr,
    M: tl.constexpr, BZ: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Some latent variables' mu and log sigma (eqs 1-2): h [rows, STRIDE] times [HP, 2 ZP]."""
    mu, log_sigma = two_products(
        h, weights, rows, columns, ZP, 2 * ZP, STRIDE, HP, M, BZ, DEPTH, PRECISION
    )
    mu += tl.load(bias + columns)[None, :]
    log_sigma += tl.load(bias + ZP + columns)[None, :]
    return mu, log_sigma


@jit
def sample(
    before, after, w_post, b_post, w_prior, b_prior, noise, moments, kl, log_ratio, rows, batch,
    KEEP: tl.constexpr, LEARNED: tl.constexpr, H_DEC_AT: tl.constexpr, Z_AT: tl.constexpr,
    STRIDE: tl.constexpr, HP: tl.constexpr, Z: tl.constexpr, ZP: tl.constexpr, M: tl.constexpr,
    BZ: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The posterior of h_enc, a sample of it, and what it costs (eqs 1-2, 6, 10).

    Args:
        before: activations with h_dec of the step before, which a learned prior is made from; z is
            stored there.
        after: activations with h_enc of this step.
        w_post: [HP, 2 ZP], of mu and log sigma.
        b_post: [2 ZP].
        w_prior: [HP, 2 ZP], of mu_p and log sigma_p, if they are LEARNED.
        b_prior: [2 ZP].
        noise: standard normal noise of the step, [batch, Z].
        moments: with KEEP gets mu, log sigma, and those of the prior, [rows, 2 or 4 ZP].
        kl: gets the KL of this step, [rows].
        log_ratio: gets log p(z) / q(z | x) of this step, [rows].
    """
    WIDTH: tl.constexpr = 4 * ZP if LEARNED else 2 * ZP
    kl_sum = tl.zeros((M,), tl.float32)
    ratio_sum = tl.zeros((M,), tl.float32)
    for n in range(0, ZP, BZ):
        columns = n + tl.arange(0, BZ)
        mu, log_sigma = normal(
            after, w_post, b_post, rows, columns, STRIDE, HP, ZP, M, BZ, DEPTH, PRECISION
        )
        real = (columns < Z)[None, :]
        epsilon = tl.load(
            noise + rows[:, None] * Z + columns[None, :],
            mask=real & (rows < batch)[:, None], other=0.0,
        )  # fmt: skip
        sigma = tl.exp(log_sigma)
        z = mu + sigma * epsilon
        tl.store(before + Z_AT + rows[:, None] * STRIDE + columns[None, :], z)
        to = moments + rows[:, None] * WIDTH + columns[None, :]
        if KEEP:
            tl.store(to, mu)
            tl.store(to + ZP, log_sigma)
        if LEARNED:
            mu_p, log_sigma_p = normal(
                before + H_DEC_AT, w_prior, b_prior, rows, columns, STRIDE, HP, ZP, M, BZ, DEPTH,
                PRECISION,
            )  # fmt: skip
            if KEEP:
                tl.store(to + 2 * ZP, mu_p)
                tl.store(to + 3 * ZP, log_sigma_p)
            scale = tl.exp(-log_sigma_p)  # as the prior sees them, which is N(0, 1) then
            mu = (mu - mu_p) * scale
            z = (z - mu_p) * scale
            sigma *= scale
            log_sigma -= log_sigma_p
        kl_sum += tl.sum((mu * mu + sigma * sigma - 2 * log_sigma - 1) / 2, 1)
        ratio_sum += tl.sum((epsilon * epsilon - z * z) / 2 + log_sigma, 1)
    tl.store(kl + rows, kl_sum)
    tl.store(log_ratio + rows, ratio_sum)


@jit
def unroll_forward(
    counters, x, noise, activations, cells_enc, cells_dec, gates_enc, gates_dec, moments, outputs,
    canvas, canvases, kl, log_ratio, tables,
    w_enc, b_enc, w_post, b_post, w_prior, b_prior, w_dec, b_dec, w_out, b_out,
    batch, padded, T: tl.constexpr,
    ENCODE: tl.constexpr, KEEP: tl.constexpr, TRACE: tl.constexpr, EACH_ENC: tl.constexpr,
    EACH_DEC: tl.constexpr, WINDOWS: tl.constexpr, FILTERS: tl.constexpr, LEARNED: tl.constexpr,
    C: tl.constexpr, B: tl.constexpr, A: tl.constexpr, BP: tl.constexpr, AP: tl.constexpr,
    NR: tl.constexpr, NW: tl.constexpr, NRP: tl.constexpr, NWP: tl.constexpr, Z: tl.constexpr,
    HP: tl.constexpr, RP: tl.constexpr, ZP: tl.constexpr, OP: tl.constexpr, TABLE: tl.constexpr,
    M: tl.constexpr, MI: tl.constexpr, BN: tl.constexpr, BZ: tl.constexpr, BO: tl.constexpr,
    DEPTH: tl.constexpr, POST_DEPTH: tl.constexpr, OUT_DEPTH: tl.constexpr, PARTS: tl.constexpr,
    FAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """All steps for M images; arguments as in sequence.py, where they are made.

    Arrays of slots [T + 1, padded, ...] hold what each step started from; where nothing is kept
    they have two slots that take turns. With EACH the bias of an LSTM is one for each image,
    [padded, 4 HP], which holds what an image or a condition adds to its gates.
    """
    WIDTH: tl.constexpr = 4 * ZP if LEARNED else 2 * ZP
    R_AT: tl.constexpr = HP
    H_DEC_AT: tl.constexpr = HP + RP
    Z_AT: tl.constexpr = 2 * HP + RP
    STRIDE: tl.constexpr = 2 * HP + RP + ZP
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
        canvas += part * padded * PIXELS
        tables += part * padded * TABLE
    for t in range(T + 1):
        if KEEP:
            now = tl.cast(t, tl.int64) * padded
            then = now + padded
            kept = now
        else:
            now = tl.cast(t % 2, tl.int64) * padded
            then = padded - now
            kept = now * 0
        traced = tl.cast(t, tl.int64) * padded
        here = activations + now * STRIDE
        there = activations + then * STRIDE
        if WINDOWS:
            look(
                x, canvas, canvases + traced * PIXELS, outputs + (traced if TRACE else now) * OP,
                here + R_AT, tables, start, batch, tl.minimum(t, 1), ENCODE, TRACE, C, B, A, BP,
                AP, NR, NW, NRP, NWP, OP, STRIDE, TABLE, M, MI, FILTERS, FAST,
            )  # fmt: skip
            tl.debug_barrier()
        if t < T:
            if ENCODE:
                lstm(
                    here, w_enc, b_enc, cells_enc + kept * HP,
                    cells_enc + (then if KEEP else kept) * HP, there, gates_enc + kept * 4 * HP,
                    rows, part, EACH_ENC, Z_AT, STRIDE, HP, M, BN, DEPTH, PARTS, KEEP, FAST,
                    PRECISION,
                )  # fmt: skip
                meetings += 1
                meet(counter, meetings, PARTS)
                sample(
                    here, there, w_post, b_post, w_prior, b_prior,
                    noise + tl.cast(t, tl.int64) * batch * Z, moments + kept * WIDTH,
                    kl + t * padded, log_ratio + t * padded, rows, batch, KEEP, LEARNED, H_DEC_AT,
                    Z_AT, STRIDE, HP, Z, ZP, M, BZ, POST_DEPTH, PRECISION,
                )  # fmt: skip
                tl.debug_barrier()
            else:
                for n in range(0, ZP, BZ):
                    columns = n + tl.arange(0, BZ)
                    z = tl.load(
                        noise + (tl.cast(t, tl.int64) * batch + rows)[:, None] * Z
                        + columns[None, :],
                        mask=(columns < Z)[None, :] & (rows < batch)[:, None], other=0.0,
                    )  # fmt: skip
                    if LEARNED:
                        mu_p, log_sigma_p = normal(
                            here + H_DEC_AT, w_prior, b_prior, rows, columns, STRIDE, HP, ZP, M,
                            BZ, POST_DEPTH, PRECISION,
                        )  # fmt: skip
                        z = mu_p + tl.exp(log_sigma_p) * z
                    tl.store(here + Z_AT + rows[:, None] * STRIDE + columns[None, :], z)
                tl.debug_barrier()
            lstm(
                here + H_DEC_AT, w_dec, b_dec, cells_dec + kept * HP,
                cells_dec + (then if KEEP else kept) * HP, there + H_DEC_AT,
                gates_dec + kept * 4 * HP, rows, part, EACH_DEC, HP + ZP, STRIDE, HP, M, BN, DEPTH,
                PARTS, KEEP, FAST, PRECISION,
            )  # fmt: skip
            meetings += 1
            meet(counter, meetings, PARTS)
            if WINDOWS:
                for n in range(0, OP, BO):
                    columns = n + tl.arange(0, BO)
                    out = product(
                        there + H_DEC_AT, w_out, rows, columns, OP, STRIDE, HP, M, BO, OUT_DEPTH,
                        PRECISION,
                    )  # fmt: skip
                    out += tl.load(b_out + columns)[None, :]
                    to = outputs + (traced + padded if TRACE else then) * OP
                    tl.store(to + rows[:, None] * OP + columns[None, :], out)
                tl.debug_barrier()
            else:
                for n in range(0, OP, PARTS * BO):
                    columns = n + part * BO + tl.arange(0, BO)
                    out = product(
                        there + H_DEC_AT, w_out, rows, columns, OP, STRIDE, HP, M, BO, OUT_DEPTH,
                        PRECISION,
                    )  # fmt: skip
                    at = rows[:, None] * OP + columns[None, :]
                    c = tl.load(canvas + at) + out + tl.load(b_out + columns)[None, :]
                    tl.store(canvas + at, c)
                    if TRACE:
                        tl.store(canvases + (traced + padded) * OP + at, c)
                    if ENCODE:
                        error = tl.load(x + at) - sigmoid(c, FAST)
                        tl.store(there + R_AT + rows[:, None] * STRIDE + columns[None, :], error)
                meetings += 1
                meet(counter, meetings, PARTS)
