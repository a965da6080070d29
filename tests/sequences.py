"""Sequences of every awkward sort, for whatever computes the unroll of a DRAW."""

from collections.abc import Callable

import pytest
from torch import Tensor

from draw.model.draw import DRAW

OFF_IMAGE = (5.0, -4.0, 0.0, 0.0, 0.5)
BEYOND_THE_LIMITS = (2e4, -2e4, 25.0, -25.0, 21.0)

CASES: dict[str, dict[str, object]] = {
    "odd sides": {"rows": 9, "columns": 7},
    "wide": {"rows": 3, "columns": 12, "read_size": 3, "write_size": 2},
    "tall, colour": {"rows": 11, "columns": 4, "channels": 3},
    "one filter": {"read_size": 1, "write_size": 1},
    "more filters than pixels": {"rows": 3, "columns": 2, "read_size": 5, "write_size": 4},
    "one pixel": {"rows": 1, "columns": 1},
    "one step": {"glimpses": 1},
    "one image": {"batch": 1},
    "no image": {"batch": 0},
    "one unit, one latent variable": {"hidden_size": 1, "latent_size": 1},
    "window off the image": {"read_window": OFF_IMAGE, "write_window": OFF_IMAGE},
    "window beyond the limits": {"read_window": BEYOND_THE_LIMITS},
    "Cauchy filters": {"attention": "cauchy", "rows": 9},
    "Cauchy filters, one filter, one image": {
        "attention": "cauchy", "read_size": 1, "write_size": 1, "batch": 1,
    },
    "Cauchy filters, learned prior, told": {
        "attention": "cauchy", "prior": "learned", "context": (True, True), "channels": 3,
    },
    "Laplace filters": {"attention": "laplace", "columns": 9},
    "Laplace filters, off the image": {
        "attention": "laplace", "read_window": OFF_IMAGE, "write_window": OFF_IMAGE,
    },
    "windows that turn": {"attention": "rotated", "columns": 9},
    "windows that turn, one filter, one image": {
        "attention": "rotated", "read_size": 1, "write_size": 1, "batch": 1,
    },
    "windows that turn, off the image": {
        "attention": "rotated",
        "read_window": (*OFF_IMAGE, 2.0), "write_window": (*OFF_IMAGE, -1.0),
    },
    "windows that turn, beyond the limits": {
        "attention": "rotated", "read_window": (*BEYOND_THE_LIMITS, 3e4),
    },
    "windows that turn, learned prior, told": {
        "attention": "rotated", "prior": "learned", "context": (True, True),
    },
    "no attention": {"attention": "none"},
    "no attention, colour, odd": {"attention": "none", "channels": 3, "rows": 5},
    "no attention, no image": {"attention": "none", "batch": 0},
    "learned prior": {"prior": "learned", "rows": 9},
    "learned prior, one step": {"prior": "learned", "glimpses": 1},
    "learned prior, no attention": {"prior": "learned", "attention": "none"},
    "learned prior, no image": {"prior": "learned", "batch": 0},
    "context": {"context": (True, True)},
    "the encoder told": {"context": (True, False)},
    "the decoder told, no attention": {"context": (False, True), "attention": "none"},
    "told, learned prior, one image": {"context": (True, True), "prior": "learned", "batch": 1},
    "told, no attention, learned prior": {
        "context": (True, True), "attention": "none", "prior": "learned", "channels": 3,
    },
}  # fmt: skip
SMALL = {"rows": 6, "columns": 8, "glimpses": 4, "hidden_size": 5, "latent_size": 3,
         "read_size": 3, "write_size": 4, "batch": 3}  # fmt: skip


@pytest.fixture
def case(random_model, random_batch) -> Callable[..., tuple[DRAW, Tensor, Tensor]]:
    """A model with random weights, images and noise, in float64."""

    def make(**options: object) -> tuple[DRAW, Tensor, Tensor]:
        options = {**SMALL, **options}
        batch = options.pop("batch")
        model = random_model(**options)
        return model, *random_batch(model, batch)

    return make
