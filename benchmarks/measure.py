"""Timing several ways of doing the same thing, in one sitting, and writing down the result."""

import json
import platform
import statistics
import sys
from collections.abc import Callable, Mapping
from datetime import date
from importlib.metadata import version
from itertools import count
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import command_line
from benchmarks.devices import description, seconds_of
from draw.files import make_folder, write_atomically
from draw.runs import provenance

RESULTS = Path(__file__).parent / "results"


def seconds_each(
    ways: Mapping[str, Callable[[], object]],
    rounds: int = 7,
    warm_up: int = 2,
    *,
    device: torch.device,
    clock: Callable[[], float] | None = None,
) -> dict[str, list[float]]:
    """Time each way once per round, in turn, so that a drifting machine hits all alike.

    Args:
        ways: what is timed, by name.
        rounds: times that each is timed.
        warm_up: times that each runs before, untimed.
        device: where it does its work.
        clock: as for `seconds_of`.
    """
    for way in ways.values():
        for _ in range(warm_up):
            way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            times[name].append(seconds_of(way, device, clock=clock))
    return times


def medians_of(times: Mapping[str, list[float]]) -> dict[str, float]:
    """The median of each way's rounds."""
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def shares_of_floor(
    medians: Mapping[str, float], floors: Mapping[str, str]
) -> dict[str, float | None]:
    """How much of each way's time its floor takes alone; None where the floor was not timed."""
    return {
        name: medians[floor] / medians[name] if floor in medians else None
        for name, floor in floors.items()
    }


def report(
    question: str,
    times: Mapping[str, list[float]],
    images: int,
    *,
    device: torch.device,
    base: str = "eager fp32",
    floors: Mapping[str, str] | None = None,
    facts: Mapping[str, object] | None = None,
) -> Path:
    """Print images per second and ratios to a base way, and write them to `results/`.

    The spread is from the fastest round to the slowest, as a share of the median.

    Args:
        question: what was measured; names the file.
        times: seconds of each round, by way.
        images: how many images one round handles.
        device: where they were handled.
        base: the way that the ratios compare with; the first one where this was not timed.
        floors: the name of the floor that a way is held against, by way.
        facts: what else belongs to the result, such as the model's shape.
    """
    medians = medians_of(times)
    base = base if base in medians else next(iter(medians))
    ratios = {name: medians[base] / median for name, median in medians.items()}
    shares = shares_of_floor(medians, floors or {})
    headings = ["way", "seconds", "spread", "images/s", f"times {base}"]
    table = Table(*headings, *(["share of floor"] if shares else []), title=question)
    for name, median in medians.items():
        cells = [
            name,
            f"{median:.4f}",
            f"{(max(times[name]) - min(times[name])) / median:.0%}",
            f"{images / median:.0f}",
            f"{ratios[name]:.2f}",
        ]
        share = shares.get(name)
        table.add_row(*cells, *([] if share is None else [f"{share:.0%}"]))
    Console().print(table)
    return write_result(
        question,
        device,
        **(facts or {}),
        base=base,
        images_per_second={name: images / median for name, median in medians.items()},
        times_of_base=ratios,
        share_of_floor=shares,
        median_seconds=medians,
        seconds=dict(times),
    )


def write_result(question: str, device: torch.device, **facts: object) -> Path:
    """Write `results/<question>_<hardware>_<date>.json`, with commit and versions; say where.

    The hardware is the device's: the GPU, or the CPU and how many threads compute.

    A later result of the same day gets a number: none is overwritten.
    """
    path = new_result(question, device, facts)()
    print(path)
    return path


def new_result(
    question: str,
    device: torch.device,
    facts: Mapping[str, object],
    folder: Path | None = None,
) -> Callable[[], Path]:
    """A result that grows: a function that writes what the facts are by now, into one new file.

    Args:
        question: what was measured; names the file.
        device: where.
        facts: what belongs to the result; what changes in them later counts.
        folder: for the file, by default `RESULTS`.
    """
    result = {"question": question, **origin(device), **facts}
    path = new_path(question, device, folder)

    def write() -> Path:
        with write_atomically(path) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + "\n")
        return path

    return write


def origin(device: torch.device) -> dict[str, object]:
    """What a result says of how it came about: command, date, commit, hardware, versions."""
    return {
        "command": command_line(),
        "date": date.today().isoformat(),
        "commit": provenance.commit() or "unknown",
        **description(device),
        "versions": versions(),
    }


def new_path(
    question: str, device: torch.device, folder: Path | None = None, suffix: str = ".json"
) -> Path:
    """A file for a result that is not there yet: `<question>_<hardware>_<date>` and a suffix.

    Args:
        question: what was measured.
        device: where.
        folder: for the file, by default `RESULTS`; it is made.
        suffix: of the file.
    """
    folder, today = folder or RESULTS, date.today().isoformat()
    hardware = provenance.hardware(device).lower()
    slug = "".join(c if c.isalnum() else "-" for c in hardware)
    make_folder(folder)
    stem = f"{question}_{slug}_{today}"
    names = (stem if number == 1 else f"{stem}-{number}" for number in count(1))
    return next(path for name in names if not (path := folder / f"{name}{suffix}").exists())


def versions() -> dict[str, str]:
    """Of Python, torch and, where they take part, Triton and JAX."""
    further = (name for name in ("triton", "jax", "jaxlib") if name in sys.modules)
    packages = ["torch", *further]
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
