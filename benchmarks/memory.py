"""How much memory does a training step need, on top of the model?

    python -m benchmarks.memory                            # the MNIST row, batches 32, 128, 512
    python -m benchmarks.memory --row cifar --batches 64 --ways eager cpp

Each number comes from a process of its own. It builds the model, the optimizer and the images and
makes one step with two images, so that libraries and Adam's averages are there; and notes its
resident memory (VmRSS). It makes a step with the whole batch, so that whatever a way compiles for
it is compiled, resets the peak that the system keeps for it (writing 5 to /proc/self/clear_refs),
makes another such step, and reads the peak (VmHWM); on a GPU, what torch has reserved there, and
its peak. The difference is what a step adds: everything kept for the backward pass, gradients and
workspace, without weights, images and noise. Needs Linux or a CUDA device.
"""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import write_result
from benchmarks.ways import (
    BOTH,
    Precision,
    RowName,
    Shape,
    build,
    inputs,
    training_step,
    usual_ways,
)

MIB = 2**20


def resident(field: str) -> int:
    """VmRSS, or its peak VmHWM, of this process in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    value = next(line for line in lines if line.startswith(f"{field}:")).split()[1]
    return 1024 * int(value)


def used(device: torch.device) -> int:
    """Bytes that this process holds on a device now."""
    if device.type == "cpu":
        return resident("VmRSS")
    torch.accelerator.empty_cache()
    return int(torch.accelerator.memory_reserved(device))


def peak_during(work: Callable[[], object], device: torch.device) -> int:
    """Bytes that this process holds on a device at most while it does some work."""
    if device.type == "cpu":
        Path("/proc/self/clear_refs").write_text("5")
        work()
        return resident("VmHWM")
    used(device)  # nothing that is only kept for later
    torch.accelerator.reset_peak_memory_stats(device)
    work()
    return int(torch.accelerator.max_memory_reserved(device))


def added_by_step(way: str, precision: Precision, shape: Shape, device: torch.device) -> int:
    """Bytes that one training step adds to this process at its peak."""
    config = shape.config
    step = training_step(build(way, config, device), precision)
    step(*inputs(config, 2, device))
    x, noise = inputs(config, shape.batch, device)
    before = used(device)
    step(x, noise)
    return peak_during(lambda: step(x, noise), device) - before


def in_fresh_process(way: str, precision: Precision, shape: Shape, device: torch.device) -> int:
    """The same, in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as process:
        return process.submit(added_by_step, way, precision, shape, device).result()


def main(
    row: RowName = "mnist",
    batches: tuple[int, ...] = (32, 128, 512),
    ways: tuple[str, ...] = (),
    precisions: tuple[Precision, ...] = BOTH,
    device: str = "auto",
) -> None:
    """Measure the memory of a training step.

    Args:
        row: The model.
        batches: Images at a time.
        ways: Which to compare, by default eager, the reference and the backends made for the
            device; the shares are of the first way in the first precision.
        precisions: Of the matrix products.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
    """
    where = device_of(device)
    if where.type not in ("cpu", "cuda"):
        raise SystemExit(f"expected --device cpu or cuda, whose memory is counted, got {where}")
    ways = ways or usual_ways(Shape(row=row).config, where)
    names = {f"{way} {precision}": (way, precision) for precision in precisions for way in ways}
    added = {
        name: {
            batch: in_fresh_process(*which, Shape(row=row, batch=batch), where) for batch in batches
        }
        for name, which in names.items()
    }
    base = next(iter(added))
    title = f"MiB added by a training step, {row} (share of {base})"
    table = Table("way", *(f"batch {batch}" for batch in batches), title=title)
    for name, by_batch in added.items():
        cells = [f"{n / MIB:.0f} ({n / added[base][batch]:.0%})" for batch, n in by_batch.items()]
        table.add_row(name, *cells)
    Console().print(table)
    facts = Shape(row=row).facts
    write_result(
        f"memory-{row}", where, row=row, model=facts["model"], base=base, bytes_added=added
    )


if __name__ == "__main__":
    run(main)
