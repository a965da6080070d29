"""The kernel of all steps forward: eqs 1-8 and 10 of the paper, or 13-15 of a new drawing."""

from draw.kernels.gpu.cells import lstm, meet, product, sigmoid, two_products
from draw.kernels.gpu.language import jit, tl
from draw.kernels.gpu.windows import look


@jit
def sample(
    activations, weights, bias, noise, posterior, kl, log_ratio, rows, first, batch,
    KEEP: tl.constexpr, H_AT: tl.constexpr, Z_AT: tl.constexpr, STRIDE: tl.constexpr,
    HP: tl.constexpr, Z: tl.constexpr, ZP: tl.constexpr, M: tl.constexpr, BZ: tl.constexpr,
    DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The posterior of h_enc, a sample of it, and what it costs (eqs 1-2, 6, 10).

    Args:
        activations: h_enc at `H_AT` of the rows at `first`; z is stored there.
        weights: [HP, 2 ZP], of mu and log sigma.
        bias: [2 ZP].
        noise: of this step, [batch, Z].
        posterior: with KEEP gets mu and log sigma, [rows, 2 ZP].
        kl: gets the KL of this step, [rows].
        log_ratio: gets log p(z) / q(z | x) of this step, [rows].
    """
    kl_sum = tl.zeros((M,), tl.float32)
    ratio_sum = tl.zeros((M,), tl.float32)
    for n in range(0, ZP, BZ):
        columns = n + tl.arange(0, BZ)
        mu, log_sigma = two_products(
            activations + H_AT, weights, rows, columns, ZP, 2 * ZP, STRIDE, HP, M, BZ, DEPTH,
            PRECISION,
        )  # fmt: skip
        mu += tl.load(bias + columns)[None, :]
        log_sigma += tl.load(bias + ZP + columns)[None, :]
        real = (columns < Z)[None, :]
        epsilon = tl.load(
            noise + rows[:, None] * Z + columns[None, :],
            mask=real & (rows < batch)[:, None], other=0.0,
        )  # fmt: skip
        sigma = tl.exp(log_sigma)
        z = mu + sigma * epsilon
        tl.store(first + Z_AT + rows[:, None] * STRIDE + columns[None, :], z)
        kl_sum += tl.sum((mu * mu + sigma * sigma - 2 * log_sigma - 1) / 2, 1)
        ratio_sum += tl.sum((epsilon * epsilon - z * z) / 2 + log_sigma, 1)
        if KEEP:
            to = posterior + rows[:, None] * (2 * ZP) + columns[None, :]
            tl.store(to, mu)
            tl.store(to + ZP, log_sigma)
    tl.store(kl + rows, kl_sum)
    tl.store(log_ratio + rows, ratio_sum)


@jit
def unroll_forward(
    x, from_x, noise, activations, cells_enc, cells_dec, gates_enc, gates_dec, posterior, outputs,
    canvas, canvases, kl, log_ratio, tables, counters,
    w_enc, b_enc, w_post, b_post, w_dec, b_dec, w_out, b_out,
    batch, padded, T: tl.constexpr,
    ENCODE: tl.constexpr, KEEP: tl.constexpr, TRACE: tl.constexpr, GAUSSIAN: tl.constexpr,
    C: tl.constexpr, B: tl.constexpr, A: tl.constexpr, BP: tl.constexpr, AP: tl.constexpr,
    NR: tl.constexpr, NW: tl.constexpr, NRP: tl.constexpr, NWP: tl.constexpr, Z: tl.constexpr,
    HP: tl.constexpr, RP: tl.constexpr, ZP: tl.constexpr, OP: tl.constexpr, TABLE: tl.constexpr,
    M: tl.constexpr, MI: tl.constexpr, BN: tl.constexpr, BZ: tl.constexpr, BO: tl.constexpr,
    DEPTH: tl.constexpr, POST_DEPTH: tl.constexpr, OUT_DEPTH: tl.constexpr, PARTS: tl.constexpr,
    FAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """All steps for M images; arguments as in unroll.py, where they are made.

    Arrays of slots [T + 1, padded, ...] hold what each step started from; where nothing is kept
    they have two slots that take turns.
    """
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
    if GAUSSIAN:
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
        if GAUSSIAN:
            look(
                x, canvas, canvases + traced * PIXELS, outputs + now * OP, here + R_AT, tables,
                start, batch, tl.minimum(t, 1), ENCODE, TRACE, C, B, A, BP, AP, NR, NW, NRP, NWP,
                OP, STRIDE, TABLE, M, MI, FAST,
            )  # fmt: skip
            tl.debug_barrier()
        if t < T:
            if ENCODE:
                lstm(
                    here, w_enc, b_enc if GAUSSIAN else from_x, cells_enc + kept * HP,
                    cells_enc + (then if KEEP else kept) * HP, there, gates_enc + kept * 4 * HP,
                    rows, part, not GAUSSIAN, Z_AT, STRIDE, HP, M, BN, DEPTH, PARTS, KEEP, FAST,
                    PRECISION,
                )  # fmt: skip
                meetings += 1
                meet(counter, meetings, PARTS)
                sample(
                    there, w_post, b_post, noise + tl.cast(t, tl.int64) * batch * Z,
                    posterior + kept * 2 * ZP, kl + t * padded, log_ratio + t * padded, rows, here,
                    batch, KEEP, 0, Z_AT, STRIDE, HP, Z, ZP, M, BZ, POST_DEPTH, PRECISION,
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
                    tl.store(here + Z_AT + rows[:, None] * STRIDE + columns[None, :], z)
                tl.debug_barrier()
            lstm(
                here + H_DEC_AT, w_dec, b_dec, cells_dec + kept * HP,
                cells_dec + (then if KEEP else kept) * HP, there + H_DEC_AT,
                gates_dec + kept * 4 * HP, rows, part, False, HP + ZP, STRIDE, HP, M, BN, DEPTH,
                PARTS, KEEP, FAST, PRECISION,
            )  # fmt: skip
            meetings += 1
            meet(counter, meetings, PARTS)
            if GAUSSIAN:
                for n in range(0, OP, BO):
                    columns = n + tl.arange(0, BO)
                    out = product(
                        there + H_DEC_AT, w_out, rows, columns, OP, STRIDE, HP, M, BO, OUT_DEPTH,
                        PRECISION,
                    )  # fmt: skip
                    out += tl.load(b_out + columns)[None, :]
                    tl.store(outputs + then * OP + rows[:, None] * OP + columns[None, :], out)
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
