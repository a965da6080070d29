"""What do a learned prior, a class and other filters cost a training step of the first backend?

    python -m benchmarks.parts                             # Table 3's MNIST row, batch 128
    python -m benchmarks.parts --row mnist-no-attention

The paper's model, with a learned prior, with a condition that tells it the class, with both, and
where it has windows with those of Cauchy and of Laplace filters: steps of each, embedding tables
and Adam included, take turns, and the medians of the rounds are compared with the paper's model in
the same precision.
"""

from dataclasses import replace
from typing import Any

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import BOTH, ROWS, Precision, Shape, made_for, timed_step

PARTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "learned": {"prior": "learned"},
    "class": {"condition": "class"},
    "learned, class": {"prior": "learned", "condition": "class"},
}
WINDOWS: dict[str, dict[str, Any]] = {
    "cauchy": {"attention": "cauchy"},
    "laplace": {"attention": "laplace"},
}


def main(
    shape: Shape,
    precisions: tuple[Precision, ...] = BOTH,
    device: str = "auto",
    rounds: int | None = None,
) -> None:
    """Time a training step with each part.

    Args:
        shape: The model, which is the paper's.
        precisions: Of the matrix products; each has a result of its own.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured; by default what the row can do in a minute or so.
    """
    where = device_of(device)
    way, *_ = *made_for(where), "reference"
    changes = PARTS if shape.config.attention == "none" else PARTS | WINDOWS
    for precision in precisions:
        timed = {
            f"{name} {precision}": timed_step(
                way, precision, replace(shape.config, **parts), shape.batch, where
            )
            for name, parts in changes.items()
        }
        times = seconds_each(timed, rounds or ROWS[shape.row].rounds, warm_up=1, device=where)
        name = f"parts-{precision}-{shape.name}"
        report(name, times, shape.batch, device=where, facts={**shape.facts, "way": way})


if __name__ == "__main__":
    run(main)
