"""The kernel of the generator Philox 4x32-10, for the numbers of `draw.philox`.

The generator itself is Triton's.
"""

from draw.kernels.gpu.language import jit, tl


@jit
def draw_numbers(
    numbers, step, first, count, k0, k1,
    PURPOSE: tl.constexpr, NORMAL: tl.constexpr, BLOCKS: tl.constexpr, ROUNDS: tl.constexpr,
):  # fmt: skip
    """Some numbers of one image: block, image, step and purpose are the counter, the seed the key.

    Args:
        numbers: gets uniform or NORMAL numbers, [images, count].
        step: step of training, one number of 64 bits.
        first: number of the first image.
        count: numbers of each image.
        k0: first word of the key, its bits as those of a signed number.
        k1: second word of the key.
    """
    row = tl.program_id(0)
    block = tl.program_id(1) * BLOCKS + tl.arange(0, BLOCKS)
    c0 = block.to(tl.uint32)
    nothing = c0 * 0
    c1 = nothing + (first + row).to(tl.uint32)
    c2 = nothing + tl.load(step).to(tl.uint32)
    c3 = nothing + PURPOSE
    key_0 = nothing + tl.full((), k0, tl.int32).to(tl.uint32, bitcast=True)
    key_1 = nothing + tl.full((), k1, tl.int32).to(tl.uint32, bitcast=True)
    w0, w1, w2, w3 = tl.philox_impl(c0, c1, c2, c3, key_0, key_1, ROUNDS)
    if NORMAL:
        n0, n1 = _box_muller(w0, w1)
        n2, n3 = _box_muller(w2, w3)
    else:
        n0, n1, n2, n3 = _unit(w0), _unit(w1), _unit(w2), _unit(w3)
    place = tl.program_id(1) * 4 * BLOCKS + tl.arange(0, 4 * BLOCKS)
    drawn = tl.interleave(tl.interleave(n0, n2), tl.interleave(n1, n3))
    tl.store(numbers + row.to(tl.int64) * count + place, drawn, mask=place < count)


@jit
def _unit(word):
    """A number in [0, 1), a multiple of 2^-24."""
    return (word >> 8).to(tl.float32) * 5.9604644775390625e-08


@jit
def _box_muller(length, angle):
    """Two normal numbers of two words, by the length and the angle of a point in the plane."""
    logarithm = tl.log(length.to(tl.float32) * 2.3283064365386963e-10 + 1.1641532182693481e-10)
    radius = tl.sqrt_rn(-2.0 * logarithm)
    turn = (angle >> 8).to(tl.float32) * 3.7450702829239286e-07  # 2 pi 2^-24
    return radius * tl.cos(turn), radius * tl.sin(turn)
