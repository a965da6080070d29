"""What a finished run shows: pictures, in the run folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from draw.data import ImageSet
from draw.data.batches import spread, to_unit_interval
from draw.measure.nearest import nearest_in_training
from draw.model.classifier import Classifier, ClassifierOutput
from draw.model.draw import DRAW
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
    """Make the pictures of a run that learned to draw.

    Args:
        model: with its best weights.
        run: the run folder.
        metrics: the lines for the curves.
        training: where to look for the image nearest to each sample.
        originals: images to reconstruct, as the model sees them in evaluation.
        labels: their classes, for a model that is told them.
        meaning: of the nats, for the curves' title.

    Returns:
        The files, DRAWING_PICTURES: samples, the drawing of some step by step and as an animation,
        reconstructions, curves.
    """
    grid, strip, animation, reconstructions, curves = (run / name for name in DRAWING_PICTURES)
    drawings = model.generate(64, seed=0)
    samples = drawings.images[-1]
    neighbours, _, _ = nearest_in_training(last_column(samples), training)
    some = model.generate(16, seed=0)
    return [
        sample_grid(samples, grid, neighbours=neighbours),
        generation_strip(some, strip),
        animate(some, animation),
        reconstruction_strip(
            originals, model.reconstruct(originals, labels=labels), reconstructions
        ),
        training_curves(
            metrics,
            curves,
            title=meaning,
        ),
    ]


class GlimpsesPicture(NamedTuple):
    """Images in which a classifier looked."""

    numbers: Int[np.ndarray, " n"]
    """Theirs in the split."""
    labels: Int64[Tensor, " n"] | None
    answers: ClassifierOutput


@torch.no_grad()
def glimpses_of(model: Classifier, images: ImageSet, path: Path, n: int = 6) -> GlimpsesPicture:
    """Draw where a classifier looks in some images, evenly from all (figure 5).

    Raises:
        DrawError: if the images do not have the model's shape.
    """
    seen, numbers = images.evaluation_set(), spread(images.count, n)
    x = to_unit_interval(seen.images[numbers]).to(model.h_0.device)
    labels = None if seen.labels is None else torch.from_numpy(seen.labels[numbers])
    answers = model(x)
    glimpse_strip(x, answers, path, labels=labels)
    return GlimpsesPicture(numbers, labels, answers)
