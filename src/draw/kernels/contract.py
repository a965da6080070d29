"""What a compiled kernel says of itself: what it takes of a model, and how the two are compared."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from draw.config.model import ModelConfig


class Trial(NamedTuple):
    """What a model's own code, or a kernel in its stead, makes of some inputs; by name."""

    outputs: dict[str, Tensor]
    """With gradients."""
    seen: dict[str, Tensor]
    """Without gradients: canvases and windows of every step."""


@dataclass(frozen=True, eq=False)
class Contract:
    """The part of a model that a compiled kernel computes in its stead."""

    parameters: Callable[[Any], Sequence[str]]
    """Names of the parameters that it takes, from a model's config; the first is the model's own,
    not one of a submodule."""
    obstacle: Callable[[Any], str | None]
    """What of a model's config it does not know; None where it takes all of it."""
    free: frozenset[str]
    """Methods that a subclass or a user may replace: they never meet the kernel, or call it."""
    outside: frozenset[str]
    """Names of submodules that run in Python in any case; empty for the model itself."""
    key: Callable[[Any], Hashable]
    """What it depends on, of a config."""
    miniature: Callable[[Any], Any]
    """A small config with the options of a given one."""
    inputs: Callable[[Any, torch.Generator], list[Tensor]]
    """Random float64 inputs for a model with a given config."""
    compiled: Callable[..., Trial]
    """What the kernel makes of a model's parameters and inputs."""
    reference: Callable[..., Trial]
    """What the model's own code makes of them."""


def small_side(size: int) -> int:
    """The side of a small window in filters: 1, or 2 or 3 as the given one is even or odd."""
    return 1 if size == 1 else 2 + size % 2


def small_sides(config: ModelConfig) -> tuple[int, int]:
    """Rows and columns of a small image; the longer side is that of the given one."""
    return 5 + (config.rows > config.columns), 5 + (config.columns > config.rows)
