"""Everything that needs a GPU, in six minutes, with a table last.

    python -m benchmarks.gpu                                  # on the GPU
    python -m benchmarks.gpu --data DATA/binarized_mnist      # and the training learns MNIST
    python -m benchmarks.gpu --device cpu --small             # shows that everything runs

Every backend of `draw.kernels.BACKENDS` that is made for the device takes part, and what stands in
the way of one is told. Sections run in processes of their own, one after another: one that crashes
goes on with its next item, one whose time is over leaves out the rest and says so. Results are
written after each item, into one file of results/.
"""

import json
import queue
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.command import run
from benchmarks.gpu.plan import Plan
from benchmarks.gpu.sections import SECTIONS
from benchmarks.gpu.tables import agreement, obstacle, print_tables
from benchmarks.measure import new_result

Results = dict[str, dict[str, Any]]


def main(
    plan: Plan,
    minutes: float = 6.0,
    only: tuple[str, ...] = (),
    out: Path | None = None,
) -> Results:
    """Measure everything.

    Args:
        plan: What, where and how large.
        minutes: For all of it; each section has its share.
        only: Sections to run, instead of all.
        out: Folder for the result, instead of benchmarks/results.
    """
    unknown = set(only) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"expected sections of {', '.join(SECTIONS)}, got {', '.join(unknown)}")
    began, share = time.monotonic(), 60 * minutes / sum(s.seconds for s in SECTIONS.values())
    results: Results = {}
    write = new_result("gpu", plan.where, {"plan": asdict(plan), "sections": results}, out)
    deadline = began
    for name, section in SECTIONS.items():
        if only and name not in only:
            continue
        deadline += share * section.seconds
        print(f"\n== {section.title} ({name})", flush=True)
        found = results.setdefault(name, {})
        for item, result in items_of(name, plan, deadline, share * section.one_item):
            found[item] = result
            print(f"{item}: {in_short(result)}", flush=True)
            write()
    print(f"\n{time.monotonic() - began:.0f} seconds in all, in {write()}")
    print_tables(results)
    return results


def in_short(result: dict[str, Any]) -> str:
    """A result in one line."""
    if (why := obstacle(result)) is not None:
        return why
    if "agrees" in result:
        return " ".join(agreement(result))
    return f"{result['images_per_second']:,.0f} images/s"


def items_of(
    name: str, plan: Plan, deadline: float, longest: float
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The results of a section's items, from processes that may crash or take too long.

    Args:
        name: of the section.
        plan: what is measured.
        deadline: by `time.monotonic`; what is not done then is skipped.
        longest: seconds that one item may take.
    """
    wanted = list(SECTIONS[name].items(plan))
    done: set[str] = set()
    while len(done) < len(wanted) and time.monotonic() < deadline:
        child = Child(name, plan, done)
        begun: str | None = None
        for line in child.lines(deadline, longest):
            begun = line["item"]
            if "result" in line:
                done.add(line["item"])
                yield line["item"], line["result"]
                begun = None
        why = child.end()
        if begun is None and not why:
            break
        if begun is not None:
            done.add(begun)
            yield begun, {"failed": why}
        elif not done:
            break  # it cannot even begin
    for item in wanted:
        if item not in done:
            yield item, {"skipped": "the time of the section was over, or it could not begin"}


class Child:
    """A process that works on a section."""

    def __init__(self, name: str, plan: Plan, done: set[str]) -> None:
        module = "benchmarks.gpu.sections"
        arguments = [name, json.dumps(asdict(plan)), json.dumps(sorted(done))]
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        self.told: queue.Queue[str | None] = queue.Queue()
        self.late = ""
        self.reader = Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.told.put(line)
        self.told.put(None)

    def lines(self, deadline: float, longest: float) -> Iterator[dict[str, Any]]:
        """What it tells, until it ends or its time is over."""
        while True:
            left = deadline - time.monotonic()
            try:
                line = self.told.get(timeout=max(0.0, min(left, longest)))
            except queue.Empty:
                over = "the section" if left < longest else "one item"
                self.late = f"the time of {over} was over"
                return
            if line is None:
                return
            yield json.loads(line)

    def end(self) -> str:
        """End it if it has not ended; says why, and nothing if it ended well."""
        if self.late:
            self.process.kill()
        status = self.process.wait()
        self.reader.join()
        return self.late or (f"the process ended with status {status}" if status else "")


if __name__ == "__main__":
    run(main)
