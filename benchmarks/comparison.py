"""The ways of computing one model, side by side: what `evaluate` and `generate` share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import (
    BOTH,
    ROWS,
    Drawer,
    Inputs,
    Precision,
    Shape,
    build,
    inputs,
    usual_ways,
)


@dataclass(frozen=True)
class Comparison:
    """Which ways of computing which model are compared."""

    shape: Shape = field(default_factory=Shape)
    """The model."""
    ways: tuple[str, ...] = ()
    """Which to compare, by default eager, the reference and the backends made for the device; the
    ratios are to eager fp32, or else to the first."""
    precisions: tuple[Precision, ...] = BOTH
    """Of the matrix products."""
    device: str = "auto"
    """Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps."""
    rounds: int | None = None
    """Times that each is measured; by default what the row can do in a minute or so."""

    def run(
        self, question: str, make: Callable[[Drawer, Precision, Inputs], Callable[[], object]]
    ) -> Path:
        """Time what `make` makes of every way, and write the result."""
        device, config = device_of(self.device), self.shape.config
        given = inputs(config, self.shape.batch, device)
        timed = {
            f"{way} {precision}": make(build(way, config, device), precision, given)
            for precision in self.precisions
            for way in self.ways or usual_ways(config, device)
        }
        rounds = self.rounds or ROWS[self.shape.row].rounds
        times = seconds_each(timed, rounds, device=device)
        name = f"{question}-{self.shape.name}"
        return report(name, times, self.shape.batch, device=device, facts=self.shape.facts)
