"""Device functions: the gradients of reading and writing through windows (eqs 19-29).

Derived in draw/kernels/upright_backward.py. The table of an image holds here

    read    F_y [NR, BP] | F_x [NR, AP] | what stands beside F_y^T: of x and of s [2 C NR, AP]
            | beside F_x: of x and of s [2 C NR, BP] | d F_y [NR, BP] | d F_x [NR, AP]
    write   F_y [NW, BP] | F_x [NW, AP] | (1/gamma) w F_x [C NW, AP] | F_y d c_t [C NW, AP]
            | d F_y [NW, BP]
"""

from draw.kernels.gpu.cells import sigmoid
from draw.kernels.gpu.language import jit, tl
from draw.kernels.gpu.windows import (
    filters_backward,
    place,
    spread_patch,
    store_controls,
    store_filters,
)


@jit
def spread_slopes(
    table, d_r, gamma, of_rows, of_columns, C: tl.constexpr, NR: tl.constexpr, NRP: tl.constexpr,
    BP: tl.constexpr, AP: tl.constexpr,
):  # fmt: skip
    """Gradient of r times gamma F_x, and times gamma F_y, for the image and for s (eq 27).

    The image is read twice, as itself and in x - s with s = sigmoid(canvas).
    """
    PATCH: tl.constexpr = NR * NR
    n = tl.arange(0, NRP)[None, :]
    a = tl.arange(0, AP)
    b = tl.arange(0, BP)
    MI: tl.constexpr = gamma.shape[0]
    for c in range(C):
        x_rows = tl.zeros((MI, NRP, AP), tl.float32)
        s_rows = tl.zeros((MI, NRP, AP), tl.float32)
        x_columns = tl.zeros((MI, NRP, BP), tl.float32)
        s_columns = tl.zeros((MI, NRP, BP), tl.float32)
        for j in range(NR):
            at = d_r[:, None] + c * PATCH + n * NR + j
            s = -gamma[:, None] * tl.load(at + C * PATCH, mask=n < NR, other=0.0)
            x = gamma[:, None] * tl.load(at, mask=n < NR, other=0.0) - s
            f = tl.load(table[:, None] + NR * BP + j * AP + a[None, :])
            x_rows += x[:, :, None] * f[:, None, :]
            s_rows += s[:, :, None] * f[:, None, :]
            at = d_r[:, None] + c * PATCH + j * NR + n
            s = -gamma[:, None] * tl.load(at + C * PATCH, mask=n < NR, other=0.0)
            x = gamma[:, None] * tl.load(at, mask=n < NR, other=0.0) - s
            f = tl.load(table[:, None] + j * BP + b[None, :])
            x_columns += x[:, :, None] * f[:, None, :]
            s_columns += s[:, :, None] * f[:, None, :]
        real = (n < NR)[:, :, None]
        to = of_rows[:, None, None] + (c * NR + n[:, :, None]) * AP + a[None, None, :]
        tl.store(to, x_rows, mask=real & (a[None, None, :] < AP))
        tl.store(to + C * NR * AP, s_rows, mask=real & (a[None, None, :] < AP))
        to = of_columns[:, None, None] + (c * NR + n[:, :, None]) * BP + b[None, None, :]
        tl.store(to, x_columns, mask=real & (b[None, None, :] < BP))
        tl.store(to + C * NR * BP, s_columns, mask=real & (b[None, None, :] < BP))


@jit
def add_to(pointers, values, start):
    """Replace what is there, or add to it."""
    tl.store(pointers, values + tl.where(start, 0.0, tl.load(pointers)))


@jit
def patch_backward(
    out, d_out, table, of_filters, of_products, scale, C: tl.constexpr, NW: tl.constexpr,
    NWP: tl.constexpr, AP: tl.constexpr,
):  # fmt: skip
    """Gradient of the patch, stored, and that of the write window's F_x, returned (eq 29)."""
    MI: tl.constexpr = scale.shape[0]
    n = tl.arange(0, NWP)[None, :]
    a = tl.arange(0, AP)
    f_x = tl.load(
        table[:, None, None] + of_filters + n[:, :, None] * AP + a[None, None, :],
        mask=(n < NW)[:, :, None] & (a[None, None, :] < AP), other=0.0,
    )  # fmt: skip
    d_f_x = tl.zeros((MI, NWP, AP), tl.float32)
    for k in range(C * NW):
        u = scale[:, None] * tl.load(table[:, None] + of_products + k * AP + a[None, :])
        tl.store(d_out[:, None] + k * NW + n, tl.sum(f_x * u[:, None, :], 2), mask=n < NW)
        w = tl.load(out[:, None] + k * NW + n, mask=n < NW, other=0.0)
        d_f_x += w[:, :, None] * u[:, None, :]
    return d_f_x


@jit
def look_backward(
    x, canvases, d_canvas, outputs, d_r, d_outputs, d_x, tables, first, batch, writing,
    WANT_X: tl.constexpr, C: tl.constexpr, B: tl.constexpr, A: tl.constexpr, BP: tl.constexpr,
    AP: tl.constexpr, NR: tl.constexpr, NW: tl.constexpr, NRP: tl.constexpr, NWP: tl.constexpr,
    OP: tl.constexpr, RP: tl.constexpr, TABLE: tl.constexpr, M: tl.constexpr, MI: tl.constexpr,
    FILTERS: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """Gradients of `look`: first of reading, then of writing, as the canvas' goes back in time.

    Args:
        x: images, [batch, C, B, A].
        canvases: the canvas that was read, [rows, C, B, A].
        d_canvas: gradient of the canvas without the reading; replaced by that with it, float32.
        outputs: outputs of the decoder, [rows, OP].
        d_r: gradient of what was read, [rows, RP], float32.
        d_outputs: gets the gradient of the outputs.
        d_x: with WANT_X, added to, [rows, C, B, A].
        tables: [rows, TABLE].
        first: number of the first image of this program.
        batch: how many images there are.
        writing: 1, or 0 where nothing was written.
    """
    RX: tl.constexpr = NR * BP
    ROWS: tl.constexpr = RX + NR * AP
    COLUMNS: tl.constexpr = ROWS + 2 * C * NR * AP
    READ_Y: tl.constexpr = COLUMNS + 2 * C * NR * BP
    READ_X: tl.constexpr = READ_Y + NR * BP
    WY: tl.constexpr = READ_X + NR * AP
    WX: tl.constexpr = WY + NW * BP
    SPREAD: tl.constexpr = WX + NW * AP
    THROUGH: tl.constexpr = SPREAD + C * NW * AP
    WRITE_Y: tl.constexpr = THROUGH + C * NW * AP
    a = tl.arange(0, AP)
    b = tl.arange(0, BP)
    inside = (b[None, :, None] < B) & (a[None, None, :] < A)
    for m in range(0, M, MI):
        rows = first + m + tl.arange(0, MI)
        table = tables + rows * TABLE
        out = outputs + rows * OP
        d_out = d_outputs + rows * OP
        g_x, g_y, delta, sigma, gamma = place(out, A, B, NR)
        store_filters(table, g_y, delta, sigma, NR, NRP, B, BP, FILTERS)
        store_filters(table + RX, g_x, delta, sigma, NR, NRP, A, AP, FILTERS)
        w_g_x, w_g_y, w_delta, w_sigma, w_gamma = place(out + 5, A, B, NW)
        store_filters(table + WY, w_g_y, w_delta, w_sigma, NW, NWP, B, BP, FILTERS)
        store_filters(table + WX, w_g_x, w_delta, w_sigma, NW, NWP, A, AP, FILTERS)
        scale = writing / w_gamma
        tl.debug_barrier()
        spread_patch(table + SPREAD, table + WX, out + 10, scale, C, NW, NWP, AP)
        spread_slopes(table, d_r + rows * RP, gamma, table + ROWS, table + COLUMNS, C, NR, NRP,
                      BP, AP)  # fmt: skip
        tl.debug_barrier()
        for c in range(C):
            start = c == 0
            at = (
                rows[:, None, None] * (C * B * A) + (c * B + b[None, :, None]) * A
                + a[None, None, :]
            )  # fmt: skip
            s = sigmoid(tl.load(canvases + at, mask=inside, other=0.0).to(tl.float32), FAST)
            image = tl.load(x + at, mask=inside & (rows < batch)[:, None, None], other=0.0)
            d_s = tl.zeros((MI, BP, AP), tl.float32)
            for i in range(NR):
                k = c * NR + i
                f_y = tl.load(table[:, None] + i * BP + b[None, :])[:, :, None]
                row_x = tl.load(table[:, None] + ROWS + k * AP + a[None, :])[:, None, :]
                row_s = tl.load(table[:, None] + ROWS + (C * NR + k) * AP + a[None, :])[:, None, :]
                column_x = tl.load(table[:, None] + COLUMNS + k * BP + b[None, :])[:, :, None]
                column_s = tl.load(table[:, None] + COLUMNS + (C * NR + k) * BP + b[None, :])
                d_s += f_y * row_s
                add_to(table[:, None] + READ_Y + i * BP + b[None, :],
                       tl.sum(image * row_x + s * row_s, 2), start)  # fmt: skip
                add_to(table[:, None] + READ_X + i * AP + a[None, :],
                       tl.sum(image * column_x + s * column_s[:, :, None], 1), start)  # fmt: skip
                if WANT_X:
                    d = tl.load(d_x + at, mask=inside, other=0.0)
                    tl.store(d_x + at, d + f_y * row_x, mask=inside)
            d_c = tl.load(d_canvas + at, mask=inside, other=0.0) + s * (1 - s) * d_s
            tl.store(d_canvas + at, d_c, mask=inside)
            d_c = tl.where(inside, d_c, 0.0)
            for i in range(NW):
                k = c * NW + i
                f_y = tl.load(table[:, None] + WY + i * BP + b[None, :])
                row = tl.load(table[:, None] + SPREAD + k * AP + a[None, :])
                add_to(table[:, None] + WRITE_Y + i * BP + b[None, :],
                       tl.sum(d_c * row[:, None, :], 2), start)  # fmt: skip
                tl.store(table[:, None] + THROUGH + k * AP + a[None, :],
                         tl.sum(d_c * f_y[:, :, None], 1))  # fmt: skip
            tl.debug_barrier()
        n = tl.arange(0, NRP)[None, :, None]
        d_f = tl.load(table[:, None, None] + READ_Y + n * BP + b[None, None, :], mask=n < NR,
                      other=0.0)  # fmt: skip
        d_g_y, delta_y, sigma_y, through = filters_backward(
            table, d_f, g_y, delta, sigma, NR, NRP, BP, FILTERS
        )
        d_f = tl.load(table[:, None, None] + READ_X + n * AP + a[None, None, :], mask=n < NR,
                      other=0.0)  # fmt: skip
        d_g_x, delta_x, sigma_x, _ = filters_backward(
            table + RX, d_f, g_x, delta, sigma, NR, NRP, AP, FILTERS
        )
        store_controls(d_out, out, d_g_x, d_g_y, sigma_x + sigma_y, delta_x + delta_y, through,
                       delta, A, B)  # fmt: skip
        n = tl.arange(0, NWP)[None, :, None]
        d_f = tl.load(table[:, None, None] + WRITE_Y + n * BP + b[None, None, :], mask=n < NW,
                      other=0.0)  # fmt: skip
        d_g_y, delta_y, sigma_y, through = filters_backward(
            table + WY, d_f, w_g_y, w_delta, w_sigma, NW, NWP, BP, FILTERS
        )
        d_f = patch_backward(out + 10, d_out + 10, table, WX, THROUGH, scale, C, NW, NWP, AP)
        d_g_x, delta_x, sigma_x, _ = filters_backward(
            table + WX, d_f, w_g_x, w_delta, w_sigma, NW, NWP, AP, FILTERS
        )
        store_controls(d_out + 5, out + 5, d_g_x, d_g_y, sigma_x + sigma_y, delta_x + delta_y,
                       -through, w_delta, A, B)  # fmt: skip
