"""How fast are matrix products at best, and how close to that is a training step?

    python -m benchmarks.peak

GFLOP/s of all threads together: the micro-kernels that the fused kernel calls, each thread on one
block that stays in its cache. No training step can be faster than its products at this speed. For
comparison the same with torch.mm on a step's largest product, and the images per second that the
peak would allow in a training step of Table 3's MNIST row if it were products and nothing else.
"""

import ctypes
import statistics
from functools import partial

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.measure import seconds_each, write_result
from draw.kernels.cpp.build import library

MNIST_STEP = 2 * 3 * 64 * ((8 + 512) * 1024 + 256 * 200 + 356 * 1024 + 256 * 35)
"""Floating-point operations for one image: T = 64 steps, forward and twice as many backward."""
ROWS, DEPTH, COLUMNS, PRODUCTS = 128, 520, 1024, 300


def main(rounds: int = 7) -> None:
    """Measure both precisions.

    Args:
        rounds: Times that each is measured; the best counts for the peak, the median for torch.mm.
    """
    speed = library().draw_products_speed
    speed.restype = ctypes.c_double
    table = Table("products", "peak GFLOP/s", "torch.mm GFLOP/s", "images/s at the peak")
    facts = {}
    for bf16, dtype in ((0, torch.float32), (1, torch.bfloat16)):
        peak = max(speed(bf16, ctypes.c_int64(20_000)) for _ in range(rounds))
        times = seconds_each({"mm": partial(_multiply, dtype)}, rounds)
        mm = 2e-9 * ROWS * DEPTH * COLUMNS * PRODUCTS / statistics.median(times["mm"])
        images = 1e9 * peak / MNIST_STEP
        name = "bf16" if bf16 else "fp32"
        table.add_row(name, f"{peak:.0f}", f"{mm:.0f}", f"{images:.0f}")
        facts[name] = {"peak": peak, "torch_mm": mm, "images_per_second_at_peak": images}
    Console().print(table)
    write_result("peak", gigaflops=facts)


def _multiply(dtype: torch.dtype) -> None:
    a, b = torch.ones(ROWS, DEPTH, dtype=dtype), torch.ones(DEPTH, COLUMNS, dtype=dtype)
    result = torch.empty(ROWS, COLUMNS, dtype=dtype)
    for _ in range(PRODUCTS):
        torch.mm(a, b, out=result)


if __name__ == "__main__":
    run(main)
