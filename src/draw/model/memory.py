"""Refusal of what cannot fit into memory, with an estimate, before any of it is allocated."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from draw.config.model import DRAWConfig, ModelConfig
from draw.errors import DrawError

LIMITS = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files with the memory limit of a container (control groups, version 2 and 1)."""
BYTES = 4
"""Bytes of one number in fp32."""


class TooLargeError(DrawError):
    """More memory is needed than there is."""


def memory() -> int:
    """Bytes of memory of this computer, or of the container that the process runs in."""
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
    """Refuse what needs more memory than there is.

    Args:
        what: what needs the memory, in words.
        needed: bytes that are needed in any case.
        advice: what the user can do, for the message.

    Raises:
        TooLargeError: if more is needed than there is.
    """
    there = memory()
    if needed > there:
        raise TooLargeError(
            f"{what} does not fit into memory: at least {needed / 2**30:,.1f} GiB, expected at "
            f"most the {there / 2**30:,.1f} GiB of this computer; {advice}"
        )


def weightless(make: Callable[[], nn.Module], copies: int = 1) -> nn.Module:
    """Build a model on the meta device, without memory for its weights, once they are known to fit.

    Args:
        make: function that builds the model.
        copies: how many numbers are needed for each weight, such as 4 with gradient and Adam's
            moments.

    Raises:
        TooLargeError: if the weights cannot fit.
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
    """Refuse a batch of images whose activations at every glimpse cannot fit into memory.

    Args:
        config: the model's config.
        images: number of images in the batch.

    Raises:
        TooLargeError: if the batch cannot fit.
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
    """Refuse drawings whose canvases of every step, and codes, cannot fit into memory.

    Args:
        config: the model's config.
        images: number of drawings.

    Raises:
        TooLargeError: if the drawings cannot fit.
    """
    channels, rows, columns = config.image_shape
    several = "s" if images > 1 else ""
    check_memory(
        f"a set of {images:,} drawing{several} of {rows:,}x{columns:,}x{channels} in "
        f"{config.glimpses:,} glimpses",
        images * config.glimpses * (channels * rows * columns + config.latent_size) * BYTES,
        "choose fewer, or a smaller model",
    )


def saved_per_image(loss: Callable[[int], object]) -> int:
    """Count the bytes that autograd keeps of one image until its gradient is computed.

    Args:
        loss: computes the loss of so many images, on the CPU.
    """

    def saved(images: int) -> int:
        storages: dict[int, torch.UntypedStorage] = {}

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            storages[storage.data_ptr()] = storage  # held, so that no other gets its place
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            result = loss(images)
        del result
        return sum(storage.nbytes() for storage in storages.values())

    return saved(2) - saved(1)


def batch_that_fits(tried: int, per_image: int, weights: int, there: int) -> int:
    """Estimate the largest batch, a power of two, that fits where a larger one did not.

    A fifth of the memory is left for what else lies there, and what is computed in passing.

    Args:
        tried: images that did not fit.
        per_image: bytes that are kept of each image; see `saved_per_image`.
        weights: bytes of the weights, which are there five times in training: themselves, their
            gradient, their average and Adam's two.
        there: bytes of memory of the device.

    Returns:
        Number of images, less than were tried; 0 if not even one fits.
    """
    most = min((0.8 * there - 5 * weights) / max(per_image, 1), tried - 1)
    return 0 if most < 1 else 1 << (int(most).bit_length() - 1)


@contextmanager
def advise_smaller_batches(tried: int, flag: str) -> Iterator[None]:
    """Make of an error that there was no memory left one that says which batch to take.

    Args:
        tried: images at a time.
        flag: option that says so.

    Raises:
        TooLargeError: in the place of such an error.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        advice = f"pass {flag} {tried // 2}" if tried > 1 else "choose a smaller model"
        reason = str(error).partition("\n")[0]
        raise TooLargeError(
            f"{tried:,} images at a time do not fit into memory; {advice} ({reason})"
        ) from error


def memory_of(device: torch.device) -> int:
    """Count the bytes of memory of a device, or of this computer where the device has none."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return memory()


def ran_out(error: BaseException) -> bool:
    """Whether an exception says that the memory of the computer or of its GPU is exhausted."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
