"""How fast are the batches of each view made, and does training wait for them?

    python -m benchmarks.data                          # MNIST-sized and SVHN-sized images, random
    python -m benchmarks.data --batch 32 --count 10000

What a step of training asks of the data: 8-bit images by number, then floats in [0, 1], on the
device that trains.
plain is images as they are stored. Ways take turns, and the medians of the rounds are compared. One
round makes ten batches.
"""

from functools import partial

import numpy as np

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from draw.data import Cluttered, ImageSet, RandomCrop, TwoDigits, View
from draw.data.batches import batch_indices, to_unit_interval
from draw.randomness import VIEW_TRAINING, generator

BATCHES = 10
WAYS: dict[str, tuple[View | None, tuple[int, int, int]]] = {
    "plain 28x28x1": (None, (1, 28, 28)),
    "two digits 60x60x1": (TwoDigits(), (1, 28, 28)),
    "cluttered 100x100x1": (Cluttered(), (1, 28, 28)),
    "plain 64x64x3": (None, (3, 64, 64)),
    "random crop 54x54x3": (RandomCrop(), (3, 64, 64)),
}


def main(batch: int = 128, count: int = 20_000, device: str = "auto", rounds: int = 7) -> None:
    """Time the making of batches.

    Args:
        batch: Images at a time.
        count: Images that are stored.
        device: Where they go: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each way is measured.
    """
    where = device_of(device)
    random = np.random.default_rng(0)
    stored = {
        shape: random.integers(0, 256, (count, *shape), dtype=np.uint8)
        for shape in {shape for _, shape in WAYS.values()}
    }

    def batches(view: View | None, shape: tuple[int, int, int]) -> None:
        images = ImageSet("", "train", stored[shape], None, "", "", False, view)
        for step in range(BATCHES):
            indices = batch_indices(0, step, batch, count)
            made, _ = images.batch(indices, generator(0, VIEW_TRAINING, step))
            to_unit_interval(made).to(where)

    ways = {name: partial(batches, *way) for name, way in WAYS.items()}
    times = seconds_each(ways, rounds, device=where)
    facts = {"batch": batch, "stored_images": count}
    report("data", times, batch * BATCHES, device=where, base="plain 28x28x1", facts=facts)


if __name__ == "__main__":
    run(main)
