"""The evaluation of a model on any images that it can be shown, from Python."""

import os
from dataclasses import replace
from typing import Any

from draw.config.compute import ComputeConfig, Precision
from draw.config.data import Binarize, DataConfig, Split
from draw.errors import DrawError
from draw.fields import Count, Natural, Seed, whole
from draw.measure.progress_bar import with_progress
from draw.model.machine import settle
from draw.model.memory import advise_smaller_batches
from draw.model.preprocessing import images_of, training_data
from draw.model.pretrained import Model
from draw.models.kinds import task_of
from draw.models.loader import load
from draw.tasks import Measuring, Result
from draw.training.accelerator import make_accelerator


def evaluate(
    model: Model | str | os.PathLike[str],
    images: Any = None,
    labels: Any = None,
    *,
    split: Split = "test",
    binarize: Binarize | None = None,
    importance_samples: int = 0,
    refine: int = 0,
    batch_size: int = 250,
    seed: int = 0,
    precision: Precision = "fp32",
) -> Result:
    """Measure a model on images, each exactly once, as `draw evaluate` does.

    Args:
        model: a model, or what `draw.load` takes.
        images: an array, a tensor or a list of images (8 bits, or floating-point numbers in [0, 1];
            nothing is scaled unasked), a data set of torch or of the library datasets, the path of
            a folder, the name of a data set, a `DataConfig`; or None for the data set that the
            model was trained on.
        labels: class of each image, for a classifier or a class-conditional model; None for those
            of the data set.
        split: split to take of a folder or a data set.
        binarize: whether pixels are drawn as 0 or 1 with their grey values as probabilities
            ("dynamic") or left as they are ("none"); by default as in training.
        importance_samples: number K of samples of the importance-weighted estimate, 0 for none.
        refine: number of updates that fit the posterior to each image for the refined bound, 0 for
            none.
        batch_size: images at a time; only speed and memory depend on it.
        seed: seed of the noise.
        precision: precision of matrix products.

    Returns:
        An `Evaluation` with the bound in nats or, of a classifier, an `Accuracy` with the error in
        %.

    Raises:
        DrawError: if images or labels do not fit the model.
    """
    how = Measuring(
        batch_size=whole("batch_size", Count, batch_size),
        importance_samples=whole("importance_samples", Natural, importance_samples),
        seed=whole("seed", Seed, seed),
        refinement_steps=whole("refine", Natural, refine),
    )
    if not isinstance(model, Model):
        model = load(model)
    found = images_of(model, images, labels, split=split, binarize=binarize)
    data = training_data(model) or DataConfig("images")
    task = task_of(model.config, replace(data, binarize="dynamic" if found.dynamic else "none"))
    if labels is not None and not task.needs(found.images).labels:
        raise DrawError(
            f"expected no labels for this {type(model).__name__}, which is told none and names "
            "none; leave them out"
        )
    place = next(model.parameters()).device
    compute = settle(ComputeConfig(device=str(place), precision=precision))
    accelerator = make_accelerator(compute)
    with compute.products(), advise_smaller_batches(how.batch_size, "batch_size"):
        return with_progress(
            found.images,
            accelerator,
            lambda seen, update: task.evaluate(model, seen, accelerator, update, how),
        )
