"""What a finished run shows: the test bound and pictures, in the run folder."""

from pathlib import Path

import torch
from accelerate import Accelerator
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from draw.checkpoint import METRICS_FILE, load_model
from draw.data import ImageSet
from draw.data.batches import spread
from draw.evaluate import Evaluation, evaluate, evaluation_images
from draw.likelihood import meaning
from draw.metrics import read_metrics
from draw.model import DRAW
from draw.progress import progress
from draw.visualize import (
    animate,
    generation_strip,
    last_column,
    nearest_images,
    reconstruction_strip,
    sample_grid,
    training_curves,
)


def evaluate_with_progress(
    model: DRAW,
    images: ImageSet,
    accelerator: Accelerator,
    *,
    dynamic: bool,
    batch_size: int = 250,
    importance_samples: int = 0,
    seed: int = 0,
) -> Evaluation:
    """`draw.evaluate.evaluate` on a whole data set, with a progress bar."""
    processes = accelerator.num_processes
    bar = progress(
        f"evaluate {images.split}",
        -(-images.count // processes),
        units_per_item=processes,
        enabled=accelerator.is_main_process,
    )
    with bar as update, accelerator.autocast():
        return evaluate(
            model,
            images.fixed().images,
            dynamic=dynamic,
            batch_size=batch_size,
            importance_samples=importance_samples,
            seed=seed,
            accelerator=accelerator,
            on_progress=update,
        )


def write_pictures(run: Path, training: ImageSet, test: ImageSet, dynamic: bool) -> list[Path]:
    """Make the pictures of a run from its best weights.

    Args:
        run: the run folder.
        training: where to look for the image nearest to each sample.
        test: images to reconstruct.
        dynamic: binarize these first, as in evaluation.

    Returns:
        The files: samples, the drawing of some step by step and as an animation,
        reconstructions, curves.
    """
    loaded = load_model(str(run))
    model = loaded.model
    read_size, write_size = model.config.window_sizes
    drawings = model.generate(64, seed=0)
    samples = drawings.images[-1]
    neighbours, _, _ = nearest_in_training(last_column(samples), training)
    some = model.generate(16, seed=0)
    originals = evaluation_images(test.fixed().images, spread(test.count, 6), dynamic, seed=0)
    return [
        sample_grid(samples, run / "samples.png", neighbours=neighbours),
        generation_strip(some, run / "generation.png", write_size=write_size),
        animate(some, run / "generation.gif", write_size=write_size),
        reconstruction_strip(
            originals,
            model.reconstruct(originals),
            run / "reconstructions.png",
            read_size=read_size,
            write_size=write_size,
        ),
        training_curves(
            read_metrics(run / METRICS_FILE),
            run / "curves.png",
            title=meaning(model.config, binary=test.binary, dynamic=dynamic),
        ),
    ]


def nearest_in_training(
    samples: Float[Tensor, "samples channels rows columns"], training: ImageSet
) -> tuple[
    UInt8[Tensor, "samples channels rows columns"],
    Int64[Tensor, " samples"],
    Float[Tensor, " samples"],
]:
    """The training image nearest to each sample in L2, its number, and its distance.

    Images are compared as evaluation sees them, some at a time; of those that a view makes, the
    number is that of the stored image it started from.
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
    return found, numbers, distances.to(samples.dtype)
