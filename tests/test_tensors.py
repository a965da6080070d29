"""Results are told by the shapes of their tensors, never by thousands of numbers."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import draw
from draw.attention.abstract import AbstractWindow
from draw.attention.window import Window
from draw.data import ImageSet
from draw.model.draw import DRAW
from draw.tensors import by_shapes
from running import TINY_MODEL, image_set

PACKAGES = "attention", "data", "measure", "model", "parts", "tasks", "visualize"
"""Where results of the public methods are; what kernels hand to each other nobody prints."""


def results() -> Iterator[type]:
    """Every public named tuple or dataclass of these packages with a tensor or array in it."""
    for package in PACKAGES:
        for path in sorted((Path(draw.__file__).parent / package).rglob("*.py")):
            parts = path.relative_to(Path(draw.__file__).parent).with_suffix("").parts
            module = import_module(".".join(("draw", *parts)))
            for name, kind in inspect.getmembers(module, inspect.isclass):
                fields = getattr(kind, "__annotations__", {})
                own = kind.__module__ == module.__name__ and not name.startswith("_")
                made = hasattr(kind, "_fields") or hasattr(kind, "__dataclass_fields__")
                if own and made and any(array_type(hint) is Tensor for hint in fields.values()):
                    yield kind


def array_type(hint: Any) -> type:
    """Tensor, for an annotation of a tensor or of an optional one; else something that is none."""
    for one in (hint, *getattr(hint, "__args__", ())):
        if getattr(one, "array_type", one) is Tensor:
            return Tensor
    return object


def test_every_result_with_tensors_is_told_by_shapes() -> None:
    found = [kind for kind in results() if not inspect.isabstract(kind)]
    assert {"DRAWOutput", "Trajectory", "Gaussian", "Window", "Completion", "Latents"} <= {
        kind.__name__ for kind in found
    }
    bad = []
    for kind in found:
        names = getattr(kind, "_fields", None) or [*kind.__dataclass_fields__]
        values = object.__new__(kind) if not hasattr(kind, "_fields") else None
        full = torch.full((3, 2), 0.123456)
        if values is None:
            values = kind._make([full] * len(names))
        else:
            for name in names:
                object.__setattr__(values, name, full)
        if "0.1235" in repr(values) or "[3, 2]" not in repr(values):
            bad.append(kind.__name__)
    assert not bad, f"expected __repr__ by draw.tensors.by_shapes in {bad}"


def test_a_window_of_somebodys_own_is_told_so_too() -> None:
    @dataclass(frozen=True, eq=False)
    class Ring(Window):
        radius: Tensor

    made = Ring(*[torch.rand(3, 2)] * 5, 4, torch.rand(3, 2))
    assert repr(made).startswith("Ring(g_x [3, 2], ")
    assert repr(made).endswith("size 4, radius [3, 2])")
    assert issubclass(Ring, AbstractWindow)


def test_types_and_devices_that_are_not_the_usual_are_told() -> None:
    assert by_shapes(torch.zeros(2, 3)) == "[2, 3]"
    assert by_shapes(torch.zeros(2, dtype=torch.float64)) == "[2] float64"
    assert by_shapes(torch.zeros(2, device="meta")) == "[2] meta"
    assert by_shapes(np.zeros((2, 1), np.uint8)) == "[2, 1] uint8"


def test_a_model_and_a_set_say_their_shapes() -> None:
    model = DRAW(TINY_MODEL)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert f"\n  images [1, 6, 5], {count:,} parameters\n" in repr(model)
    assert "images [7, 1, 6, 5] uint8" in repr(image_set(7))
    assert isinstance(image_set(7), ImageSet)


@pytest.mark.parametrize("name", draw.__all__)
def test_dir_lists_what_nobody_has_asked_for_yet(name: str) -> None:
    assert name in dir(draw)
