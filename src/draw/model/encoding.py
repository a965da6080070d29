"""The latents of whole data sets, in memory and as a file."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor

from draw.errors import DrawError
from draw.fields import Count, whole
from draw.files import write_atomically
from draw.model.checks import check_weights
from draw.model.preprocessing import ModelImages
from draw.randomness import GENERATION, image_noise
from draw.tensors import by_shapes

if TYPE_CHECKING:
    from draw.model.draw import DRAW


class Latents(NamedTuple):
    """Latents of a whole set of images: one row an image, on the CPU."""

    mu: Float[Tensor, "images glimpses latent"]
    """Means of the posterior of every step (eq 1)."""
    log_sigma: Float[Tensor, "images glimpses latent"]
    """Logarithms of its standard deviations (eq 2)."""
    z: Float[Tensor, "images glimpses latent"]
    """Codes, one sample of each step (eq 6)."""
    kl: Float[Tensor, "images glimpses"]
    """KL divergence of each step from the prior, in nats (eq 10)."""
    labels: Int[Tensor, " images"] | None
    """Class of each image; None for images without."""

    def __repr__(self) -> str:
        return by_shapes(self)


def latents(
    model: "DRAW",
    images: ModelImages,
    *,
    to: str | os.PathLike[str] | None = None,
    seed: int = 0,
    batch_size: int = 250,
) -> Latents:
    """Compute the latents of a whole set of images; see `DRAW.latents`.

    Args:
        model: a DRAW.
        images: images of the model's shape, from `draw.model.preprocessing.images_of`.
        to: file to write, which ends in .safetensors; None for none.
        seed: seed of the noise of the samples.
        batch_size: images at a time; only speed and memory depend on it.

    Raises:
        DrawError: if images or labels do not fit the model, or the file cannot be written.
    """
    if to is not None and Path(to).suffix != ".safetensors":
        raise DrawError(f"expected a file name that ends in .safetensors, got {str(to)!r}")
    batch_size = whole("batch_size", Count, batch_size)
    check_weights(model.state_dict().items(), "the model")
    shape = model.config.glimpses, model.config.latent_size
    told = images.labels if model.condition.takes_labels else None
    parts = []
    for start in range(0, images.count, batch_size):
        numbers = np.arange(start, min(start + batch_size, images.count))
        x = images.batch(numbers, seed).to(model.canvas_0)
        noise = image_noise(seed, GENERATION, numbers.tolist(), shape).to(x)
        classes = None if told is None else torch.from_numpy(told[numbers]).to(x.device)
        parts.append(model.encode(x, noise, labels=classes))
    mu, log_sigma, z = (
        torch.cat(steps, 1).transpose(0, 1).cpu().contiguous()
        for steps in zip(*(part[:3] for part in parts), strict=True)
    )
    kl = torch.cat([part.kl for part in parts]).cpu()
    classes = None if images.labels is None else torch.tensor(images.labels)
    made = Latents(mu, log_sigma, z, kl, classes)
    if to is not None:
        _write(made, Path(to), model, images.source, seed)
    return made


def _write(made: Latents, path: Path, model: "DRAW", source: str, seed: int) -> None:
    """Write latents with what they are of."""
    tensors = {
        name: value.contiguous() for name, value in made._asdict().items() if value is not None
    }
    facts = {
        "what": "latents of a DRAW model: mu, log_sigma and z [images, glimpses, latent], kl "
        "[images, glimpses] in nats",
        "model": json.dumps({"kind": model.config.kind, **asdict(model.config)}),
        "images": source,
        "seed": str(seed),
    }
    with write_atomically(path) as temporary:
        save_file(tensors, temporary, facts)
