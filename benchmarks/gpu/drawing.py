"""How fast are new images, bounds without gradient, and estimates from K samples?

Generation and bounds are from noise that is on the device already. The estimate is
`draw.measure.evaluate` with K samples of each image, noise and all; images times K a second.
"""

import statistics
from functools import partial

import numpy as np
import torch

from benchmarks.devices import seconds_of
from benchmarks.gpu.plan import Items, Plan, Result
from benchmarks.ways import Shape, bound, build, generate, inputs, products_in
from draw.errors import KernelUnavailableError
from draw.measure.bound import evaluate
from draw.model.draw import DRAW

IMPORTANCE_SAMPLES = 8


def items(plan: Plan) -> Items:
    """Each measure by each way."""
    shape = Shape(batch=3, glimpses=2, hidden_size=8) if plan.small else Shape(batch=2048)
    ways = ("eager", *plan.ways)
    of_samples = ("auto", "reference")
    return {
        **{
            f"{what}; {way} bf16": partial(measure, what, shape, way, plan.where)
            for way in reversed(ways)
            for what in ("bound", "generation")
        },
        **{
            f"K = {IMPORTANCE_SAMPLES} samples; {way} bf16": partial(
                estimate, shape, way, plan.where
            )
            for way in of_samples
        },
    }


@torch.no_grad()
def measure(what: str, shape: Shape, way: str, device: torch.device) -> Result:
    """Images per second of generation or of the bound."""
    model, given = build(way, shape.config, device), inputs(shape.config, shape.batch, device)
    call = (
        partial(bound, model, "bf16", *given)
        if what == "bound"
        else partial(generate, model, "bf16", given.noise)
    )
    try:
        seconds_of(call, device, 2)
    except KernelUnavailableError as error:
        return {"obstacle": str(error)}
    median = statistics.median(seconds_of(call, device) for _ in range(5))
    return {"milliseconds": 1000 * median, "images_per_second": shape.batch / median}


def estimate(shape: Shape, way: str, device: torch.device) -> Result:
    """Images times K a second, with everything that `draw evaluate` does for an image."""
    model = build(way, shape.config, device)
    assert isinstance(model, DRAW)
    images = np.random.default_rng(0).integers(0, 256, (shape.batch, *shape.config.image_shape))

    def call() -> None:
        with products_in("bf16", device):
            evaluate(
                model,
                images.astype(np.uint8),
                batch_size=shape.batch,
                importance_samples=IMPORTANCE_SAMPLES,
            )

    try:
        seconds_of(call, device)
    except KernelUnavailableError as error:
        return {"obstacle": str(error)}
    seconds = seconds_of(call, device)
    count = shape.batch * IMPORTANCE_SAMPLES
    return {"milliseconds": 1000 * seconds, "images_per_second": count / seconds}
