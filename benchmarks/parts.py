"""What do a learned prior, a class and other windows cost a training step of the first backend?

    python -m benchmarks.parts                             # Table 3's MNIST row, batch 128
    python -m benchmarks.parts --row mnist-no-attention
    python -m benchmarks.parts --processor-time            # where other work takes turns too

The paper's model, with a learned prior, with a condition that tells it the class, with both, and
where it has windows with those of Cauchy and of Laplace filters, with those that turn, and with two
to read, two to write and two of each: steps of each, embedding tables and Adam included, take
turns, and the medians of the rounds are compared with the paper's model in the same precision. What
the backend does not take is left out, with the reason.
"""

import time
from dataclasses import replace
from typing import Any

import torch

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import BOTH, ROWS, Precision, Shape, made_for, timed_step
from draw.kernels import BACKENDS, choose
from draw.model.draw import DRAW

PARTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "learned": {"prior": "learned"},
    "class": {"condition": "class"},
    "learned, class": {"prior": "learned", "condition": "class"},
}
WINDOWS: dict[str, dict[str, Any]] = {
    "cauchy": {"attention": "cauchy"},
    "laplace": {"attention": "laplace"},
    "turning": {"attention": "rotated"},
    "two to read": {"read_heads": 2},
    "two to write": {"write_heads": 2},
    "two of each": {"read_heads": 2, "write_heads": 2},
}


def main(
    shape: Shape,
    precisions: tuple[Precision, ...] = BOTH,
    device: str = "auto",
    rounds: int | None = None,
    processor_time: bool = False,
) -> None:
    """Time a training step with each part.

    Args:
        shape: The model, which is the paper's.
        precisions: Of the matrix products; each has a result of its own.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured; by default what the row can do in a minute or so.
        processor_time: Seconds that the CPU works on it, of all threads, instead of the clock's.

    Raises:
        SystemExit: if the time of the processor is asked for and the device is no CPU.
    """
    where = device_of(device)
    if processor_time and where.type != "cpu":
        raise SystemExit(f"expected --processor-time on a CPU, got {where}; leave it out")
    way, *_ = *made_for(where), "reference"
    changes = PARTS if shape.config.attention == "none" else PARTS | WINDOWS
    configs = {}
    for name, parts in changes.items():
        config = replace(shape.config, **parts)
        model = DRAW(config).to(where)
        found = choose.obstacle(BACKENDS[way], model, where, torch.float32)
        if found is None:
            configs[name] = config
        else:
            print(f"without {name}: {found}")
    for precision in precisions:
        timed = {
            f"{name} {precision}": timed_step(way, precision, config, shape.batch, where)
            for name, config in configs.items()
        }
        clock = time.process_time if processor_time else time.perf_counter
        times = seconds_each(
            timed, rounds or ROWS[shape.row].rounds, warm_up=1, device=where, clock=clock
        )
        facts = {**shape.facts, "way": way, "clock": clock.__name__}
        report(f"parts-{precision}-{shape.name}", times, shape.batch, device=where, facts=facts)


if __name__ == "__main__":
    run(main)
