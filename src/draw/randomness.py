"""Random numbers that depend on their purpose and counter, not on what was drawn before them.

Every draw names its purpose and its counter (a step of training, an image of a data set), so that a
resumed run, a second process or another batch size meets the same numbers.
"""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from draw.fields import AnySeed, whole

TRAINING, EVALUATION, GENERATION, ORDER, BINARIZE_TRAINING, BINARIZE_EVALUATION = range(6)
VIEW_TRAINING, VIEW_EVALUATION = 6, 7
LABELS_TRAINING = 8
COMPLETION, COMPLETION_CHOICE = 9, 10
REFINEMENT, DROPOUT_TRAINING, MASKS_TRAINING = 11, 12, 13
"""Purposes: each has a stream of its own."""

Stream = Literal["numpy", "philox"]
"""Name of the generator that the noise of a run comes from."""


def generator(seed: int, purpose: int, *counters: int) -> np.random.Generator:
    """Make the random generator of one purpose at one counter."""
    if type(seed) is not int or seed < 0:
        seed = whole("seed", AnySeed, seed)
    # A fixed width for each counter: NumPy would take (1, 0) and (1,) for the same key.
    words = [word for counter in counters for word in (counter & 0xFFFFFFFF, counter >> 32)]
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *words)))


def image_noise(
    seed: int, purpose: int, images: Iterable[int], shape: tuple[int, ...], sample: int = 0
) -> Float[Tensor, "..."]:
    """Standard normal noise [*shape[:-1], image, shape[-1]], each image's by its own number.

    Args:
        seed: any whole number of at least 0.
        purpose: one of the purposes of this module.
        images: numbers of the images in their data set.
        shape: shape of one image's noise, such as (glimpses, latent).
        sample: number of the sample, where there are several for the same image.
    """
    noise = [
        generator(seed, purpose, int(image), sample).standard_normal(shape, dtype=np.float32)
        for image in images
    ]
    if not noise:
        return torch.empty(*shape[:-1], 0, shape[-1])
    return torch.from_numpy(np.stack(noise, -2))
