"""How fast does the classifier learn and answer?

    python -m benchmarks.classify                    # 100x100, 8 glimpses of 12x12, batch 128
    python -m benchmarks.classify --glimpses 4

A training step is the cross-entropy, its gradient, clipping and Adam, from the same weights in all
backends; an answer is the forward pass alone. Ways take turns, and the medians of the rounds are
compared.
"""

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch.nn.functional import cross_entropy

from benchmarks.command import run
from benchmarks.devices import device_of
from benchmarks.measure import report, seconds_each
from benchmarks.ways import BOTH, Precision, made_for, optimizer, products_in
from draw.config.model import ClassifierConfig
from draw.kernels import BACKENDS, choose
from draw.model.classifier import Classifier


def main(
    batch: int = 128, glimpses: int = 8, size: int = 100, device: str = "auto", rounds: int = 7
) -> None:
    """Time training steps and answers.

    Args:
        batch: Images at a time.
        glimpses: T.
        size: Rows and columns of the images.
        device: Where: auto (the GPU if there is one), cpu, cuda, cuda:1, mps.
        rounds: Times that each is measured.
    """
    config = ClassifierConfig(rows=size, columns=size, glimpses=glimpses, window_clip=10.0)
    where = device_of(device)
    timed: dict[str, Callable[[], object]] = {}
    for way in ("reference", *made_for(where)):
        for precision in BOTH:
            torch.manual_seed(0)
            model = Classifier(config).to(where)
            model.backend = way
            if (found := obstacle(model)) is not None:
                print(f"without {way}: {found}")
                continue
            timed[f"step, {way} {precision}"] = training_step(model, precision, batch)
            timed[f"answer, {way} {precision}"] = answer(model, precision, batch)
    times = seconds_each(timed, rounds, warm_up=1, device=where)
    name, facts = f"classify-{size}-glimpses-{glimpses}", {"batch": batch, "model": asdict(config)}
    report(name, times, batch, device=where, base="step, reference fp32", facts=facts)


def obstacle(model: Classifier) -> str | None:
    """Why the backend that is asked for cannot run a classifier; None where it can."""
    weights = model.h_0
    return choose.obstacle(BACKENDS[model.backend], model, weights.device, weights.dtype)


def inputs(
    config: ClassifierConfig, batch: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and labels."""
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *config.image_shape, generator=chance).to(device)
    return images, torch.randint(config.classes, (batch,), generator=chance).to(device)


def training_step(model: Classifier, precision: Precision, batch: int) -> Callable[[], object]:
    """One update of the weights."""
    device = model.h_0.device
    images, labels = inputs(model.config, batch, device)
    adam = optimizer(model)

    def step() -> None:
        with products_in(precision, device):
            logits = model(images).logits
        torch.autograd.backward(cross_entropy(logits.float(), labels))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        adam.step()
        adam.zero_grad()

    return step


def answer(model: Classifier, precision: Precision, batch: int) -> Callable[[], object]:
    """A batch of answers."""
    device = model.h_0.device
    images, _ = inputs(model.config, batch, device)

    def look() -> None:
        with torch.no_grad(), products_in(precision, device):
            model(images)

    return look


if __name__ == "__main__":
    run(main)
