"""Timing several ways of doing the same thing, in one sitting, and writing down the result."""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"


def seconds_each(
    ways: Mapping[str, Callable[[], object]], rounds: int = 7, warm_up: int = 2
) -> dict[str, list[float]]:
    """Time each way once per round, in turn, so that a drifting machine hits all alike."""
    for way in ways.values():
        for _ in range(warm_up):
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    return times


def report(
    question: str, times: Mapping[str, list[float]], images: int, base: str, **facts: object
) -> Path:
    """Print images per second and ratios to a base way, and write them to `results/`.

    Args:
        question: what was measured; names the file.
        times: seconds of each round, by way.
        images: how many images one round handles.
        base: the way that the ratios compare with.
        facts: what else belongs to the result, such as the model's shape.
    """
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    table = Table("way", "images/s", f"times {base}", title=question)
    for name, median in medians.items():
        table.add_row(name, f"{images / median:.0f}", f"{medians[base] / median:.2f}")
    Console().print(table)
    hardware = f"{processor()}, {torch.get_num_threads()} threads"
    result = {
        "question": question,
        "date": date.today().isoformat(),
        "commit": commit(),
        "hardware": hardware,
        "torch": torch.__version__,
        **facts,
        "images_per_second": {name: images / median for name, median in medians.items()},
        "seconds": dict(times),
    }
    slug = "".join(c if c.isalnum() else "-" for c in hardware.lower())
    path = RESULTS / f"{question}_{slug}_{date.today().isoformat()}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(path)
    return path


def processor() -> str:
    """The GPU if there is one, else the CPU, by name."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    name: Any = torch.cpu.get_capabilities().get("cpu_name")
    return str(name or platform.processor() or platform.machine())


def commit() -> str:
    """The commit that is measured, with a mark if the tree differs from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"
