"""How fast are matrix products at best, and how close to that is a training step?

    python -m benchmarks.peak

GFLOP/s of all threads together: the micro-kernels that the backend cpp calls, each thread on one
block that stays in its cache. No training step can be faster than its products at this speed. For
comparison the same with torch.mm on a step's largest product (on a GPU this, with as many rows as
serve it best, is the peak), and the images per second that the
peak would allow in a training step of Table 3's MNIST row if it were products and nothing else.
"""

import ctypes
import statistics

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.devices import as_graph, device_of
from benchmarks.measure import seconds_each, write_result
from draw.kernels.cpp.build import library

MNIST_STEP = 2 * 3 * 64 * ((8 + 512) * 1024 + 256 * 200 + 356 * 1024 + 256 * 35)
"""Floating-point operations for one image: T = 64 steps, forward and twice as many backward."""
ROWS, DEPTH, COLUMNS, PRODUCTS = 128, 520, 1024, 300
MANY_ROWS = 1024, 8192, 65536
"""Batches that fill a GPU."""


def main(device: str = "auto", rounds: int = 7) -> None:
    """Measure both precisions.

    Args:
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured; the best counts for the peak, the median for torch.mm.
    """
    where = device_of(device)
    table = Table("products", "peak GFLOP/s", "torch.mm GFLOP/s", "images/s at the peak")
    facts = {}
    for bf16, dtype in ((0, torch.float32), (1, torch.bfloat16)):
        mm = gigaflops(where, dtype, ROWS, rounds)
        if where.type == "cpu":
            peak = max(_micro_kernels(bf16) for _ in range(rounds))
        else:
            peak = max(gigaflops(where, dtype, rows, rounds) for rows in (ROWS, *MANY_ROWS))
        images = 1e9 * peak / MNIST_STEP
        name = "bf16" if bf16 else "fp32"
        table.add_row(name, f"{peak:.0f}", f"{mm:.0f}", f"{images:.0f}")
        facts[name] = {"peak": peak, "torch_mm": mm, "images_per_second_at_peak": images}
    Console().print(table)
    write_result("peak", where, gigaflops=facts)


def gigaflops(device: torch.device, dtype: torch.dtype, rows: int, rounds: int) -> float:
    """Of torch.mm on a product of so many rows, the median of the rounds."""
    a = torch.ones(rows, DEPTH, dtype=dtype, device=device)
    b = torch.ones(DEPTH, COLUMNS, dtype=dtype, device=device)
    result = torch.empty(rows, COLUMNS, dtype=dtype, device=device)

    def multiply() -> None:
        for _ in range(PRODUCTS):
            torch.mm(a, b, out=result)

    times = seconds_each({"mm": as_graph(multiply, device)}, rounds, device=device)
    return 2e-9 * rows * DEPTH * COLUMNS * PRODUCTS / statistics.median(times["mm"])


def _micro_kernels(bf16: int) -> float:
    speed = library().draw_products_speed
    speed.restype = ctypes.c_double
    return float(speed(bf16, ctypes.c_int64(20_000)))


if __name__ == "__main__":
    run(main)
