"""The pictures of a finished run, in its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from draw.data import ImageSet
from draw.data.batches import spread, to_unit_interval
from draw.measure.accuracy import check_labels
from draw.measure.nearest import nearest_in_training
from draw.model.classifier import Classifier, ClassifierOutput
from draw.model.draw import DRAW
from draw.tensors import by_shapes
from draw.visualize import (
    animate,
    generation_strip,
    glimpse_strip,
    last_column,
    reconstruction_strip,
    sample_grid,
    training_curves,
)

DRAWING_PICTURES = (
    "samples.png", "generation.png", "generation.gif", "reconstructions.png", "curves.png",
)  # fmt: skip


def drawing_pictures(
    model: DRAW,
    run: Path,
    metrics: Sequence[Mapping[str, Any]],
    training: ImageSet,
    originals: Float[Tensor, "n channels rows columns"],
    labels: Int[Tensor, " n"] | None,
    meaning: str,
) -> list[Path]:
    """Draw the pictures of a run that learned to draw.

    Args:
        model: the model with its best weights.
        run: the run folder.
        metrics: lines of metrics.jsonl for the curves.
        training: images among which the nearest to each sample is searched for.
        originals: images to reconstruct, as the model sees them in evaluation.
        labels: class of each original, for a class-conditional model.
        meaning: meaning of the nats, for the curves' title.

    Returns:
        The files, DRAWING_PICTURES: samples, the drawing of some step by step and as an animation,
        reconstructions, curves.
    """
    grid, strip, animation, reconstructions, curves = (run / name for name in DRAWING_PICTURES)
    drawings = model.generate(64, seed=0)
    samples = drawings.images[-1]
    neighbours, _, _ = nearest_in_training(last_column(samples), training)
    some = model.generate(16, seed=0)
    device = model.canvas_0.device
    labels = None if labels is None else labels.to(device)
    drawn = model.reconstruct(originals.to(device), labels=labels)
    return [
        sample_grid(samples, grid, neighbours=neighbours),
        generation_strip(some, strip),
        animate(some, animation),
        reconstruction_strip(originals, drawn, reconstructions),
        training_curves(
            metrics,
            curves,
            title=meaning,
        ),
    ]


class GlimpsesPicture(NamedTuple):
    """A picture of where a classifier looked, and the images that are shown in it."""

    numbers: Int[np.ndarray, " n"]
    """Numbers of the images in their split."""
    labels: Int64[Tensor, " n"] | None
    answers: ClassifierOutput

    def __repr__(self) -> str:
        return by_shapes(self)


@torch.no_grad()
def glimpses_of(
    model: Classifier, images: ImageSet, path: Path, n: int = 6, scale: int | None = None
) -> GlimpsesPicture:
    """Draw where a classifier looks in some images, evenly from all (figure 5).

    Args:
        model: the classifier.
        images: images of a data set.
        path: file to write: .png or .webp.
        n: number of images to show.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        DrawError: if the images do not have the model's shape, or a label is none of its classes.
    """
    seen, numbers = images.evaluation_set(), spread(images.count, n)
    if seen.labels is not None:
        check_labels(seen, model.config.classes)
    x = to_unit_interval(seen.images[numbers]).to(model.h_0.device)
    labels = None if seen.labels is None else torch.from_numpy(seen.labels[numbers])
    answers = model(x)
    glimpse_strip(x, answers, path, labels=labels, scale=scale)
    return GlimpsesPicture(numbers, labels, answers)
