"""How fast does the classifier learn and answer?

    python -m benchmarks.classify                    # 100x100, 8 glimpses of 12x12, batch 128
    python -m benchmarks.classify --glimpses 4

A training step is the cross-entropy, its gradient, clipping and Adam, from the same weights in both
kernels; an answer is the forward pass alone. Ways take turns, and the medians of the rounds are
compared.
"""

from collections.abc import Callable
from dataclasses import asdict, replace

import torch
from torch.nn.functional import cross_entropy

from benchmarks.command import run
from benchmarks.measure import report, seconds_each
from benchmarks.ways import BOTH, Precision, optimizer, products_in
from draw.config.model import ClassifierConfig, Kernel
from draw.model.classifier import Classifier

KERNELS: tuple[Kernel, ...] = ("reference", "fused")


def main(batch: int = 128, glimpses: int = 8, size: int = 100, rounds: int = 7) -> None:
    """Time training steps and answers.

    Args:
        batch: Images at a time.
        glimpses: T.
        size: Rows and columns of the images.
        rounds: Times that each is measured.
    """
    config = ClassifierConfig(rows=size, columns=size, glimpses=glimpses, window_clip=10.0)
    timed: dict[str, Callable[[], object]] = {}
    for kernel in KERNELS:
        for precision in BOTH:
            torch.manual_seed(0)
            model = Classifier(replace(config, kernel=kernel))
            timed[f"step, {kernel} {precision}"] = training_step(model, precision, batch)
            timed[f"answer, {kernel} {precision}"] = answer(model, precision, batch)
    times = seconds_each(timed, rounds, warm_up=1)
    report(
        f"classify-{size}-glimpses-{glimpses}", times, batch, base="step, reference fp32",
        facts={"batch": batch, "model": asdict(config)},
    )  # fmt: skip


def inputs(config: ClassifierConfig, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and labels."""
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(batch, *config.image_shape, generator=chance)
    return images, torch.randint(config.classes, (batch,), generator=chance)


def training_step(model: Classifier, precision: Precision, batch: int) -> Callable[[], object]:
    """One update of the weights."""
    images, labels = inputs(model.config, batch)
    adam = optimizer(model)

    def step() -> None:
        with products_in(precision):
            logits = model(images).logits
        torch.autograd.backward(cross_entropy(logits.float(), labels))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        adam.step()
        adam.zero_grad()

    return step


def answer(model: Classifier, precision: Precision, batch: int) -> Callable[[], object]:
    """A batch of answers."""
    images, _ = inputs(model.config, batch)

    def look() -> None:
        with torch.no_grad(), products_in(precision):
            model(images)

    return look


if __name__ == "__main__":
    run(main)
