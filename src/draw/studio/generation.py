"""Generation of new images, a few at a time, so that the first are seen while the rest are made."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from draw.data.sources.labels import LARGEST_LABEL
from draw.errors import DrawError
from draw.parts.state import NO_LABEL, Trajectory
from draw.studio.class_names import class_words
from draw.studio.models import Shelf
from draw.studio.numbers import real, whole
from draw.studio.player import Show, part

MOST_IMAGES, LARGEST_SEED, MOST_HEAT = 64, 2**32 - 1, 2.0
MOST_GUIDANCE = 5.0
EACH, NONE = "each in turn", "none"
"""Words for classes: each of them in turn, and no class where a model can draw without."""
FIRST, LARGEST_PART = 4, 16
"""Number of images that are drawn at first, and at most at a time."""


@dataclass(frozen=True)
class Request:
    """A request for new images; the same request gives the same images."""

    model: str
    n: int
    seed: int
    temperature: float
    label: int | None = None
    """Class of all drawings, for a class-conditional model: -1 for none, None for each in turn."""
    guidance: float = 1.0
    """How clearly the class shows, as in `DRAW.generate`."""


def request(
    model: Any, n: Any, seed: Any, temperature: Any, label: Any = None, guidance: Any = 1.0
) -> Request:
    """Make a request from the fields of a form.

    Args:
        model: name of the model.
        n: number of images.
        seed: seed of their noise.
        temperature: how far from average they are.
        label: class as `class_of` reads it.
        guidance: how clearly the class shows; 1 in any case where there is none to show.

    Raises:
        DrawError: if a number is missing or out of its range.
    """
    chosen = class_of(label)
    clearly = real("the guidance", guidance, 0.0, MOST_GUIDANCE)
    return Request(
        str(model),
        whole("the number of images", n, 1, MOST_IMAGES),
        whole("the seed", seed, 0, LARGEST_SEED),
        real("the temperature", temperature, 0.0, MOST_HEAT),
        chosen,
        1.0 if chosen == NO_LABEL else clearly,
    )


def class_of(choice: Any) -> int | None:
    """Class that a choice means: `EACH`, `NONE`, or a number; None for each in turn.

    Raises:
        DrawError: if it means none of them.
    """
    if choice in (None, "", EACH):
        return None
    if choice == NONE:
        return NO_LABEL
    if isinstance(choice, str):
        if not choice.isascii() or not choice.isdigit():
            raise DrawError(
                f"expected the class to be {EACH!r}, {NONE!r} or a number from 0, got "
                f"{choice!r:.40}; choose one of the list"
            )
        choice = int(choice)
    return whole("the class", choice, NO_LABEL, LARGEST_LABEL)


def class_choices(shelf: Shelf, name: str | None) -> list[tuple[str, str]]:
    """What the class of a model's drawings can be; only `EACH` where it takes none.

    Each is in words, with the name of a class where that is known, and as `class_of` reads it.
    """
    words = class_words(shelf, name)
    numbers = [(words(number), str(number)) for number in range(classes(shelf, name) or 0)]
    return [(EACH, EACH), *([(NONE, NONE)] if guides(shelf, name) else []), *numbers]


def generate(shelf: Shelf, asked: Request) -> Iterator[Show]:
    """Yield the drawings so far, again and again until all are there."""
    show, done, size = None, 0, FIRST
    identity = secrets.token_hex(8)
    while done < asked.n:
        size = min(size, asked.n - done)
        with shelf.use(asked.model) as loaded:
            model = loaded.drawing
            noise = model.noise_for(done + size, asked.seed)[:, done:]
            labels = model.labels_for(done + size, asked.label)
            drawn = model.generate(
                size, noise=noise, temperature=asked.temperature,
                labels=None if labels is None else labels[done:], guidance=asked.guidance,
            )  # fmt: skip
            config = model.config
        made = part(drawn)
        parts = (*(show.parts if show else ()), made)
        show = Show(
            identity, "drawings", config.glimpses, config.rows, config.columns, parts,
            total=asked.n, origin=_origin(asked, labels),
        )  # fmt: skip
        yield show
        done, size = done + size, min(2 * size, LARGEST_PART)


def _origin(asked: Request, labels: Tensor | None) -> dict[str, Any]:
    """What the page needs to draw the same by itself."""
    return {
        "model": asked.model,
        "seed": asked.seed,
        "temperature": asked.temperature,
        "guidance": asked.guidance,
        "labels": None if labels is None else [n if n >= 0 else None for n in labels.tolist()],
    }


def trajectory(shelf: Shelf, asked: Request) -> Trajectory:
    """Draw the images of a request as a whole, for files."""
    with shelf.use(asked.model) as loaded:
        model = loaded.drawing
        return model.generate(
            asked.n, seed=asked.seed, temperature=asked.temperature,
            labels=model.labels_for(asked.n, asked.label), guidance=asked.guidance,
        )  # fmt: skip


def file_stem(asked: Request) -> str:
    """Name, without suffix, for files of a request's images."""
    stem = "".join(c if c.isalnum() else "-" for c in asked.model).strip("-")
    if not stem:
        raise DrawError(f"expected a model with a name, got {asked.model!r}")
    of_class = "" if asked.label is None else f"-class-{asked.label}"
    return f"{stem}{of_class}-seed-{asked.seed}"


def classes(shelf: Shelf, name: str | None) -> int | None:
    """Number of classes of a class-conditional model; None for another, or if it does not load."""
    try:
        with shelf.use(name) as loaded:
            model = loaded.drawing
            return model.config.classes if model.condition.takes_labels else None
    except (DrawError, OSError):
        return None


def guides(shelf: Shelf, name: str | None) -> bool:
    """Whether a model has learned to draw with a class and without; not if it cannot be had."""
    try:
        with shelf.use(name) as loaded:
            return loaded.drawing.config.label_dropout > 0
    except (DrawError, OSError):
        return False
