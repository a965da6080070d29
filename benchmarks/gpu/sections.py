"""The sections, in the order of their weight, and how they are run."""

import gc
import json
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

from benchmarks.gpu import agreement, drawing, steps, training
from benchmarks.gpu.plan import Items, Plan, plan_of
from draw.json_files import null_if_not_finite


@dataclass(frozen=True)
class Section:
    """A question, and the seconds of six minutes that it may take."""

    title: str
    seconds: float
    items: Callable[[Plan], Items]
    one_item: float
    """Seconds after which one of its items is given up."""


SECTIONS: dict[str, Section] = {
    "agreement": Section("Backends against the reference", 80, agreement.items, 45),
    "steps": Section("Training step", 115, steps.items, 45),
    "drawing": Section("Without gradient", 35, drawing.items, 25),
    "rate": Section("draw train", 45, training.rate_items, 25),
    "minute": Section("A short training", 85, training.minute_items, 85),
}

Tell = Callable[[dict[str, object]], None]


def run_items(name: str, plan: Plan, done: Collection[str], tell: Tell) -> None:
    """Run those items of a section that are not done, and tell of each its start and its result.

    A failure is a result.
    """
    for item, measure in SECTIONS[name].items(plan).items():
        if item in done:
            continue
        tell({"item": item})
        began = time.monotonic()
        try:
            found = dict(measure())
        except Exception as error:
            first, *_ = str(error).splitlines() or [""]
            found = {"failed": f"{type(error).__name__}: {first}"}
        tell({"item": item, "result": {**found, "took": time.monotonic() - began}})
        gc.collect()
        if plan.where.type == "cuda":
            torch.cuda.empty_cache()


def in_child() -> None:
    """Run a section in this process, and tell of it on standard output, one JSON object a line."""
    name, plan, done = sys.argv[1], plan_of(sys.argv[2]), json.loads(sys.argv[3])
    out, sys.stdout = sys.stdout, sys.stderr  # what else is printed is for people

    def tell(line: dict[str, object]) -> None:
        print(json.dumps(null_if_not_finite(line)[0]), file=out, flush=True)

    run_items(name, plan, done, tell)


if __name__ == "__main__":
    in_child()
