"""How far each run goes: equal images, and as many as equal seconds leave to each change."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from benchmarks import measure
from benchmarks.devices import device_of, seconds_of
from benchmarks.variants.changes import (
    BATCH,
    CHANGES,
    PAPER,
    SetName,
    config_of,
)
from draw.config.compute import BackendName, ComputeConfig
from draw.config.run import Config
from draw.data import Splits
from draw.errors import InUseError
from draw.files import make_folder
from draw.json_files import read_json_object, write_json
from draw.runs.lock import RunLock
from draw.training.start import start
from draw.training.trainer import Trainer

NEAR = 0.03
"""Share of the images by which equal seconds have to differ from equal images to count as others:
rates are not known better than that."""
ROUND = 0.3
"""Seconds of training, roughly, in one round of a measurement of a rate."""


class Case(NamedTuple):
    """One run: a change, trained on a set from a seed."""

    set: SetName
    change: str
    seed: int

    def folder(self, out: Path) -> Path:
        """Where its run and its results are."""
        return out / self.set / self.change / f"seed-{self.seed}"

    def config(self, settings: "Settings") -> Config:
        """Its config, but for where its images are and how it is computed."""
        return config_of(
            self.set, CHANGES[self.change], self.seed, settings.images, quick=settings.quick
        )


class Settings(NamedTuple):
    """What all runs of a folder have in common, and what cannot change on the way."""

    images: int
    """Training images that every run sees."""
    test_images: int
    """Test images that its bound is measured on."""
    quick: bool = False
    """Whether the models are as small as can be, which shows that everything runs."""


@contextmanager
def turn(folder: Path) -> Iterator[None]:
    """The right to write into a folder, for which other processes are waited for."""
    make_folder(folder)
    while True:
        lock = RunLock(folder)
        try:
            lock.acquire()
            break
        except InUseError:
            time.sleep(0.2)
    with lock:
        yield


class Plan:
    """The plan of a folder of runs, kept in its plan.json: settings, and the rates of the changes.

    A rate is measured once, in turn with that of the paper's model, and its ratio to that one says
    how many images equal seconds are: so the marks of a run neither move when it goes on, nor
    depend on what else the computer does meanwhile.

    Args:
        out: The folder, whose runs have begun (`begin`).
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        values = self.values()
        self.settings = Settings(*(values[name] for name in Settings._fields))
        self.results = measure.RESULTS / str(values["results"])
        """The file that the folder's runs are written down in."""

    @property
    def path(self) -> Path:
        """The file of the plan."""
        return self.out / "plan.json"

    def values(self) -> dict[str, Any]:
        """The file's contents."""
        return read_json_object(self.path)

    def ratios(self, name: SetName) -> dict[str, float]:
        """Images per second of each change that was measured, in those of the paper's model."""
        found: dict[str, dict[str, float]] = self.values()["rates"].get(name, {})
        return {change: rate["ratio"] for change, rate in found.items()}

    def measure_rates(
        self, name: SetName, changes: Iterable[str], splits: Splits, places: "Places"
    ) -> None:
        """Measure the rates of changes that are not known yet; other processes wait for it."""
        with turn(self.out):
            values = self.values()
            known = values["rates"].setdefault(name, {})
            missing = [change for change in changes if change not in known]
            if not missing:
                return
            print(f"{name}: images per second of {', '.join(missing)} ...", flush=True)
            cases = [Case(name, change, 0) for change in dict.fromkeys((PAPER, *missing))]
            rates = rates_of(cases, self, splits, places)
            for change in missing:
                ratio = rates[change] / rates[PAPER]
                known[change] = {"images_per_second": rates[change], "ratio": ratio}
            write_json(self.path, values)

    def marks(self, case: Case) -> tuple[int, int]:
        """Steps of a run after equal images, and after equal seconds."""
        steps = max(1, self.settings.images // BATCH)
        in_time = max(1, round(steps * self.ratios(case.set)[case.change]))
        return steps, steps if abs(in_time - steps) <= NEAR * steps else in_time


def begin(out: Path, settings: Settings, places: "Places") -> Plan:
    """The plan of a folder, a new one or that of the runs to go on with.

    Raises:
        SystemExit: if the folder's runs have other settings, other images, or are computed
            elsewhere or otherwise; plans from before that was kept do not tell.
    """
    with turn(out):
        if not (out / "plan.json").exists():
            results = measure.new_path("variants", places.where, suffix=".jsonl")
            results.touch()  # nobody else is to take this name
            values = {**measure.origin(places.where), **settings._asdict()}
            values["places"] = places._asdict()
            write_json(out / "plan.json", {**values, "results": results.name, "rates": {}})
    plan = Plan(out)
    if plan.settings != settings:
        raise SystemExit(
            f"expected the settings that {out} began with, {plan.settings}, got {settings}; name "
            "another folder with --out"
        )
    before = Places(**plan.values().get("places", places._asdict()))
    if before != places:
        raise SystemExit(
            f"expected the images and the way to compute that {out} began with, {before}, got "
            f"{places}; name another folder with --out"
        )
    return plan


class Places(NamedTuple):
    """Where the images are, and how models are computed."""

    mnist: str | None
    letters: str | None
    device: str
    backend: BackendName = "auto"

    @property
    def where(self) -> torch.device:
        """The device that models are computed on."""
        return device_of(self.device)

    def of(self, config: Config) -> Config:
        """A config with these in it."""
        path = self.letters if config.data.name == "chars74k" else self.mnist
        own = config.data if config.data.name == "digits" else replace(config.data, path=path)
        compute = ComputeConfig(device=self.device, backend=self.backend)
        return replace(config, data=own, compute=compute)


def rates_of(cases: list[Case], plan: Plan, splits: Splits, places: Places) -> dict[str, float]:
    """Images per second in training of some changes, which take turns; the medians count."""
    timed: dict[str, Callable[[], object]] = {}
    steps = {}
    with TemporaryDirectory() as folder, ExitStack() as locks:
        for case in cases:
            config = places.of(case.config(plan.settings))
            trainer = start(config, Path(folder) / case.change, splits.train, splits.validation)
            locks.enter_context(trainer.lock)
            _train(trainer, 2)  # a backend compiles, or is recorded
            once = seconds_of(partial(_train, trainer, 1), places.where)
            steps[case.change] = max(1, min(20, round(ROUND / once)))
            timed[case.change] = partial(_train, trainer, steps[case.change])
        times = measure.seconds_each(timed, rounds=5, warm_up=0, device=places.where)
    medians = measure.medians_of(times)
    return {change: steps[change] * BATCH / seconds for change, seconds in medians.items()}


def _train(trainer: Trainer, steps: int) -> None:
    with trainer.compute.products():
        for _ in range(steps):
            trainer.one_step()
