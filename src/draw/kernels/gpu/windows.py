"""Device functions: windows of several kinds of filters (eqs 19-29), some images at a time.

Filters and what is made of them lie in a table of float32, one row for each image:

    read    F_y [NR, BP] | F_x [NR, AP] | rows of the image through F_x [2 C NR, BP]
    write   F_y [NW, BP] | F_x [NW, AP] | (1/gamma) w F_x [C NW, AP]

with the sides of the image, B rows and A columns, rounded up to powers of two, BP and AP, and the
sides of the windows, NR and NW, likewise where a tensor of them is made. In the row of outputs of
an image are the controls of the next read window, those of the write window, and the patch.
"""

from draw.kernels.gpu.cells import sigmoid
from draw.kernels.gpu.language import jit, tl


@jit
def place(controls, A: tl.constexpr, B: tl.constexpr, N: tl.constexpr):
    """Centre, stride, width and intensity of windows, from pointers to their controls (eqs 21-24).

    The limits are those of draw.attention.window.window_parameters.
    """
    FAR: tl.constexpr = 1e4
    LOG: tl.constexpr = 20.0
    LONGER: tl.constexpr = A if A > B else B
    STRIDE: tl.constexpr = (LONGER - 1) / (N - 1 if N > 1 else 1)
    ALL: tl.constexpr = tl.PropagateNan.ALL
    g_x = tl.clamp(tl.load(controls), -FAR, FAR, propagate_nan=ALL)
    g_y = tl.clamp(tl.load(controls + 1), -FAR, FAR, propagate_nan=ALL)
    log_sigma2 = tl.clamp(tl.load(controls + 2), -LOG, LOG, propagate_nan=ALL)
    log_delta = tl.clamp(tl.load(controls + 3), -LOG, LOG, propagate_nan=ALL)
    log_gamma = tl.clamp(tl.load(controls + 4), -LOG, LOG, propagate_nan=ALL)
    return (
        (A + 1) / 2 * (g_x + 1), (B + 1) / 2 * (g_y + 1), STRIDE * tl.exp(log_delta),
        tl.exp(log_sigma2 / 2), tl.exp(log_gamma),
    )  # fmt: skip


@jit
def distances(g, delta, sigma, N: tl.constexpr, NP: tl.constexpr, LP: tl.constexpr):
    """From each filter to each pixel, in units of sigma: [images, NP, LP] (eqs 19-20)."""
    steps = tl.arange(0, NP) + 0.5 - N / 2
    mu = g[:, None] + steps[None, :] * delta[:, None]
    return (tl.arange(0, LP)[None, None, :] + 1 - mu[:, :, None]) / sigma[:, None, None]


@jit
def logarithm(d, FILTERS: tl.constexpr):
    """Logarithm of a filter, but for its sum, at distances d in units of sigma."""
    if FILTERS == "cauchy":
        y = -tl.log(1 + d * d)
    elif FILTERS == "laplace":
        y = -tl.abs(d)
    else:
        y = -d * d / 2
    return y


@jit
def fall(d, FILTERS: tl.constexpr):
    """Less the derivative of `logarithm`."""
    if FILTERS == "cauchy":
        y = 2 * d / (1 + d * d)
    elif FILTERS == "laplace":
        y = tl.where(d > 0, 1.0, tl.where(d < 0, -1.0, 0.0))
    else:
        y = d
    return y


@jit
def store_filters(
    table, g, delta, sigma, N: tl.constexpr, NP: tl.constexpr, L: tl.constexpr, LP: tl.constexpr,
    FILTERS: tl.constexpr,
):  # fmt: skip
    """Filters along a side of L pixels, each summing to 1 (eqs 25-26)."""
    a = tl.arange(0, LP)[None, None, :]
    n = tl.arange(0, NP)[None, :, None]
    d = distances(g, delta, sigma, N, NP, LP)
    exponent = tl.where(a < L, logarithm(d, FILTERS), float("-inf"))
    F = tl.exp(exponent - tl.max(exponent, 2)[:, :, None])
    F = F / tl.sum(F, 2)[:, :, None]
    tl.store(table[:, None, None] + n * LP + a, F, mask=(n < N) & (a < LP))


@jit
def filters_backward(
    table, d_F, g, delta, sigma, N: tl.constexpr, NP: tl.constexpr, LP: tl.constexpr,
    FILTERS: tl.constexpr,
):  # fmt: skip
    """Gradients of g, delta and log sigma, and the sum of F d_F; each [images]."""
    a = tl.arange(0, LP)[None, None, :]
    n = tl.arange(0, NP)[None, :, None]
    F = tl.load(table[:, None, None] + n * LP + a, mask=(n < N) & (a < LP), other=0.0)
    d = distances(g, delta, sigma, N, NP, LP)
    through = tl.sum(F * d_F, 2)
    d_exponent = F * (d_F - through[:, :, None])
    slope = fall(d, FILTERS)
    d_mu = tl.sum(d_exponent * slope, 2) / sigma[:, None]
    steps = tl.arange(0, NP) + 0.5 - N / 2
    d_log_sigma = tl.sum(tl.sum(d_exponent * slope * d, 2), 1)
    return tl.sum(d_mu, 1), tl.sum(d_mu * steps[None, :], 1), d_log_sigma, tl.sum(through, 1)


@jit
def store_controls(
    to, controls, d_g_x, d_g_y, d_log_sigma, d_delta, d_log_gamma, delta, A: tl.constexpr,
    B: tl.constexpr,
):  # fmt: skip
    """Gradients of the five numbers that place windows (eqs 21-24)."""
    FAR: tl.constexpr = 1e4
    LOG: tl.constexpr = 20.0
    tl.store(to, tl.where(tl.abs(tl.load(controls)) <= FAR, (A + 1) / 2 * d_g_x, 0.0))
    tl.store(to + 1, tl.where(tl.abs(tl.load(controls + 1)) <= FAR, (B + 1) / 2 * d_g_y, 0.0))
    tl.store(to + 2, tl.where(tl.abs(tl.load(controls + 2)) <= LOG, d_log_sigma / 2, 0.0))
    tl.store(to + 3, tl.where(tl.abs(tl.load(controls + 3)) <= LOG, d_delta * delta, 0.0))
    tl.store(to + 4, tl.where(tl.abs(tl.load(controls + 4)) <= LOG, d_log_gamma, 0.0))


@jit
def spread_patch(
    to, table, patch, scale, C: tl.constexpr, N: tl.constexpr, NP: tl.constexpr, AP: tl.constexpr
):
    """(1/gamma) w F_x, [C N, AP], of which the written image is made (eq 29)."""
    a = tl.arange(0, AP)
    n = tl.arange(0, NP)
    for c in range(C):
        total = tl.zeros((scale.shape[0], NP, AP), tl.float32)
        for j in range(N):
            w = tl.load(
                patch[:, None] + (c * N + n[None, :]) * N + j, mask=n[None, :] < N, other=0.0
            )
            f = tl.load(table[:, None] + j * AP + a[None, :])
            total += w[:, :, None] * f[:, None, :]
        total *= scale[:, None, None]
        at = to[:, None, None] + (c * N + n[None, :, None]) * AP + a[None, None, :]
        tl.store(at, total, mask=(n[None, :, None] < N) & (a[None, None, :] < AP))


@jit
def look(
    x, canvas, canvases, outputs, r, tables, first, batch, writing,
    READ: tl.constexpr, TRACE: tl.constexpr, C: tl.constexpr, B: tl.constexpr, A: tl.constexpr,
    BP: tl.constexpr, AP: tl.constexpr, NR: tl.constexpr, NW: tl.constexpr, NRP: tl.constexpr,
    NWP: tl.constexpr, OP: tl.constexpr, STRIDE: tl.constexpr, TABLE: tl.constexpr,
    M: tl.constexpr, MI: tl.constexpr, FILTERS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Write what the step before made (eq 29), then read with the window of this step (eq 27).

    Args:
        x: images, [batch, C, B, A].
        canvas: [rows, C, B, A], float32, replaced.
        canvases: with TRACE gets a copy of it.
        outputs: outputs of the decoder, [rows, OP].
        r: with READ gets what is read of the image and of the error image, [rows, STRIDE].
        tables: [rows, TABLE].
        first: number of the first image of this program.
        batch: how many images there are.
        writing: 1, or 0 for nothing.
    """
    RX: tl.constexpr = NR * BP
    THROUGH: tl.constexpr = RX + NR * AP
    WY: tl.constexpr = THROUGH + 2 * C * NR * BP
    WX: tl.constexpr = WY + NW * BP
    SPREAD: tl.constexpr = WX + NW * AP
    a = tl.arange(0, AP)
    b = tl.arange(0, BP)
    inside = (b[None, :, None] < B) & (a[None, None, :] < A)
    for m in range(0, M, MI):
        rows = first + m + tl.arange(0, MI)
        table = tables + rows * TABLE
        out = outputs + rows * OP
        g_x, g_y, delta, sigma, gamma = place(out + 5, A, B, NW)
        store_filters(table + WY, g_y, delta, sigma, NW, NWP, B, BP, FILTERS)
        store_filters(table + WX, g_x, delta, sigma, NW, NWP, A, AP, FILTERS)
        scale = writing / gamma
        if READ:
            g_x, g_y, delta, sigma, gamma = place(out, A, B, NR)
            store_filters(table, g_y, delta, sigma, NR, NRP, B, BP, FILTERS)
            store_filters(table + RX, g_x, delta, sigma, NR, NRP, A, AP, FILTERS)
        tl.debug_barrier()
        spread_patch(table + SPREAD, table + WX, out + 10, scale, C, NW, NWP, AP)
        tl.debug_barrier()
        for c in range(C):
            at = (
                rows[:, None, None] * (C * B * A)
                + (c * B + b[None, :, None]) * A
                + a[None, None, :]
            )
            s = tl.load(canvas + at, mask=inside, other=0.0)
            for i in range(NW):
                f_y = tl.load(table[:, None] + WY + i * BP + b[None, :])
                row = tl.load(table[:, None] + SPREAD + (c * NW + i) * AP + a[None, :])
                s += f_y[:, :, None] * row[:, None, :]
            tl.store(canvas + at, s, mask=inside)
            if TRACE:
                tl.store(canvases + at, s, mask=inside)
            if READ:
                image = tl.load(x + at, mask=inside & (rows < batch)[:, None, None], other=0.0)
                error = image - sigmoid(s, FAST)
                for j in range(NR):
                    f_x = tl.load(table[:, None] + RX + j * AP + a[None, :])
                    to = table[:, None] + THROUGH + (c * NR + j) * BP + b[None, :]
                    tl.store(to, tl.sum(image * f_x[:, None, :], 2))
                    tl.store(to + C * NR * BP, tl.sum(error * f_x[:, None, :], 2))
        if READ:
            tl.debug_barrier()
            n = tl.arange(0, NRP)
            f_y = tl.load(
                table[:, None, None] + n[None, :, None] * BP + b[None, None, :],
                mask=(n[None, :, None] < NR) & (b[None, None, :] < BP), other=0.0,
            )  # fmt: skip
            for k in range(2 * C * NR):
                through = tl.load(table[:, None] + THROUGH + k * BP + b[None, :])
                patch = gamma[:, None] * tl.sum(f_y * through[:, None, :], 2)
                at = (k // NR * NR + n[None, :]) * NR + k % NR
                tl.store(r + rows[:, None] * STRIDE + at, patch, mask=n[None, :] < NR)
