"""What do numbers below 1.2e-38 cost a training step that PyTorch computes on a CPU?

    python -m benchmarks.denormals                      # mnist-small's sizes, batch 64
    python -m benchmarks.denormals --row mnist --processor-time

Plain PyTorch, and the model's own loop with the paper's windows, with windows that turn and with
filters at learned places: each with such numbers, as PyTorch has them by itself, and without them,
as draw computes; steps take turns.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import torch

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import Shape, timed_step
from draw.config.model import Attention
from draw.model.machine import no_denormals

SMALL = Shape(row="mnist-small", batch=64)
WINDOWS: tuple[Attention, ...] = ("gaussian", "rotated", "lattice")


def main(
    shape: Shape = SMALL,
    device: str = "cpu",
    rounds: int = 5,
    processor_time: bool = False,
) -> None:
    """Time a training step with and without such numbers.

    Args:
        shape: The model.
        device: The CPU; a GPU takes no longer over such numbers.
        rounds: Times that each is measured.
        processor_time: Seconds that the CPU works on it, of all threads, instead of the clock's.

    Raises:
        SystemExit: if the device is no CPU, or the processor cannot leave such numbers out.
    """
    where = device_of(device)
    if where.type != "cpu":
        raise SystemExit(f"expected a CPU, got {where}, which takes no longer over such numbers")
    if not torch.set_flush_denormal(False):
        raise SystemExit("expected a processor that can count such numbers as zero; not this one")
    steps = {"eager": timed_step("eager", "fp32", shape.config, shape.batch)}
    for attention in WINDOWS:
        config = replace(shape.config, attention=attention)
        steps[f"reference {attention}"] = timed_step("reference", "fp32", config, shape.batch)
    ways = {}
    for name, step in steps.items():
        ways[name] = step
        ways[f"{name}, without"] = _without(step)
    clock = time.process_time if processor_time else time.perf_counter
    times = seconds_each(ways, rounds, warm_up=1, device=where, clock=clock)
    facts = {**shape.facts, "clock": clock.__name__}
    report(f"denormals-{shape.name}", times, shape.batch, device=where, base="eager", facts=facts)


def _without(step: Callable[[], object]) -> Callable[[], object]:
    def flushed() -> None:
        with no_denormals():
            step()

    return flushed


if __name__ == "__main__":
    run(main)
