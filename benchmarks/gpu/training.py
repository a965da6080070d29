"""How fast is `draw train` as a whole, and what bound does it reach in a minute?

The loop of `draw train` itself, with its data, noise, logging and checkpoints, in a folder that is
thrown away. The rate is that of the second half of the time, so that what is compiled first does
not count; the minute of the training does count it.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from time import monotonic
from typing import Any

from benchmarks.gpu.plan import Items, Plan, Result
from benchmarks.ways import model_of
from draw.config.compute import ComputeConfig
from draw.config.data import DataConfig
from draw.config.presets import digits, mnist, mnist_no_attention
from draw.config.run import Config
from draw.data import Splits, load_splits
from draw.errors import Interruption
from draw.runs.checkpoint import METRICS_FILE
from draw.runs.metrics import read_metrics
from draw.training.start import start
from draw.training.trainer import Trainer

SECONDS = 9.0
"""How long each rate is measured."""
FOREVER = 10_000_000
"""Steps that no run of seconds comes to."""


@lru_cache(maxsize=1)
def splits(data: DataConfig) -> Splits:
    """The images, decoded once."""
    return load_splits(data, progress=False)


def data_of(plan: Plan) -> DataConfig:
    """MNIST where its folder is given, else scikit-learn's digits in its size."""
    if plan.data is None:
        return digits().data
    return DataConfig(name="mnist", path=plan.data, binarize="dynamic")


def prepared(preset: Config, plan: Plan, **train: Any) -> Config:
    """A preset on the plan's device and images, without evaluations on the way."""
    changes: dict[str, Any] = {
        "evaluate_every": FOREVER,
        "checkpoint_minutes": 60.0,
        "log_every": 10,
        **train,
    }
    model = model_of(preset)
    if plan.small:
        model = replace(model, glimpses=2, hidden_size=8)
        changes |= {"batch_size": 4, "evaluate_images": 8}
    return replace(
        preset,
        model=model,
        data=data_of(plan),
        train=replace(preset.train, **changes),
        compute=ComputeConfig(device=plan.device),
    )


@contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """SIGTERM to this process after so long, which ends a training as Ctrl-C does."""
    timer = Timer(seconds, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def trained(config: Config, folder: Path, images: Splits, seconds: float | None) -> Trainer:
    """A trainer whose time or steps are over."""
    trainer = start(config, folder / "run", images.train, images.validation)
    if seconds is None:
        trainer.fit()
    else:
        with stopped_after(seconds), suppress(Interruption):
            trainer.fit()
    return trainer


def rate_items(plan: Plan) -> Items:
    """Each preset and batch."""
    runs = {
        "draw train mnist, batch 512": (mnist(), 512),
        "draw train mnist-no-attention, batch 512": (mnist_no_attention(), 512),
        "draw train mnist, batch 64": (mnist(), 64),
    }
    return {name: partial(rate, preset, batch, plan) for name, (preset, batch) in runs.items()}


def rate(preset: Config, batch: int, plan: Plan) -> Result:
    """Images per second of the whole loop, and of all its parts in words."""
    limits: dict[str, Any] = {"steps": 20} if plan.small else {"steps": FOREVER}
    config = prepared(preset, plan, batch_size=batch, **limits)
    with TemporaryDirectory() as folder:
        images = splits(config.data)
        trainer = trained(config, Path(folder), images, None if plan.small else SECONDS)
        lines = [one for one in read_metrics(trainer.run / METRICS_FILE) if one["kind"] == "train"]
        choice = str(trainer.bare_model.choice)
        trainer.accelerator.end_training()
    middle, last = lines[len(lines) // 2 - 1], lines[-1]
    seconds = max(last["seconds"] - middle["seconds"], 0.1)
    return {
        "images_per_second": (last["images_seen"] - middle["images_seen"]) / seconds,
        "steps": last["step"],
        "backend": choice,
        "precision": trainer.compute.precision,
        "images": images.train.source,
    }


def minute_items(plan: Plan) -> Items:
    """The paper's model without attention, by the recipe of docs/reproduction.md, but shorter."""
    return {
        f"mnist-no-attention, batch 512, {plan.seconds:.0f} seconds": partial(minute, plan),
    }


def minute(plan: Plan) -> Result:
    """Bounds on validation and test images after the time is over.

    The learning rate falls along half a cosine over as many steps as a short run before it
    promises for the time.
    """
    if plan.small:
        config, seconds = prepared(mnist_no_attention(), plan, steps=4), None
    else:
        before = rate(mnist_no_attention(), 512, plan)
        per_second = float(str(before["images_per_second"])) / 512
        steps = max(1000, int(0.95 * plan.seconds * per_second))
        config = prepared(
            mnist_no_attention(), plan, batch_size=512, steps=steps, evaluate_every=steps,
            evaluate_images=2000, log_every=100,
        )  # fmt: skip
        seconds = plan.seconds
    images = splits(config.data)
    with TemporaryDirectory() as folder:
        began = monotonic()
        trainer = trained(config, Path(folder), images, seconds)
        took = monotonic() - began
        lines = read_metrics(trainer.run / METRICS_FILE)
        some = images.test.some(8 if plan.small else 10_000)
        result = trainer.task.evaluate(
            trainer.average.module, some, trainer.accelerator, lambda done, text: None
        )
        trainer.accelerator.end_training()
    seen = trainer.step * config.train.batch_size
    return {
        "test": result.to_dict(),
        "training": next(one for one in reversed(lines) if one["kind"] == "train"),
        "seconds": took,
        "steps": trainer.step,
        "of_steps": config.train.steps,
        "images_per_second": seen / took,
        "images": images.train.source,
    }
