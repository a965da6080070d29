"""Device functions: a barrier, nonlinearities, and the LSTM cell over tiles of its units.

Operands lie in rows of activations, one for each image: [h_enc | r | h_dec | z], each part padded
to whole tiles with zeros.
"""

from draw.kernels.gpu.language import jit, tl


@jit
def meet(counter, meetings, PARTS: tl.constexpr):
    """Wait until all that the parts of a group wrote before can be read by each of them.

    With one part it is the barrier of a program. `meetings` counts them, from 1.
    """
    tl.debug_barrier()
    if PARTS > 1:
        tl.atomic_add(counter, 1, sem="acq_rel", scope="gpu")
        while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < meetings * PARTS:
            pass
        tl.debug_barrier()


@jit
def tanh(x, FAST: tl.constexpr):
    """Hyperbolic tangent; fast, within 5e-4, by an instruction of the GPU."""
    if FAST:
        y = tl.inline_asm_elementwise(
            "tanh.approx.f32 $0, $1;", "=f,f", [x], dtype=tl.float32, is_pure=True, pack=1
        )
    else:
        y = 2 / (1 + tl.exp(-2 * x)) - 1
    return y


@jit
def sigmoid(x, FAST: tl.constexpr):
    """The logistic function of x."""
    if FAST:
        y = 0.5 * tanh(0.5 * x, FAST) + 0.5
    else:
        y = 1 / (1 + tl.exp(-x))
    return y


@jit
def product(
    operand, weights, rows, columns, COLUMNS: tl.constexpr, STRIDE: tl.constexpr,
    DEPTH: tl.constexpr, M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Some columns of operand [rows, STRIDE] times weights [DEPTH, COLUMNS]."""
    k = tl.arange(0, BK)
    left = operand + rows[:, None] * STRIDE + k[None, :]
    right = weights + k[:, None] * COLUMNS + columns[None, :]
    total = tl.zeros((M, BN), tl.float32)
    for _ in range(0, DEPTH, BK):
        a = tl.load(left, cache_modifier=".cg")
        total = tl.dot(a, tl.load(right), total, input_precision=PRECISION)
        left += BK
        right += BK * COLUMNS
    return total


@jit
def two_products(
    operand, weights, rows, columns, APART: tl.constexpr, COLUMNS: tl.constexpr,
    STRIDE: tl.constexpr, DEPTH: tl.constexpr, M: tl.constexpr, BN: tl.constexpr,
    BK: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Multiply as `product` does, for some columns and as many others that lie APART from them."""
    k = tl.arange(0, BK)
    left = operand + rows[:, None] * STRIDE + k[None, :]
    right = weights + k[:, None] * COLUMNS + columns[None, :]
    first = tl.zeros((M, BN), tl.float32)
    second = tl.zeros((M, BN), tl.float32)
    for _ in range(0, DEPTH, BK):
        a = tl.load(left, cache_modifier=".cg")
        first = tl.dot(a, tl.load(right), first, input_precision=PRECISION)
        second = tl.dot(a, tl.load(right + APART), second, input_precision=PRECISION)
        left += BK
        right += BK * COLUMNS
    return first, second


@jit
def lstm(
    operand, weights, bias, cell_before, cell_after, h_after, gates, rows, part,
    EACH: tl.constexpr, DEPTH: tl.constexpr, STRIDE: tl.constexpr, HP: tl.constexpr,
    M: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PARTS: tl.constexpr, KEEP: tl.constexpr,
    FAST: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """One step of an LSTM (eqs 5 and 7).

    Args:
        operand: [rows, STRIDE], of which DEPTH columns are multiplied.
        weights: [DEPTH, 4 HP], gates i, f, g, o.
        bias: [4 HP], or with EACH one for each image, [rows, 4 HP].
        cell_before: [rows, HP], float32.
        cell_after: gets the new one.
        h_after: gets h, [rows, STRIDE].
        gates: with KEEP gets i, f, g, o, [rows, 4 HP].
        rows: images of this program.
        part: this program's turn of the tiles, of PARTS.
    """
    k = tl.arange(0, BK)
    left_0 = operand + rows[:, None] * STRIDE + k[None, :]
    for n in range(0, HP, PARTS * BN):
        columns = n + part * BN + tl.arange(0, BN)
        left = left_0
        right = weights + k[:, None] * (4 * HP) + columns[None, :]
        i = tl.zeros((M, BN), tl.float32)
        f = tl.zeros((M, BN), tl.float32)
        g = tl.zeros((M, BN), tl.float32)
        o = tl.zeros((M, BN), tl.float32)
        for _ in range(0, DEPTH, BK):
            a = tl.load(left, cache_modifier=".cg")
            i = tl.dot(a, tl.load(right), i, input_precision=PRECISION)
            f = tl.dot(a, tl.load(right + HP), f, input_precision=PRECISION)
            g = tl.dot(a, tl.load(right + 2 * HP), g, input_precision=PRECISION)
            o = tl.dot(a, tl.load(right + 3 * HP), o, input_precision=PRECISION)
            left += BK
            right += BK * 4 * HP
        if EACH:
            b = bias + rows[:, None] * (4 * HP) + columns[None, :]
            i += tl.load(b)
            f += tl.load(b + HP)
            g += tl.load(b + 2 * HP)
            o += tl.load(b + 3 * HP)
        else:
            i += tl.load(bias + columns)[None, :]
            f += tl.load(bias + HP + columns)[None, :]
            g += tl.load(bias + 2 * HP + columns)[None, :]
            o += tl.load(bias + 3 * HP + columns)[None, :]
        i = sigmoid(i, FAST)
        f = sigmoid(f, FAST)
        g = tanh(g, FAST)
        o = sigmoid(o, FAST)
        at = rows[:, None] * HP + columns[None, :]
        c = f * tl.load(cell_before + at) + i * g
        tl.store(cell_after + at, c)
        tl.store(h_after + rows[:, None] * STRIDE + columns[None, :], o * tanh(c, FAST))
        if KEEP:
            to = gates + rows[:, None] * (4 * HP) + columns[None, :]
            tl.store(to, i)
            tl.store(to + HP, f)
            tl.store(to + 2 * HP, g)
            tl.store(to + 3 * HP, o)


@jit
def lstm_backward(
    operand, weights, d_h, d_cell, gates, cell_before, cell_after, d_gates, rows, part,
    DEPTH: tl.constexpr, STRIDE: tl.constexpr, HP: tl.constexpr, M: tl.constexpr,
    BN: tl.constexpr, BK: tl.constexpr, PARTS: tl.constexpr, FAST: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the gates (eqs 5 and 7), from those of h: d_h plus a product.

    Args:
        operand: gradient of what was made from h, [rows, STRIDE].
        weights: [DEPTH, HP], which made it, transposed.
        d_h: from all later steps, [rows, HP], float32.
        d_cell: gradient of c; replaced by that of c before, [rows, HP], float32.
        gates: i, f, g, o, [rows, 4 HP].
        cell_before: [rows, HP].
        cell_after: [rows, HP].
        d_gates: gets the gradient of what the nonlinearities were given, [rows, 4 HP].
        rows: images of this program.
        part: this program's turn of the tiles, of PARTS.
    """
    for n in range(0, HP, PARTS * BN):
        columns = n + part * BN + tl.arange(0, BN)
        at = rows[:, None] * HP + columns[None, :]
        of_gates = rows[:, None] * (4 * HP) + columns[None, :]
        slope = product(operand, weights, rows, columns, HP, STRIDE, DEPTH, M, BN, BK, PRECISION)
        slope += tl.load(d_h + at)
        i = tl.load(gates + of_gates).to(tl.float32)
        f = tl.load(gates + of_gates + HP).to(tl.float32)
        g = tl.load(gates + of_gates + 2 * HP).to(tl.float32)
        o = tl.load(gates + of_gates + 3 * HP).to(tl.float32)
        tanh_c = tanh(tl.load(cell_after + at), FAST)
        d_c = tl.load(d_cell + at) + slope * o * (1 - tanh_c * tanh_c)
        to = d_gates + of_gates
        tl.store(to, d_c * g * i * (1 - i))
        tl.store(to + HP, d_c * tl.load(cell_before + at) * f * (1 - f))
        tl.store(to + 2 * HP, d_c * i * (1 - g * g))
        tl.store(to + 3 * HP, slope * tanh_c * o * (1 - o))
        tl.store(d_cell + at, d_c * f)
