"""The rest of a picture of which a half is known, as the player shows it."""

import secrets

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from draw.errors import DrawError
from draw.model.completion import PARTICLES
from draw.model.draw import DRAW
from draw.parts.state import Trajectory
from draw.studio.class_names import class_words, in_markdown
from draw.studio.image_source import model_input
from draw.studio.models import Shelf
from draw.studio.pictures import Pixels
from draw.studio.player import Show, part
from draw.visualize.completions import HALVES, half_mask

ANSWERS = 5


def complete(
    shelf: Shelf,
    name: str | None,
    pixels: Pixels,
    half: str,
    seed: int = 0,
    label: int | None = None,
) -> tuple[Show, str]:
    """Draw what is not known of an image, several times; and say how sure the choice is.

    Args:
        shelf: where the model is.
        name: what it is called.
        pixels: the image, of which the other half has no effect.
        half: the half that is known, of `HALVES`.
        seed: seed of all chance.
        label: class of the image, where it is known; otherwise a model that needs one is given that
            under which the known half costs least.

    Raises:
        DrawError: if there is no such half, or the image is not the model's.
    """
    if half not in HALVES:
        raise DrawError(f"expected a half of {', '.join(HALVES)}, got {half!r}")
    with shelf.use(name) as loaded:
        model = loaded.drawing
        config = model.config
        x = model_input(loaded, pixels, seed).to(model.canvas_0)
        mask = half_mask(half, config.image_shape).to(x.device)
        labels, told = None, ""
        if model.condition.takes_labels and not config.label_dropout:
            chosen = _likeliest_class(model, x, mask, seed) if label is None else label
            labels = torch.tensor([chosen], device=x.device)
            why = ", under which the known half costs the fewest nats" if label is None else ""
            words = in_markdown(class_words(shelf, name)(chosen))
            told = f" The network was told that the image is of class {words}{why}."
        found = model.complete(x, mask, ANSWERS, seed=seed, labels=labels)
    answers = found.images[:, 0]
    given = x.where(mask, torch.full_like(x, 0.5))
    drawn = Trajectory(torch.cat([given, answers]).logit()[None], None, None)
    captions = ("known", *(f"answer {k}" for k in range(1, ANSWERS + 1)))
    show = Show(
        secrets.token_hex(8), "drawings", 1, config.rows, config.columns, (part(drawn),), captions
    )
    if found.known_nats is None or found.effective_samples is None:
        return show, f"The {half} half is known, and each answer was drawn by a model told of it."
    effective = float(np.mean(found.effective_samples.tolist()))
    return show, (
        f"The {half} half is known: {float(found.known_nats[0]):.1f} nats. Each answer was chosen "
        f"among {PARTICLES} drawings, of which {effective:.1f} had a say.{told}"
    )


def _likeliest_class(
    model: DRAW,
    image: Float[Tensor, "1 channels rows columns"],
    mask: Bool[Tensor, "rows columns"],
    seed: int,
) -> int:
    """The class under which the known pixels cost least, by the same chance for each."""
    classes = torch.arange(model.config.classes, device=image.device)[:, None]
    found = [model.complete(image, mask, 1, seed=seed, labels=each).known_nats for each in classes]
    return int(torch.cat([nats for nats in found if nats is not None]).argmin())
