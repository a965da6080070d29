"""The error of a classifier over a whole data set."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int
from torch.nn.functional import cross_entropy

from draw.data import ImageSet
from draw.data.batches import to_unit_interval
from draw.errors import DrawError
from draw.measure.bound import for_each_image
from draw.model.checks import check_weights
from draw.model.classifier import ClassifierOutput
from draw.model.machine import evaluation_mode
from draw.model.pretrained import Model


@dataclass(frozen=True)
class Accuracy:
    """Error of a classifier over images that each count once, in %."""

    images: int
    """Number of images."""
    error: float
    """Fraction of images whose likeliest class is not their label, in %."""
    error_low: float
    """Lower end of the error's 95 % confidence interval (Wilson's), in %."""
    error_high: float
    """Upper end of the error's 95 % confidence interval (Wilson's), in %."""
    cross_entropy: float
    """Mean of -log p(label), in nats."""
    error_by_glimpse: tuple[float, ...]
    """Error if the answer were asked for after each glimpse, in %."""
    scores: Float[np.ndarray, " images"] = field(repr=False, compare=False)
    """0 or 100 for each image, by its number: whether it was wrong, in %."""

    def to_dict(self) -> dict[str, Any]:
        """Convert the result to plain values, ready for JSON, without the score of each image."""
        values = asdict(self)
        del values["scores"]
        return values


def check_labels(images: ImageSet, classes: int, purpose: str = "to classify") -> None:
    """Refuse images without labels, or with labels of more classes than the model knows.

    Args:
        images: images of a data set, with their labels.
        classes: number of classes that the model knows.
        purpose: what the labels are for, as the message says it after "expected labelled images".

    Raises:
        DrawError: if there are no labels, or there are more classes than the model knows.
    """
    if images.labels is None:
        raise DrawError(
            f"expected labelled images {purpose}, got {images.source} without labels; pass a "
            "folder with a subfolder for each class, or parquet files with a column 'label'"
        )
    least, most = int(images.labels.min()), int(images.labels.max())
    if least < 0 or most >= classes:
        raise DrawError(
            f"expected labels from 0 to {classes - 1} (model.classes is {classes}), got {least} to "
            f"{most} in the {images.split} images of {images.source}"
            + (f"; a model of --model.classes {most + 1} knows them" if least >= 0 else "")
        )


@torch.no_grad()
def measure_accuracy(
    model: Model,
    images: ImageSet,
    *,
    batch_size: int = 250,
    accelerator: Accelerator | None = None,
    on_progress: Callable[[int, str], None] = lambda done, text: None,
) -> Accuracy:
    """Measure the error of a classifier on every image of a data set exactly once.

    Args:
        model: one that answers with a `ClassifierOutput`, on the device that is to do the work; its
            config says how many classes there are.
        images: images as the model sees them in evaluation (`ImageSet.evaluation_set`), with
            labels.
        batch_size: images at a time; only speed and memory depend on it.
        accelerator: accelerator that splits the images among its processes, and every process gets
            the result.
        on_progress: function called with the number of images done by this process and the error so
            far.

    Raises:
        DrawError: if the images have no labels or not the model's shape, or there are none; or if
            the model's weights are not finite.
    """
    check_weights(model.state_dict().items(), "the model")
    config: Any = model.config
    check_labels(images, config.classes)
    weight = next(model.parameters())

    def answers(own: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m values"]:
        """One row an image: number, cross-entropy, and whether wrong after each glimpse."""
        assert images.labels is not None
        rows, wrong = [], 0
        for start in range(0, len(own), batch_size):
            numbers = own[start : start + batch_size]
            output: ClassifierOutput = model(to_unit_interval(images.images[numbers]).to(weight))
            labels = torch.from_numpy(images.labels[numbers]).to(weight.device)
            losses = cross_entropy(output.logits.float(), labels, reduction="none")
            missed = output.logits_by_glimpse.argmax(2) != labels
            values = torch.cat([losses[:, None], missed.mT.float()], 1).cpu().double().numpy()
            rows.append(np.column_stack([numbers, values]))
            done, wrong = start + len(numbers), wrong + int(missed[-1].sum())
            on_progress(done, f"error {100 * wrong / done:.2f} %")
        return np.concatenate(rows)

    with evaluation_mode(model):
        rows = for_each_image(model.config.image_shape, images.images, accelerator, answers)
    errors = 100 * rows[:, 2:].mean(0)
    low, high = wilson_interval(int(rows[:, -1].sum()), len(rows))
    return Accuracy(
        images=len(rows),
        error=float(errors[-1]),
        error_low=100 * low,
        error_high=100 * high,
        cross_entropy=float(rows[:, 1].mean()),
        error_by_glimpse=tuple(float(error) for error in errors),
        scores=100 * rows[np.argsort(rows[:, 0]), -1],
    )


def wilson_interval(count: int, of: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a fraction, lower and upper end.

    Args:
        count: how many were counted.
        of: number of all.
    """
    from scipy.stats import binomtest

    interval = binomtest(count, of).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
