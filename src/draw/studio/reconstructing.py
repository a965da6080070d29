"""How a model draws a given image, and what it costs: the bound of eq 12, step by step."""

import secrets
from dataclasses import dataclass

import torch

from draw.parts.likelihood import bounds_likelihood, in_bits
from draw.parts.state import Trajectory
from draw.studio.images import binarized, seen
from draw.studio.models import Shelf
from draw.studio.pictures import Pixels
from draw.studio.player import Show, finite, part, sheet


@dataclass(frozen=True)
class Reconstruction:
    """A drawing of a given image, and its cost in nats."""

    show: Show
    image: torch.Tensor
    """[1, channels, rows, columns], as the model saw it."""
    trajectory: Trajectory
    window_sizes: tuple[int | None, int | None]
    bound: float
    """reconstruction + kl (eq 12)."""
    reconstruction: float
    """L^x (eq 9)."""
    kl: float
    """L^z (eq 11)."""
    bits_per_dimension: float | None
    binarized: bool
    """The image's pixels were drawn as 0 or 1 first."""
    likelihood: bool
    """The nats bound -log p(x); otherwise they are a cross-entropy of grey values."""


@torch.no_grad()
def reconstruct(shelf: Shelf, name: str | None, pixels: Pixels, seed: int = 0) -> Reconstruction:
    """Draw an image, 8 bits and of the model's shape, and measure how well.

    Raises:
        DrawError: if the model is none that draws.
    """
    with shelf.use(name) as loaded:
        model = loaded.drawing
        x = seen(loaded, pixels, seed).to(model.canvas_0.device)
        noise = model.noise_for(1, seed)
        output = model(x, noise)
        drawn = model.reconstruct(x, noise)
        costs = [float(model.likelihood(canvas, x)) for canvas in drawn.canvases]
        dynamic = binarized(loaded, pixels)
    config = model.config
    made = part(drawn, *config.window_sizes)
    made |= {
        "originals": sheet(x[None]),
        "kl": finite(output.kl[0].tolist()),
        "costs": finite(costs),
    }
    show = Show(
        secrets.token_hex(8), "reconstruction", config.glimpses, config.rows, config.columns,
        (made,),
    )  # fmt: skip
    return Reconstruction(
        show=show,
        image=x.cpu(),
        trajectory=drawn,
        window_sizes=config.window_sizes,
        bound=float(output.bound),
        reconstruction=float(output.reconstruction),
        kl=float(output.kl.sum()),
        bits_per_dimension=in_bits(config, float(output.bound)),
        binarized=dynamic,
        likelihood=bounds_likelihood(config, binary=bool(((x == 0) | (x == 1)).all())),
    )


def told(made: Reconstruction) -> str:
    """The bound and its parts in a few sentences, in Markdown."""
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
    if made.binarized:
        words += (
            " Each pixel was drawn as black or white first, its grey value being the chance of "
            "white: the model knows of no other."
        )
    return words
