"""Random numbers by counter, on any device: the generator Philox 4x32-10.

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A block of
four numbers is a function of its counter and a key alone, computed with integers, so that it is the
same on every device, and nothing has to be made in order. Here the key is the seed, and a counter
says which block of which image at which step for which purpose (`draw.randomness`). Uniform numbers
are the same everywhere; normal ones to the rounding of logarithm, sine and cosine.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from draw.errors import DrawError

ROUNDS = 10
MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
KEY_STEPS = 0x9E3779B9, 0xBB67AE85
"""What the two words of the key grow by from round to round: golden ratio, sqrt(3) - 1."""
WORD = 0xFFFFFFFF
"""The bits of a word of 32. Words are held in int64: no device multiplies unsigned ones."""

Words = tuple[Tensor, Tensor, Tensor, Tensor]


def check_seed(seed: int) -> None:
    """Refuse a seed that a key of 64 bits cannot hold.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    if not 0 <= seed < 2**64:
        raise DrawError(f"expected a seed from 0 to {2**64 - 1}, got {seed}")


def philox(counter: Sequence[Tensor], key: tuple[int, int]) -> Words:
    """Compute four random words for each counter.

    Args:
        counter: four words, int64 from 0 to 2^32 - 1, of shapes that broadcast.
        key: two words.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(ROUNDS):
        # 64 bits of a product of two words, as they are whatever int64 makes of the highest
        product_0, product_1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        c0, c1 = (product_1 >> 32 ^ c1 ^ k0) & WORD, product_1 & WORD
        c2, c3 = (product_0 >> 32 ^ c3 ^ k1) & WORD, product_0 & WORD
        k0, k1 = (k0 + KEY_STEPS[0]) & WORD, (k1 + KEY_STEPS[1]) & WORD
    return c0, c1, c2, c3


def _words(seed: int, purpose: int, step: Tensor, images: range, count: int) -> Words:
    """Words [image, block], enough blocks for `count` words of each image."""
    check_seed(seed)
    device = step.device
    block = torch.arange(math.ceil(count / 4), device=device)
    image = torch.arange(images.start, images.stop, device=device)[:, None]
    of_purpose = torch.full((), purpose, device=device)
    return philox((block, image, step, of_purpose), (seed & WORD, seed >> 32))


def _rows(parts: list[Tensor], count: int) -> Tensor:
    """[image, count]: number i of an image is part i mod 4 of its block i // 4."""
    return torch.stack(parts, -1).flatten(1)[:, :count]


def uniform(
    seed: int, purpose: int, step: Int[Tensor, ""], images: range, count: int
) -> Float[Tensor, "images count"]:
    """Random numbers in [0, 1), multiples of 2^-24, on the device of `step`.

    Args:
        seed: below 2^64.
        purpose: purpose of the numbers, one of those of `draw.randomness`.
        step: step of training, int64: a tensor, so that a captured graph meets its present value.
        images: rows of the batch; each has numbers of its own, whoever asks for it.
        count: numbers of each image; the first ones do not depend on how many.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    words = _words(seed, purpose, step, images, count)
    return _rows([(word >> 8).float() * 2**-24 for word in words], count)


def normal(
    seed: int, purpose: int, step: Int[Tensor, ""], images: range, count: int
) -> Float[Tensor, "images count"]:
    """Standard normal numbers (Box and Muller), none beyond 6.8; arguments as in `uniform`.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    w0, w1, w2, w3 = _words(seed, purpose, step, images, count)
    parts = []
    for length, angle in ((w0, w1), (w2, w3)):
        # (0, 1]: of 0 there is no logarithm
        radius = (-2 * (length.float() * 2**-32 + 2**-33).log()).sqrt()
        turn = (angle >> 8).float() * (2**-24 * 2 * math.pi)
        parts += [radius * turn.cos(), radius * turn.sin()]
    return _rows(parts, count)
