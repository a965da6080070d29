"""How long does a training step take, by batch, and how much memory?

A step is the bound, its gradient, clipping and Adam, launched from Python as in
benchmarks.train_step. "train" and a backend is the step that draw train makes by that backend, with
binarization, noise and averaging; on a GPU it is one CUDA graph. Times are from an idle device to
an idle device, after the warm-up that compiles and captures; the median of three windows of calls.
Memory is what torch has reserved on the device at most, more than before.
"""

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.devices import seconds_of
from benchmarks.gpu.plan import Items, Plan, Result
from benchmarks.train_loop import trainer_of
from benchmarks.ways import Precision, RowName, Shape, timed_step
from draw.errors import KernelUnavailableError
from draw.training.step import WARM_UP

WINDOW = 0.3
"""Seconds that a window lasts at least, unless one call takes longer."""


def items(plan: Plan) -> Items:
    """Every way at batch 128 first, then the other batches, then the other rows."""
    trains = tuple(f"train {way}" for way in plan.ways)
    if plan.small:
        ways = ("eager", *plan.ways, *trains, "floor")
        shape = Shape(batch=2, glimpses=2, hidden_size=8)
        return {
            _name(shape, way, "fp32"): partial(measure, shape, way, "fp32", plan.where)
            for way in ways
        }
    lines: list[tuple[RowName, int, str, Precision]] = []
    fast = (*trains, "floor")
    lines += [("mnist", 128, way, "bf16") for way in ("eager", *fast, "compile", *plan.ways)]
    lines += [("mnist", 128, way, "fp32") for way in ("eager", *fast)]
    lines += [("mnist", batch, way, "bf16") for batch in (1024, 2048, 512) for way in fast]
    rows: tuple[tuple[RowName, int], ...] = (
        ("mnist-no-attention", 512), ("cifar", 128), ("svhn", 128),
    )  # fmt: skip
    for row, batch in rows:
        lines += [(row, batch, way, "bf16") for way in ("eager", *fast)]
    lines += [("mnist", batch, way, "bf16") for batch in (64, 8192, 256, 4096) for way in fast]
    lines += [("mnist", batch, "eager", "bf16") for batch in (1024, 8192)]
    lines += [("mnist", batch, "compile", "bf16") for batch in (1024, 8192)]
    return {
        _name(Shape(row, batch), way, precision): partial(
            measure, Shape(row, batch), way, precision, plan.where
        )
        for row, batch, way, precision in lines
    }


def _name(shape: Shape, way: str, precision: Precision) -> str:
    return f"{shape.row}, batch {shape.batch}; {way} {precision}"


def measure(shape: Shape, way: str, precision: Precision, device: torch.device) -> Result:
    """Milliseconds of a step, images per second, and memory."""
    with ExitStack() as held:
        try:
            return timed(held, shape, way, precision, device)
        except KernelUnavailableError as error:
            return {"obstacle": str(error)}


def timed(
    held: ExitStack, shape: Shape, way: str, precision: Precision, device: torch.device
) -> Result:
    """What `measure` says where nothing is in the way; what it holds is let go afterwards."""
    before = reserved(device)
    began = time.perf_counter()
    backend = way.removeprefix("train ")
    if backend == way:
        step = timed_step(way, precision, shape.config, shape.batch, device)
    else:
        step = whole_step(held, shape, backend, precision, device)
    for _ in range(WARM_UP + 1):
        seconds_of(step, device)
    first = time.perf_counter() - began
    once = seconds_of(step, device)
    calls = max(1, round(WINDOW / once)) if device.type != "cpu" else 1
    median = statistics.median(seconds_of(step, device, calls) for _ in range(3))
    peak = None if device.type != "cuda" else torch.cuda.max_memory_reserved(device) - before
    return {
        "milliseconds": 1000 * median,
        "images_per_second": shape.batch / median,
        "seconds_until_warm": first,
        "gib_reserved": None if peak is None else peak / 2**30,
    }


def whole_step(
    held: ExitStack, shape: Shape, backend: str, precision: Precision, device: torch.device
) -> Callable[[], object]:
    """The step of `draw train`, with the same images and noise of the host each time."""
    assert precision != "fp16"
    folder = Path(held.enter_context(TemporaryDirectory())) / "run"
    trainer = trainer_of(shape, "dynamic", precision, str(device), folder, backend)
    held.callback(trainer.lock.release)
    held.callback(trainer.accelerator.end_training)
    held.enter_context(trainer.compute.products())
    feed, numbers = trainer.feed(0), count()
    return lambda: trainer.update_weights(next(numbers), feed)


def reserved(device: torch.device) -> int:
    """Bytes that are reserved when nothing is kept for later; the peak counts from now on."""
    gc.collect()
    if device.type != "cuda":
        return 0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_reserved(device)
