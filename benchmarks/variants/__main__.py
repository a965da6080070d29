"""What is each change of the paper's model worth, at equal images and at equal seconds?

    python -m benchmarks.variants --data DATA/mnist --letters DATA/letters     # days on two cores
    python -m benchmarks.variants --data DATA/mnist --sets mnist --images 100000
    python -m benchmarks.variants --data DATA/mnist --sets mnist --only prior none
    python -m benchmarks.variants --quick                  # shows that everything runs

One change at a time, three seeds, on MNIST (the sizes of mnist-small), two digits and letters in
colour. How long all of it takes is told at the start, from rates that are measured then. It can be
stopped at any time (Ctrl-C, SIGTERM); the same command goes on. Several at once share the work of a
folder, each taking the next run that nobody else is at: as many as there are cores, with
OMP_NUM_THREADS=1, are faster than one with all cores. After every run the results so far are
written: JSON lines in benchmarks/results, and FOLDER/table.md.

The learning rate is constant after a short warm-up, and what is measured is the average of the
weights, so that a run can be judged wherever it is. Equal seconds are counted by the rates of the
start, which were measured in turn, not by the clock: a busy computer does not change them.
"""

import sys
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Literal

from benchmarks.command import run
from benchmarks.variants.changes import BATCH, PAPER, VALIDATION, SetName, changes_for
from benchmarks.variants.plan import Case, Places, Plan, Settings, begin, turn
from benchmarks.variants.report import table, write
from benchmarks.variants.runs import advance, cases_of, measurement
from draw.config.compute import BackendName
from draw.data import ImageSet, Splits, load_splits
from draw.errors import Interruption, InUseError
from draw.files import make_folder
from draw.runs.lock import RunLock

EVALUATION = 0.3
"""Seconds that the bound of an image takes, in those of its training: roughly, for the estimate."""
BETWEEN = 1.0
"""Seconds that begin and end a mark: files, and a grid of samples."""


def main(
    data: str | None = None,
    letters: str | None = None,
    images: int = 1_000_000,
    seeds: tuple[int, ...] = (0, 1, 2),
    only: tuple[str, ...] = (),
    sets: tuple[Literal["mnist", "two-digits", "letters"], ...] = (
        "mnist",
        "two-digits",
        "letters",
    ),
    test_images: int = 2_000,
    device: str = "auto",
    backend: BackendName = "auto",
    out: Path = Path("runs/variants"),
    quick: bool = False,
) -> None:
    """Train the paper's model and each change of it, and compare them.

    Args:
        data: MNIST, a folder or a Hub name; by default the Hub's.
        letters: The letters of chars74k; by default their own place.
        images: Training images of each run.
        seeds: One run each.
        only: Changes to train besides the paper's model, instead of all.
        sets: Sets of images, one after another.
        test_images: Test images that the bound is measured on.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        backend: What computes the steps, as for draw train; another than auto needs its own --out.
        out: Folder of the runs; the same one goes on.
        quick: Tiny models on scikit-learn's digits, in place of the sets.
    """
    names: tuple[SetName, ...] = ("digits",) if quick else sets
    images, test_images = (256, 40) if quick else (images, test_images)
    changes = {name: tuple(changes_for(name, only)) for name in names}
    places = Places(data, letters, device, backend)
    plan = begin(out, Settings(images, test_images, quick), places)

    @cache
    def images_of(name: SetName) -> tuple[Splits, ImageSet]:
        config = places.of(Case(name, PAPER, 0).config(plan.settings))
        splits = load_splits(config.data)
        return splits, splits.test.evaluation_set().some(test_images)

    for name in names:
        plan.measure_rates(name, changes[name], images_of(name)[0], places)
    print(estimate(plan, cases_of(changes, seeds, plan)), flush=True)
    try:
        while any(
            one_more(plan, case, steps, *images_of(case.set), places)
            for case, steps in cases_of(changes, seeds, plan)
        ):
            pass
    except Interruption as stopped:
        print(f"stopped at step {stopped.step} of {stopped.run}; the same command goes on")
        sys.exit(130)
    print(f"{table(plan)}\n{plan.results}")
    if left := len(list(cases_of(changes, seeds, plan))):
        print(f"other processes are still at the last of it: {left} marks")


def one_more(
    plan: Plan, case: Case, steps: int, splits: Splits, test: ImageSet, places: Places
) -> bool:
    """Train a run on to a mark and write the results so far, unless another process is at it."""
    folder = case.folder(plan.out)
    make_folder(folder)
    lock = RunLock(folder)
    try:
        lock.acquire()
    except InUseError:
        return False
    with lock:
        if measurement(plan, case, steps):
            return False
        print(
            f"{case.set}, {case.change}, seed {case.seed}: to {steps * BATCH:,} images", flush=True
        )
        advance(plan, case, steps, splits, test, places)
    with turn(plan.out):
        write(plan)
    return True


def estimate(plan: Plan, cases: Iterable[tuple[Case, int]]) -> str:
    """How long what is left takes one process, by the rates that were measured."""
    rates = plan.values()["rates"]
    seconds, done = 0.0, dict[Case, int]()
    todo = list(cases)
    for case, steps in todo:
        before = done.get(case) or max(
            (mark for mark in plan.marks(case) if measurement(plan, case, mark)), default=0
        )
        measured = plan.settings.test_images + VALIDATION
        work = BATCH * max(0, steps - before) + EVALUATION * measured
        seconds += BETWEEN + work / rates[case.set][case.change]["images_per_second"]
        done[case] = steps
    left = timedelta(seconds=round(seconds))
    return f"{len(todo)} marks to train to: about {left} (h:mm:ss) of one process"


if __name__ == "__main__":
    run(main)
