"""Run folders for the tests of the studio: tiny models as they start, and made numbers."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from draw.config.data import DataConfig
from draw.config.model import ClassifierConfig, DRAWConfig
from draw.config.run import Config
from draw.config.train import TrainConfig
from draw.models.kinds import make_model
from draw.models.storage import export_model
from draw.runs.paths import write_run_file

DRAWS = DRAWConfig(
    rows=28, columns=28, glimpses=4, hidden_size=16, latent_size=4, read_size=3, write_size=3
)
COLOUR = dataclasses.replace(DRAWS, channels=3, rows=12, columns=10, likelihood="logistic")
SLOW = DRAWConfig(rows=128, columns=128, glimpses=256, hidden_size=512, write_size=24)
LOOKS = ClassifierConfig(glimpses=3, hidden_size=16, read_size=4)


def make_run(
    folder: Path, model: DRAWConfig | ClassifierConfig, data: DataConfig, evaluations: int = 3
) -> Path:
    """A run folder as training would leave it, half way through."""
    torch.manual_seed(0)
    config = Config(folder.name, model, data, TrainConfig(steps=100))
    write_run_file(folder, config, {})
    export_model(folder / "best", make_model(model), data, {"step": 50})
    with open(folder / "metrics.jsonl", "w") as file:
        for step in range(1, 41):
            file.write(line("train", step, model) + "\n")
            if step % (40 // evaluations) == 0:
                file.write(line("validation", step, model) + "\n")
    (folder / "samples").mkdir()
    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(folder / "samples/step-00000040.png")
    return folder


def line(kind: str, step: int, model: DRAWConfig | ClassifierConfig) -> str:
    """A line of metrics.jsonl."""
    values: dict[str, Any] = {"kind": kind, "step": step, "images_seen": 10 * step, "seconds": step}
    if isinstance(model, DRAWConfig):
        values |= {"bound": 200 - step, "reconstruction": 190 - 2 * step, "kl": float(10 + step)}
        profile = "kl_per_glimpse"
    else:
        values |= {"error": 90 - step, "cross_entropy": 2 - step / 100}
        profile = "error_by_glimpse"
    if kind != "train":
        values[profile] = [float(step + t) for t in range(model.glimpses)]
    return json.dumps(values)


def make_runs(root: Path) -> Path:
    """A folder of runs: one that draws grey, one colour, one slow, and a classifier."""
    digits = DataConfig(name="digits", binarize="dynamic", cache_dir=str(root.parent / "cache"))
    make_run(root / "slow", SLOW, digits)
    make_run(root / "colour", COLOUR, DataConfig(name="images", cache_dir=digits.cache_dir))
    cluttered = DataConfig(name="cluttered-mnist", cache_dir=digits.cache_dir)
    make_run(root / "looks", LOOKS, cluttered)
    make_run(root / "draws", DRAWS, digits)
    return root
