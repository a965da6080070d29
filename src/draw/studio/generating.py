"""New images: drawn a few at a time, so that the first are seen while the rest are being made."""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from draw.errors import DrawError
from draw.parts.state import Trajectory
from draw.studio.models import Shelf
from draw.studio.numbers import real, whole
from draw.studio.player import Show, part

MOST_IMAGES, LARGEST_SEED, MOST_HEAT = 64, 2**32 - 1, 2.0
FIRST, LARGEST_PART = 4, 16
"""Images that are drawn at a time: few at first."""


@dataclass(frozen=True)
class Request:
    """What to draw; the same request gives the same images."""

    model: str
    n: int
    seed: int
    temperature: float


def request(model: Any, n: Any, seed: Any, temperature: Any) -> Request:
    """What a form's fields ask for.

    Raises:
        DrawError: if a number is missing or out of its range.
    """
    return Request(
        str(model),
        whole("the number of images", n, 1, MOST_IMAGES),
        whole("the seed", seed, 0, LARGEST_SEED),
        real("the temperature", temperature, 0.0, MOST_HEAT),
    )


def generate(shelf: Shelf, asked: Request) -> Iterator[Show]:
    """The drawings so far, again and again until all are there."""
    show, done, size = None, 0, FIRST
    identity = secrets.token_hex(8)
    while done < asked.n:
        size = min(size, asked.n - done)
        with shelf.use(asked.model) as loaded:
            model = loaded.drawing
            noise = model.noise_for(done + size, asked.seed)[:, done:]
            drawn = model.generate(size, noise=noise, temperature=asked.temperature)
            config = model.config
        made = part(drawn, None, config.window_sizes[1])
        parts = (*(show.parts if show else ()), made)
        show = Show(
            identity, "drawings", config.glimpses, config.rows, config.columns, parts,
            total=asked.n,
        )  # fmt: skip
        yield show
        done, size = done + size, min(2 * size, LARGEST_PART)


def trajectory(shelf: Shelf, asked: Request) -> tuple[Trajectory, int | None]:
    """The same drawings as a whole, for files; and the size of the write window."""
    with shelf.use(asked.model) as loaded:
        model = loaded.drawing
        drawn = model.generate(asked.n, seed=asked.seed, temperature=asked.temperature)
        return drawn, model.config.window_sizes[1]


def described(asked: Request) -> str:
    """A name for files of it."""
    stem = "".join(c if c.isalnum() else "-" for c in asked.model).strip("-")
    if not stem:
        raise DrawError(f"expected a model with a name, got {asked.model!r}")
    return f"{stem}-seed-{asked.seed}"
