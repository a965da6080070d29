"""How long until the first training step is done, at the first use ever and in later processes?

    python -m benchmarks.first_step                        # the MNIST row, bf16
    python -m benchmarks.first_step --ways cpp compile --precision fp32

Each way runs in fresh processes with a cache folder of its own (XDG_CACHE_HOME, and torch.compile's
TORCHINDUCTOR_CACHE_DIR), empty for the first, which therefore compiles what there is to compile,
and kept for those after it. The clock runs from the start of the process to the end of its first
training step. compile is the eager loop with one glimpse under torch.compile.

Stages: imports (Python, torch, draw), model (images, model, optimizer), first call (the bound),
first update (its gradient, clipping, Adam); and for comparison a second step.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import write_result
from benchmarks.ways import Precision, Shape, made_for

STAGES = ("imports", "model", "first call", "first update", "second step")


def stages_in_fresh_process(
    way: str, precision: Precision, shape: Shape, device: torch.device, cache: str
) -> dict[str, float]:
    """Seconds of every stage, and of all until the first update, in a new process."""
    began = time.time()
    arguments = [way, precision, json.dumps(asdict(shape)), str(device)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.first_step_child", *arguments],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "XDG_CACHE_HOME": cache, "TORCHINDUCTOR_CACHE_DIR": f"{cache}/inductor"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    stamps = json.loads(done.stdout.splitlines()[-1])
    ends = [began, *(stamps[stage] for stage in STAGES)]
    seconds = [end - start for start, end in pairwise(ends)]
    return {
        **dict(zip(STAGES, seconds, strict=True)),
        "until the first update": stamps["first update"] - began,
    }


def main(
    shape: Shape,
    ways: tuple[str, ...] = (),
    precision: Precision = "bf16",
    device: str = "auto",
    rounds: int = 3,
) -> None:
    """Time the first training step.

    Args:
        shape: The model.
        ways: Which to time, by default the reference and the backend preferred on the device.
        precision: Of the matrix products.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Processes that find the cache full; their medians count.
    """
    where = device_of(device)
    ways = ways or ("reference", *made_for(where)[:1])
    seconds: dict[str, dict[str, float]] = {}
    for way in ways:
        with TemporaryDirectory() as cache:
            first, *later = [
                stages_in_fresh_process(way, precision, shape, where, cache)
                for _ in range(1 + rounds)
            ]
        seconds[f"{way} first use ever"] = first
        seconds[f"{way} later process"] = {
            stage: statistics.median(process[stage] for process in later) for stage in first
        }
    table = Table("seconds", *seconds, title=f"first training step, {shape.name}, {precision}")
    for stage in first:
        table.add_row(stage, *(f"{stages[stage]:.2f}" for stages in seconds.values()))
    Console().print(table)
    facts = {**shape.facts, "precision": precision, "seconds": seconds}
    write_result(f"first_step-{shape.name}", where, **facts)


if __name__ == "__main__":
    run(main)
