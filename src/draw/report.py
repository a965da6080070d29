"""What a finished run shows: pictures, in the run folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Int, Int64, UInt8
from torch import Tensor

from draw.classifier import Classified, Classifier
from draw.convnet import Convnet
from draw.data import ImageSet
from draw.data.batches import spread, to_unit_interval
from draw.evaluate import evaluation_images
from draw.likelihood import meaning
from draw.model import DRAW
from draw.progress import Update, progress
from draw.visualize import (
    animate,
    classification_curves,
    generation_strip,
    glimpse_strip,
    last_column,
    nearest_images,
    reconstruction_strip,
    sample_grid,
    training_curves,
)

Measured = TypeVar("Measured")


def with_progress(
    images: ImageSet,
    accelerator: Accelerator,
    measure: Callable[[ImageSet, Update], Measured],
) -> Measured:
    """Measure something on a whole data set as evaluation sees it, with a progress bar."""
    processes = accelerator.num_processes
    bar = progress(
        f"evaluate {images.split}",
        -(-images.count // processes),
        units_per_item=processes,
        enabled=accelerator.is_main_process,
    )
    with bar as update, accelerator.autocast():
        return measure(images.fixed(), update)


DRAWING_PICTURES = (
    "samples.png", "generation.png", "generation.gif", "reconstructions.png", "curves.png",
)  # fmt: skip
CLASSIFICATION_PICTURES = "glimpses.png", "curves.png"


def drawing_pictures(
    model: DRAW,
    run: Path,
    metrics: Sequence[Mapping[str, Any]],
    training: ImageSet,
    test: ImageSet,
    dynamic: bool,
) -> list[Path]:
    """Make the pictures of a run that learned to draw.

    Args:
        model: with its best weights.
        run: the run folder.
        metrics: the lines for the curves.
        training: where to look for the image nearest to each sample.
        test: images to reconstruct.
        dynamic: binarize these first, as in evaluation.

    Returns:
        The files, DRAWING_PICTURES: samples, the drawing of some step by step and as an animation,
        reconstructions, curves.
    """
    grid, strip, animation, reconstructions, curves = (run / name for name in DRAWING_PICTURES)
    read_size, write_size = model.config.window_sizes
    drawings = model.generate(64, seed=0)
    samples = drawings.images[-1]
    neighbours, _, _ = nearest_in_training(last_column(samples), training)
    some = model.generate(16, seed=0)
    originals = evaluation_images(test.fixed().images, spread(test.count, 6), dynamic, seed=0)
    return [
        sample_grid(samples, grid, neighbours=neighbours),
        generation_strip(some, strip, write_size=write_size),
        animate(some, animation, write_size=write_size),
        reconstruction_strip(
            originals,
            model.reconstruct(originals),
            reconstructions,
            read_size=read_size,
            write_size=write_size,
        ),
        training_curves(
            metrics,
            curves,
            title=meaning(model.config, binary=test.binary, dynamic=dynamic),
        ),
    ]


def classification_pictures(
    model: Classifier | Convnet, run: Path, metrics: Sequence[Mapping[str, Any]], test: ImageSet
) -> list[Path]:
    """Make the pictures of a run that learned to classify.

    Args:
        model: with its best weights.
        run: the run folder.
        metrics: the lines for the curves.
        test: images to look at.

    Returns:
        The files, CLASSIFICATION_PICTURES: where a model with a window looks, and the curves.
    """
    glimpses, curves = (run / name for name in CLASSIFICATION_PICTURES)
    classification_curves(metrics, curves)
    if isinstance(model, Convnet):
        return [curves]
    glimpses_of(model, test, glimpses)
    return [glimpses, curves]


class Glimpsed(NamedTuple):
    """Images in which a classifier looked."""

    numbers: Int[np.ndarray, " n"]
    """Theirs in the split."""
    labels: Int64[Tensor, " n"] | None
    answers: Classified


@torch.no_grad()
def glimpses_of(model: Classifier, images: ImageSet, path: Path, n: int = 6) -> Glimpsed:
    """Draw where a classifier looks in some images, evenly from all (figure 5).

    Raises:
        DrawError: if the images do not have the model's shape.
    """
    seen, numbers = images.fixed(), spread(images.count, n)
    x = to_unit_interval(seen.images[numbers]).to(model.h_0.device)
    labels = None if seen.labels is None else torch.from_numpy(seen.labels[numbers])
    answers = model(x)
    glimpse_strip(x, answers, path, read_size=model.config.read_size, labels=labels)
    return Glimpsed(numbers, labels, answers)


class Nearest(NamedTuple):
    """The training image nearest to each sample in L2, of those that were looked at."""

    images: UInt8[Tensor, "samples channels rows columns"]
    numbers: Int64[Tensor, " samples"]
    """Of the stored images: where a view makes the images, what each started from."""
    distances: Float[Tensor, " samples"]
    """In units of the [0, 1] intensities."""
    looked_at: int
    """So many training images."""


def nearest_so_far(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> Iterator[Nearest]:
    """The nearest training images among more and more of them, at last among all.

    Images are compared as evaluation sees them, some at a time.
    """
    points = samples.double()
    found = torch.zeros(samples.shape, dtype=torch.uint8)
    numbers = torch.zeros(len(samples), dtype=torch.int64)
    distances = torch.full((len(samples),), torch.inf, dtype=points.dtype)
    before = 0
    for block, _ in training.blocks():
        images = torch.from_numpy(block)
        indices, apart = nearest_images(points, images)
        nearer = apart < distances
        found[nearer], distances[nearer] = images[indices[nearer]], apart[nearer]
        numbers[nearer] = indices[nearer] + before
        before += len(images)
        yield Nearest(found, numbers, distances.to(samples.dtype), before)


def nearest_in_training(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> tuple[
    UInt8[Tensor, "samples channels rows columns"],
    Int64[Tensor, " samples"],
    Float[Tensor, " samples"],
]:
    """The training image nearest to each sample in L2, its number, and its distance."""
    *_, last = nearest_so_far(samples, training)
    return last.images, last.numbers, last.distances
