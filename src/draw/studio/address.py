"""The address of the page: what a link restores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from draw.errors import DrawError
from draw.parts.state import NO_LABEL
from draw.studio.generation import (
    EACH,
    LARGEST_SEED,
    MOST_GUIDANCE,
    MOST_HEAT,
    MOST_IMAGES,
    NONE,
    class_of,
)
from draw.studio.numbers import real, whole

LONGEST_LINK = 2000
"""Most characters of a link that are read."""
NUMBERS: dict[str, Callable[[float], float]] = {
    "number": lambda value: whole("the number of images", value, 1, MOST_IMAGES),
    "seed": lambda value: whole("the seed", value, 0, LARGEST_SEED),
    "temperature": lambda value: real("the temperature", value, 0.0, MOST_HEAT),
    "guidance": lambda value: real("the guidance", value, 0.0, MOST_GUIDANCE),
}
"""The numbers in a link, and what they may be."""
LABEL = "label"
"""The class in a link, in the words of the page or as a number."""


@dataclass(frozen=True)
class Link:
    """What a link restores."""

    values: dict[str, Any]
    """Values of fields by name: tab, model, `LABEL`, and those of `NUMBERS`."""
    lacking: str
    """Words for what it names and the page does not have; none if there is nothing."""


def restore(text: str | None, models: Sequence[str], tabs: Sequence[str]) -> Link:
    """Read what stands behind the # of the page's address; some of it is the page's own.

    Args:
        text: the part of the address, as form data.
        models: models that there are.
        tabs: tabs that there are.
    """
    values: dict[str, Any] = {}
    lacking: list[str] = []
    for name, value in parse_qsl((text or "")[:LONGEST_LINK]):
        known = {"model": models, "tab": tabs}.get(name)
        if known is not None and value in known:
            values[name] = value
        elif known is not None:
            lacking.append(f"there is no {name} {value!r} here")
        elif name in NUMBERS or name == LABEL:
            try:
                values[name] = NUMBERS[name](float(value)) if name in NUMBERS else _class(value)
            except (DrawError, ValueError, OverflowError):
                lacking.append(f"{value!r} is no {name}")
    return Link(values, "; ".join(lacking))


def _class(text: str) -> str:
    """The choice of a class that a link names; links from before there were words have numbers."""
    if text == str(NO_LABEL):
        return NONE
    number = class_of(text)
    return {None: EACH, NO_LABEL: NONE}.get(number, str(number))
