"""Config of how a model is run, which is no part of what it is: device, backend and precision."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from draw.fields import TABLE, Rule, check_fields

DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d{1,3})?")


class DeviceName(Rule):
    """A rule: the name of a device, whether or not this computer has it."""

    def violation(self, kind: str, value: Any) -> str | None:
        """Say what name of a device was expected; None if the value is one."""
        return None if DEVICE.fullmatch(value) else "auto, cpu, cuda, cuda:N or mps"


Device = Annotated[str, DeviceName()]
BackendName = Annotated[
    Literal["auto", "cpp", "triton", "packed", "compiled", "graph", "reference"], TABLE
]
Precision = Literal["auto", "fp32", "tf32", "bf16", "fp16"]
StoredType = Literal["fp32", "fp16", "bf16"]
"""Types of the numbers of an exported model's weights."""


@dataclass(frozen=True)
class ComputeConfig:
    """How to run a model. `draw.model.machine.settle` finds out what this computer has of it."""

    device: Device = "auto"
    """auto, cpu, cuda, cuda:N or mps; auto takes the GPU if there is one. Several processes each
    take their own."""
    backend: BackendName = "auto"
    """What computes the steps: auto takes the first that can (draw info says which, and why not
    others); reference is the readable loop; one that is asked for by name must be able to run."""
    precision: Precision = "auto"
    """Precision of matrix products; weights, states and canvas stay fp32. auto takes bf16 where the
    processor multiplies it in hardware, else fp32. tf32 and fp16 need a GPU; fp16 trains
    nothing."""

    def __post_init__(self) -> None:
        check_fields("compute.", self)


PLAIN = ComputeConfig(precision="fp32")
"""Compute config of everything but training where nothing else is asked for."""
