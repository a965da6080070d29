"""Reconstruction of a given image, and its cost: the bound of eq 12, step by step."""

import secrets
from dataclasses import dataclass

import torch
from torch import Tensor

from draw.model.draw import DRAW
from draw.parts.likelihood import bounds_likelihood, in_bits
from draw.parts.state import Trajectory
from draw.studio.class_names import class_words, in_markdown
from draw.studio.image_source import binarization, model_input
from draw.studio.models import Shelf
from draw.studio.pictures import Pixels
from draw.studio.player import Show, finite, part, sheet

CLASSES_AT_ONCE = 64
"""Number of classes that are compared in one batch."""


@dataclass(frozen=True)
class Reconstruction:
    """A drawing of a given image, and its cost in nats."""

    show: Show
    image: torch.Tensor
    """The image as the model saw it, [1, channels, rows, columns]."""
    trajectory: Trajectory
    bound: float
    """Upper bound on -log p(x): reconstruction + kl (eq 12)."""
    reconstruction: float
    """Reconstruction loss L^x (eq 9)."""
    kl: float
    """Latent loss L^z (eq 11)."""
    bits_per_dimension: float | None
    dynamic: bool
    """Whether the image's pixels were drawn as 0 or 1 first."""
    likelihood: bool
    """Whether the nats bound -log p(x); otherwise they are a cross-entropy of grey values."""
    label: int | None
    """Class that the drawing was conditioned on; None for an unconditional model."""
    guess: bool
    """Whether the label is the one of the lowest bound, since the image came without."""
    class_words: str = ""
    """The label, with the name of the class where that is known."""


@torch.no_grad()
def likeliest_class(model: DRAW, image: Tensor, noise: Tensor) -> int:
    """Find the class of the lowest bound on -log p(image | class), with the same noise for each.

    Args:
        model: a class-conditional model.
        image: image in [0, 1], [1, channels, rows, columns].
        noise: standard normal noise, [glimpses, 1, latent].
    """
    classes = torch.arange(model.config.classes, device=image.device)
    bounds = [
        model(image.expand(len(some), -1, -1, -1), noise.expand(-1, len(some), -1), some).bound
        for some in torch.split(classes, CLASSES_AT_ONCE)
    ]
    return int(torch.cat(bounds).argmin())


@torch.no_grad()
def reconstruct(
    shelf: Shelf, name: str | None, pixels: Pixels, seed: int = 0, label: int | None = None
) -> Reconstruction:
    """Draw an image, 8 bits and of the model's shape, and measure how well.

    Args:
        shelf: models in memory.
        name: name of the model.
        pixels: image, [channels, rows, columns].
        seed: seed of the noise.
        label: class of the image, where it is known; otherwise a class-conditional model is given
            the likeliest.

    Raises:
        DrawError: if the model is none that draws.
    """
    with shelf.use(name) as loaded:
        model = loaded.drawing
        x = model_input(loaded, pixels, seed).to(model.canvas_0.device)
        noise = model.noise_for(1, seed)
        labels, guessed = None, False
        if model.condition.takes_labels:
            guessed = label is None
            if label is None:
                label = likeliest_class(model, x, noise)
            labels = model.labels_for(1, label)
        output = model(x, noise, labels)
        drawn = model.reconstruct(x, noise, labels=labels)
        costs = [float(model.likelihood(canvas, x)) for canvas in drawn.canvases]
        pixels_are = binarization(loaded, pixels)
    config = model.config
    made = part(drawn)
    made |= {
        "originals": sheet(x[None]),
        "kl": finite(output.kl[0].tolist()),
        "costs": finite(costs),
        "label": None if labels is None else label,
    }
    show = Show(
        secrets.token_hex(8), "reconstruction", config.glimpses, config.rows, config.columns,
        (made,),
    )  # fmt: skip
    return Reconstruction(
        show=show,
        image=x.cpu(),
        trajectory=drawn,
        bound=float(output.bound),
        reconstruction=float(output.reconstruction),
        kl=float(output.kl.sum()),
        bits_per_dimension=in_bits(config, float(output.bound)),
        dynamic=pixels_are == "dynamic",
        likelihood=bounds_likelihood(config, pixels_are),
        label=None if labels is None else label,
        guess=guessed,
        class_words="" if label is None else class_words(shelf, name)(label),
    )


def describe(made: Reconstruction) -> str:
    """Describe the bound and its parts in a few sentences, in Markdown."""
    bits = made.bits_per_dimension
    words = (
        f"**{made.bound:.1f} nats** in all: **{made.kl:.1f}** to tell the drawer what to draw (KL) "
        f"and **{made.reconstruction:.1f}** to correct what it drew (reconstruction)."
    )
    if bits is not None:
        words += f" That is {bits:.2f} bits for each number of the image."
    if made.likelihood:
        words += " This bounds -log p(x) from above: the lower, the less the image surprised it."
    else:
        words += (
            " The image has values between 0 and 1, where this model's likelihood knows of 0 and 1 "
            "alone: so the nats are a cross-entropy, which compares drawings of this image and no "
            "more."
        )
    words += " A nat is 1.44 bits."
    if made.dynamic:
        words += (
            " Each pixel was drawn as black or white first, its grey value being the chance of "
            "white: the model knows of no other."
        )
    if made.label is not None:
        words += (
            f" The network was told that the image is of class {in_markdown(made.class_words)}"
            + (
                ": of all classes the one with the fewest nats, for the image came without one."
                if made.guess
                else "."
            )
        )
    return words
