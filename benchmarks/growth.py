"""How does the time of a training step grow with glimpses, batch and hidden size?

    python -m benchmarks.growth
    python -m benchmarks.growth --glimpses 8 16 32 --batches --hidden-sizes --ways cpp

Everything but the one number that grows is Table 3's MNIST row at a batch of 128. The exponent says
how the time grew from the line above: 1 is in proportion, 2 with the square, 0 not at all. The
products of the LSTMs grow with the square of the hidden size, everything else in proportion; the
floor, the step's matrix products alone, shows what of it cannot be helped. The reference is left
out where it would take longer than at the row's own size.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import medians_of, seconds_each, write_result
from benchmarks.ways import Precision, Shape, made_for, timed_step

ROW = Shape()
"""Where all lines cross."""


def effort(shape: Shape) -> int:
    """What the time of the reference goes with, roughly."""
    return shape.config.glimpses * shape.batch * shape.config.hidden_size


def point(
    shape: Shape,
    value: int,
    ways: tuple[str, ...],
    precision: Precision,
    rounds: int,
    device: torch.device,
) -> dict[str, Any]:
    """Median seconds of every way at one value of the number that grows."""
    affordable = [way for way in ways if way != "reference" or effort(shape) <= effort(ROW)]
    timed: dict[str, Callable[[], object]] = {
        way: timed_step(way, precision, shape.config, shape.batch, device) for way in affordable
    }
    medians = medians_of(seconds_each(timed, rounds, warm_up=1, device=device))
    return {"value": value, "images": shape.batch, "median_seconds": medians}


def print_table(axis: str, way: str, points: list[dict[str, Any]]) -> None:
    """One line a value, for one way."""
    table = Table(
        *(axis, "seconds", "images/s", f"ms / {axis}", "exponent", "share of floor"), title=way
    )
    before: tuple[int, float] | None = None
    for line in points:
        if (seconds := line["median_seconds"].get(way)) is None:
            continue
        value, floor = line["value"], line["median_seconds"].get("floor")
        growth = math.log(seconds / before[1], value / before[0]) if before else None
        table.add_row(
            str(value),
            f"{seconds:.4f}",
            f"{line['images'] / seconds:.0f}",
            f"{1000 * seconds / value:.3f}",
            "" if growth is None else f"{growth:.2f}",
            "" if floor is None else f"{floor / seconds:.0%}",
        )
        before = value, seconds
    Console().print(table)


def main(
    glimpses: tuple[int, ...] = (8, 16, 32, 64, 128),
    batches: tuple[int, ...] = (16, 32, 64, 128, 256, 512),
    hidden_sizes: tuple[int, ...] = (128, 256, 512, 1024),
    ways: tuple[str, ...] = (),
    precision: Precision = "bf16",
    device: str = "auto",
    rounds: int = 3,
) -> None:
    """Time a training step of growing models.

    Args:
        glimpses: Values of T, growing; none to leave them out, as in the next two.
        batches: Images at a time.
        hidden_sizes: Units of each LSTM.
        ways: Which to time, by default the backend preferred on the device, the reference and the
            floor.
        precision: Of the matrix products.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured; the median counts.
    """
    axes: dict[str, tuple[tuple[int, ...], Callable[[int], Shape]]] = {
        "glimpses": (glimpses, lambda value: replace(ROW, glimpses=value)),
        "batch": (batches, lambda value: replace(ROW, batch=value)),
        "hidden_size": (hidden_sizes, lambda value: replace(ROW, hidden_size=value)),
    }
    growth, where = {}, device_of(device)
    ways = ways or (*made_for(where)[:1], "reference", "floor")
    for axis, (values, shape_with) in axes.items():
        growth[axis] = [
            point(shape_with(value), value, ways, precision, rounds, where) for value in values
        ]
        for way in ways if values else ():
            print_table(axis, way, growth[axis])
    write_result(f"growth-{precision}", where, **ROW.facts, precision=precision, growth=growth)


if __name__ == "__main__":
    run(main)
