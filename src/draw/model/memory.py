"""What cannot fit into memory is refused, with an estimate, before any of it is allocated."""

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from draw.config.model import DRAWConfig, ModelConfig
from draw.errors import DrawError

LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""What a container may use, where there is one (version 2, and 1 of control groups)."""
BYTES = 4
"""Of one number in fp32."""


class TooLargeError(DrawError):
    """What was asked for needs more memory than there is."""


def memory() -> int:
    """Bytes of memory of this computer, or of the container that this runs in."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for limit in LIMITS:
        try:
            text = limit.read_text()
        except OSError:
            continue
        if text.strip().isdigit():
            sizes.append(int(text))
    return min(sizes)


def check_memory(what: str, needed: int, advice: str) -> None:
    """Compare what is needed with what there is.

    Args:
        what: needs it.
        needed: bytes, those that are needed in any case.
        advice: what to do.

    Raises:
        TooLargeError: if it cannot fit.
    """
    there = memory()
    if needed > there:
        raise TooLargeError(
            f"{what} does not fit into memory: at least {needed / 2**30:,.1f} GiB, expected at "
            f"most the {there / 2**30:,.1f} GiB of this computer; {advice}"
        )


def weightless(make: Callable[[], nn.Module], copies: int = 1) -> nn.Module:
    """A model that knows the shapes of its weights and holds none, once they are known to fit.

    Args:
        make: makes the model.
        copies: how many numbers there are for each weight.

    Raises:
        TooLargeError: if the weights of the model itself cannot fit.
    """
    try:
        with torch.device("meta"):
            model = make()
        needed = sum(one.numel() * one.element_size() for one in model.state_dict().values())
    except (RuntimeError, OverflowError) as error:  # more than 64 bits can count
        if "overflow" not in str(error):
            raise
        model, needed = nn.Module(), 2**63
    check_memory("the model", needed * copies, "choose smaller sizes")
    return model


def check_batch(config: ModelConfig, images: int) -> None:
    """See that some images fit, and what a model computes of each at every glimpse.

    Args:
        config: the model's.
        images: how many at once.

    Raises:
        TooLargeError: if they cannot fit.
    """
    channels, rows, columns = config.image_shape
    several = "s" if images > 1 else ""
    glimpses, numbers = config.activations
    check_memory(
        f"a batch of {images:,} image{several} of {rows:,}x{columns:,}x{channels} in "
        f"{glimpses:,} glimpses",
        images * (channels * rows * columns + glimpses * numbers) * BYTES,
        "choose fewer, or a smaller model",
    )


def check_drawings(config: DRAWConfig, images: int) -> None:
    """See that the canvases of every step fit, and the codes that they are drawn from.

    Args:
        config: the model's.
        images: how many at once.

    Raises:
        TooLargeError: if they cannot fit.
    """
    channels, rows, columns = config.image_shape
    several = "s" if images > 1 else ""
    check_memory(
        f"a set of {images:,} drawing{several} of {rows:,}x{columns:,}x{channels} in "
        f"{config.glimpses:,} glimpses",
        images * config.glimpses * (channels * rows * columns + config.latent_size) * BYTES,
        "choose fewer, or a smaller model",
    )


def ran_out(error: BaseException) -> bool:
    """Whether an error says that there was no memory left, of the computer or of its GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
