"""What is each choice worth that the paper leaves open: where weights start, how Adam is set?

    python -m benchmarks.starts                            # nine minutes of one thread
    python -m benchmarks.starts --images 16000 --seeds 0

Trains on scikit-learn's digits, dynamically binarized, and prints the bound of the averaged weights
on the validation images: first from a plain start with one more choice made in every row, then with
all choices made but one of those about the start. Model and loop are the package's own; what a
model starts with is set back after it was made.
"""

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import write_result
from benchmarks.ways import model_of
from draw.attention import GaussianAttention
from draw.config.compute import ComputeConfig
from draw.config.presets import digits
from draw.config.run import Config
from draw.data import Splits, load_splits
from draw.model.draw import DRAW
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import read_metrics
from draw.training.start import start


def plain_windows(model: DRAW) -> None:
    """delta~ = sigma = 1: the outermost filters on the border, each a pixel wide."""
    assert isinstance(model.attention, GaussianAttention)
    model.attention.read_window.bias.zero_()
    model.attention.write_window.bias.zero_()


def plain_canvas(model: DRAW) -> None:
    """Every pixel is 0 or 1 with the same probability."""
    model.canvas_0.zero_()


def plain_gates(model: DRAW) -> None:
    """Forget gates start half open."""
    for lstm in (model.lstm_enc, model.lstm_dec):
        lstm.bias_ih[model.config.hidden_size : 2 * model.config.hidden_size] -= 1


def plain_codes(model: DRAW) -> None:
    """The posterior's affine maps start with torch's weights."""
    model.mu.weight *= 10
    model.log_sigma.weight *= 10


PLAIN: dict[str, Callable[[DRAW], None]] = {
    "windows": plain_windows,
    "canvas": plain_canvas,
    "gates": plain_gates,
    "codes": plain_codes,
}
"""What of the package's own start can be set back."""


@dataclasses.dataclass(frozen=True)
class Choices:
    """What the paper leaves open, and the windows' sizes; as plain as can be, by default."""

    plain: tuple[str, ...] = tuple(PLAIN)
    clip_norm: float = 5.0
    learning_rate: float = 1e-3
    batch_size: int = 128
    read_size: int = 2
    write_size: int = 5

    def config(self, images: int, seed: int, device: str) -> Config:
        """A run over so many images."""
        steps, preset = images // self.batch_size, digits()
        model = dataclasses.replace(
            model_of(preset), read_size=self.read_size, write_size=self.write_size
        )
        train = dataclasses.replace(
            preset.train,
            steps=steps,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            warmup_steps=steps // 20,
            clip_norm=self.clip_norm,
            seed=seed,
            evaluate_every=steps,
        )
        compute = ComputeConfig(device=device)
        return dataclasses.replace(preset, model=model, train=train, compute=compute)


ROWS: dict[str, dict[str, Any]] = {
    "plain": {},
    "windows of overlapping filters": {"plain": ("canvas", "gates", "codes")},
    "canvas at the mean image": {"plain": ("gates", "codes")},
    "read 5 instead of 2": {"read_size": 5},
    "clip 100 instead of 5": {"clip_norm": 100.0},
    "mu and log sigma at a tenth": {"plain": ("gates",)},
    "forget-gate bias 1": {"plain": ()},
    "step size 3e-3 instead of 1e-3": {"learning_rate": 3e-3},
    "batch 64 instead of 128": {"batch_size": 64},
    "read 8, write 8": {"read_size": 8, "write_size": 8},
    "read 12, write 12": {"read_size": 12, "write_size": 12},
}
"""The choice that each row makes on top of those above it."""


def all_choices() -> Iterator[tuple[str, Choices]]:
    """Every line of the table."""
    choices = Choices()
    for name, changes in ROWS.items():
        choices = dataclasses.replace(choices, **changes)
        yield name, choices
    for part in PLAIN:
        yield f"all but {part}", dataclasses.replace(choices, plain=(part,))


def validation(
    choices: Choices, images: int, seed: int, splits: Splits, device: str
) -> dict[str, float]:
    """Bound and KL of the averaged weights after a run, in nats."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / "run"
        trainer = start(
            choices.config(images, seed, device), place, splits.train, splits.validation
        )
        model = trainer.bare_model
        assert isinstance(model, DRAW)
        with torch.no_grad():
            for part in choices.plain:
                PLAIN[part](model)
        trainer.fit()
        trainer.accelerator.end_training()
        last = read_metrics(place / METRICS_FILE)[-1]
    return {"bound": last["bound"], "kl": last["kl"]}


def main(images: int = 32_000, seeds: tuple[int, ...] = (0, 1), device: str = "auto") -> None:
    """Train once for each line and seed.

    Args:
        images: How many images a run sees.
        seeds: One run each; the table has their mean, and how far apart they are.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
    """
    where = device_of(device)
    splits = load_splits(digits().data)
    table = Table("choice, on top of those above", "bound", "apart", "KL", title="nats")
    lines = {}
    for name, choices in all_choices():
        found = [validation(choices, images, seed, splits, device) for seed in seeds]
        bounds, kls = ([one[what] for one in found] for what in ("bound", "kl"))
        table.add_row(
            name,
            f"{statistics.mean(bounds):.1f}",
            f"{max(bounds) - min(bounds):.1f}",
            f"{statistics.mean(kls):.1f}",
        )
        lines[name] = {**dataclasses.asdict(choices), "validation": found}
    Console().print(table)
    write_result("starts", where, images=images, seeds=seeds, lines=lines)


if __name__ == "__main__":
    run(main)
