"""What the steps come to, summed where they are computed, and fetched now and then."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Totals(NamedTuple):
    """What a `Tally` held, over all processes."""

    sums: dict[str, float]
    """Sum over the steps of each value, the mean of the processes; "steps" is their number."""
    stop: bool
    """Whether any process was asked to stop."""
    bad: tuple[int, dict[str, float]] | None
    """The first step with a value that is not finite, and its values."""


class Tally:
    """Sums of values by name over some steps; the host waits for the device at `fetch` alone.

    Args:
        device: where the values are.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._names: list[str] = []
        self._steps = 0
        # MPS has no float64
        self._dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = self._bad = torch.empty(0)
        self._first_bad = torch.empty(0)

    def prepare(self, names: list[str]) -> None:
        """Make room for values, once it is known which."""
        self._names = names
        self._sums = torch.zeros(len(names), dtype=self._dtype, device=self.device)
        self._bad = torch.zeros_like(self._sums)
        self._first_bad = torch.full((), -1, dtype=torch.int64, device=self.device)

    def add(self, step: Int[Tensor, ""], values: Mapping[str, Float[Tensor, ""]]) -> None:
        """Add the values of a step; of the first that are not finite, keep step and values."""
        if not self._names:
            self.prepare(list(values))
        now = torch.stack(list(values.values())).detach()
        self._sums += now
        first = (self._first_bad < 0) & ~now.isfinite().all()
        self._bad.copy_(torch.where(first, now.to(self._dtype), self._bad))
        self._first_bad.copy_(torch.where(first, step, self._first_bad))

    def count(self) -> None:
        """Count a step whose values were added."""
        self._steps += 1

    def fetch(self, gather: Callable[[Tensor], Tensor], asked: bool) -> Totals:
        """Return the totals of all processes, which call this together, and begin anew.

        Args:
            gather: makes one tensor of those of all processes, along the first dimension.
            asked: whether this process was asked to stop.
        """
        said = torch.tensor([float(asked)], dtype=self._dtype).to(self.device)
        row = torch.cat([said, self._first_bad[None].to(self._dtype), self._sums, self._bad])
        rows: list[list[float]] = gather(row[None]).tolist()
        sums = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
        names, steps = self._names, self._steps
        found = [(int(first), values) for _, first, *values in rows if first >= 0]
        bad = None
        if found:
            step, values = min(found)
            bad = step, dict(zip(names, values[len(names) :], strict=True))
        self._sums.zero_()
        self._first_bad.fill_(-1)
        self._steps = 0
        asked_sum, _, *rest = sums
        of_names = dict(zip(names, rest[: len(names)], strict=True))
        return Totals({**of_names, "steps": float(steps)}, asked_sum > 0, bad)
