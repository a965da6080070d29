"""The random numbers of `draw.philox` by one kernel, where Triton runs; elsewhere by torch."""

import logging
from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from draw import philox
from draw.kernels.gpu.philox_kernel import draw_numbers
from draw.kernels.gpu.triton_backend import unfit
from draw.kernels.proof import in_a_thread

log = logging.getLogger(__name__)
BLOCKS = 256
"""Blocks of four numbers that a program draws."""
TOLERANCE = 1e-5
"""Largest difference of a normal number, by the rounding of logarithm, sine and cosine."""


def uniform(
    seed: int, purpose: int, step: Int[Tensor, ""], images: range, count: int
) -> Float[Tensor, "images count"]:
    """Draw the numbers of `draw.philox.uniform`.

    Args:
        seed: below 2^64.
        purpose: purpose of the numbers, one of those of `draw.randomness`.
        step: step of training, int64, on the device that draws.
        images: rows of the batch.
        count: numbers of each image.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    if obstacle(step.device) is not None:
        return philox.uniform(seed, purpose, step, images, count)
    return kernel_numbers(seed, purpose, step, images, count, normal=False)


def normal(
    seed: int, purpose: int, step: Int[Tensor, ""], images: range, count: int
) -> Float[Tensor, "images count"]:
    """Draw the numbers of `draw.philox.normal`, but for how logarithm, sine and cosine round.

    Args:
        seed: below 2^64.
        purpose: purpose of the numbers, one of those of `draw.randomness`.
        step: step of training, int64, on the device that draws.
        images: rows of the batch.
        count: numbers of each image.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    if obstacle(step.device) is not None:
        return philox.normal(seed, purpose, step, images, count)
    return kernel_numbers(seed, purpose, step, images, count, normal=True)


def obstacle(device: torch.device) -> str | None:
    """Say why the kernel does not draw on a device; None where it does, which it has shown there.

    Args:
        device: device that is to draw.
    """
    return _unshown(device) if device.type == "cuda" else "it is for GPUs"


@cache
def _unshown(device: torch.device) -> str | None:
    found = unfit(device)
    if found is None:
        try:
            found = in_a_thread(lambda: difference(device))
        except Exception as error:
            found = f"the kernel fails ({type(error).__name__}: {error})"
    if found is not None:
        log.info("noise is drawn by operations of torch: %s", found)
    return found


def difference(device: torch.device) -> str | None:
    """Say in which numbers kernel and torch differ on a device; None where they are the same."""
    given: Any = 2**64 - 2, 1, torch.tensor(7, device=device), range(3, 6), 4 * BLOCKS + 3
    mine = kernel_numbers(*given, normal=False)
    if not torch.equal(mine, philox.uniform(*given)):
        return "the kernel draws other uniform numbers than torch"
    apart = (kernel_numbers(*given, normal=True) - philox.normal(*given)).abs().max().item()
    if not apart <= TOLERANCE:
        return f"the kernel draws other normal numbers than torch, {apart:.1g} apart"
    return None


def kernel_numbers(
    seed: int, purpose: int, step: Int[Tensor, ""], images: range, count: int, *, normal: bool
) -> Float[Tensor, "images count"]:
    """Draw uniform or normal numbers by the kernel, whatever the device.

    Args:
        seed: below 2^64.
        purpose: purpose of the numbers.
        step: step of training, int64, on the device that draws.
        images: rows of the batch.
        count: numbers of each image.
        normal: whether the numbers are standard normal, or else uniform.

    Raises:
        DrawError: if the seed is too large or negative.
    """
    philox.check_seed(seed)
    numbers = torch.empty(len(images), count, device=step.device)
    if numbers.numel() == 0:
        return numbers
    k0, k1 = (word - 2**32 * (word >= 2**31) for word in (seed & philox.WORD, seed >> 32))
    grid = len(images), -(-count // (4 * BLOCKS))
    with torch.cuda.device_of(step):  # type: ignore[no-untyped-call]
        draw_numbers[grid](
            numbers, step, images.start, count, k0, k1,
            PURPOSE=purpose, NORMAL=normal, BLOCKS=BLOCKS, ROUNDS=philox.ROUNDS,
        )  # fmt: skip
    return numbers
