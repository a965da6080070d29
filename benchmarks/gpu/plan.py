"""What is measured and how large: for a GPU, or small enough for a CPU in a test."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from benchmarks.devices import device_of
from benchmarks.ways import made_for

Result = Mapping[str, object]
"""What one item found, ready for JSON."""
Items = Mapping[str, Callable[[], Result]]
"""What a section measures, by name, the most important first."""


@dataclass(frozen=True)
class Plan:
    """What all sections go by."""

    device: str = "auto"
    """Where: auto (the GPU if there is one), cpu, cuda, cuda:1."""
    small: bool = False
    """Tiny models and batches, which show that everything runs and nothing about speed."""
    data: str | None = None
    """A folder that holds MNIST, as --data.path of draw train; without it digits are learned, which
    come with scikit-learn."""
    backends: tuple[str, ...] = ()
    """Which to measure, instead of all that are made for the device; the reference always."""
    seconds: float = 60.0
    """How long the training lasts whose bound is told."""

    @property
    def where(self) -> torch.device:
        """The device."""
        return device_of(self.device)

    @property
    def ways(self) -> tuple[str, ...]:
        """The backends that take part, the reference last."""
        return (*(self.backends or made_for(self.where)), "reference")


def plan_of(text: str) -> Plan:
    """A plan from the JSON of its fields."""
    values = json.loads(text)
    return Plan(**{**values, "backends": tuple(values["backends"])})
