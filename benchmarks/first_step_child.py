"""One training step in this fresh process, for `benchmarks.first_step`, which starts it.

    python -m benchmarks.first_step_child cpp bf16 '{"row": "mnist"}' cpu

It prints the time of day, in seconds, at which each stage was over, as JSON; so that nothing but
the step is timed, this file imports nothing else.
"""

import json
import sys
import time
from typing import cast

import torch

from benchmarks.devices import synchronize
from benchmarks.ways import Precision, Shape, bound, build, inputs, optimizer, update


def main(way: str, precision: Precision, shape: Shape, device: torch.device) -> None:
    stamps = {"imports": time.time()}
    x, noise = inputs(shape.config, shape.batch, device)
    model = build(way, shape.config, device)
    adam = optimizer(model)
    synchronize(device)
    stamps["model"] = time.time()
    losses = bound(model, precision, x, noise)
    synchronize(device)
    stamps["first call"] = time.time()
    update(model, adam, losses)
    synchronize(device)
    stamps["first update"] = time.time()
    update(model, adam, bound(model, precision, x, noise))
    synchronize(device)
    stamps["second step"] = time.time()
    print(json.dumps(stamps))


if __name__ == "__main__":
    main(
        sys.argv[1],
        cast(Precision, sys.argv[2]),
        Shape(**json.loads(sys.argv[3])),
        torch.device(sys.argv[4]),
    )
