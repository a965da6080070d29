"""How much of a run's time is its steps, and how much do the images and the noise cost?

    python -m benchmarks.train_loop                    # Table 3's MNIST row, batch 128
    python -m benchmarks.train_loop --row mnist-small --batch 64 --precision fp32

The training loop as `draw train` runs it, without evaluations and checkpoints, in three ways:

    step      every step with the same images and noise, which are there already
    in turn   each step waits for its own images and noise
    ahead     what the loop does: a thread makes those of the next steps meanwhile

The ways take turns, and the medians of the rounds are compared.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, cast

import numpy as np

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import Shape
from draw.config.compute import ComputeConfig
from draw.config.presets import mnist
from draw.data import ImageSet
from draw.training.start import start
from draw.training.trainer import Trainer

Way = Literal["step", "in turn", "ahead"]
WAYS: tuple[Way, ...] = ("step", "in turn", "ahead")


def main(
    shape: Shape,
    binarize: Literal["none", "dynamic"] = "dynamic",
    precision: Literal["fp32", "bf16"] = "bf16",
    steps: int = 20,
    device: str = "auto",
    rounds: int = 7,
) -> None:
    """Time the training loop.

    Args:
        shape: The model, and how many images at a time.
        binarize: Whether grey images are drawn as 0 or 1 at every step.
        precision: Of the matrix products.
        steps: Of training in each round.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each way is measured.
    """
    where = device_of(device)
    with TemporaryDirectory() as folder, ExitStack() as locks:
        timed: dict[str, Callable[[], object]] = {}
        for way in WAYS:
            trainer = trainer_of(shape, binarize, precision, device, Path(folder) / way)
            locks.enter_context(trainer.lock)
            timed[way] = _round_of(trainer, way, steps)
        times = seconds_each(timed, rounds, warm_up=1, device=where)
    facts = {"binarize": binarize, "precision": precision, "steps": steps, **shape.facts}
    name, images = f"train_loop-{shape.name}", steps * shape.batch
    report(name, times, images, device=where, base="step", facts=facts)


def trainer_of(
    shape: Shape,
    binarize: Literal["none", "dynamic"],
    precision: Literal["fp32", "bf16"],
    device: str,
    folder: Path,
    backend: str = "auto",
) -> Trainer:
    """A trainer of a model on random images, in a new folder."""
    config = mnist()
    config = replace(
        config,
        model=shape.config,
        data=replace(config.data, name="images", binarize=binarize),
        train=replace(config.train, batch_size=shape.batch),
        compute=ComputeConfig(device=device, backend=cast(Any, backend), precision=precision),
    )
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (2_000, *shape.config.image_shape), dtype=np.uint8)
    images = ImageSet("images", "train", pixels, None, "random", "", binary=False)
    return start(config, folder, images, images.some(1))


def _round_of(trainer: Trainer, way: Way, steps: int) -> Callable[[], object]:
    """Some steps of a run, one after another."""
    if way == "step":
        feed = trainer.feed(0)
        trainer.feed.make = lambda step: feed

    def train() -> None:
        for _ in range(steps):
            trainer._one_step()
        trainer._log_training()

    def train_ahead() -> None:
        with trainer.feed:
            train()

    return train_ahead if way == "ahead" else train


if __name__ == "__main__":
    run(main)
