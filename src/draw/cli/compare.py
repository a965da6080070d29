"""The verb compare: models side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from draw.cli.options import (
    DataOptions,
    Json,
    ModelOptions,
    Output,
    images_for,
    load,
    words_apart_from,
    write_result,
)
from draw.config.compute import PLAIN, ComputeConfig
from draw.config.run import Weights
from draw.console import VisibleConsole
from draw.errors import DrawError
from draw.fields import Count, Natural, Seed
from draw.formats import FIGURES
from draw.terminal import say

if TYPE_CHECKING:
    from draw.models.comparison import Candidate, Comparison


def compare(
    models: Annotated[Positional[tuple[str, ...]], arg(metavar="MODEL")],
    data: Annotated[DataOptions, arg(name="")],
    importance_samples: Natural = 0,
    batch_size: Count = 250,
    weights: Weights = "best",
    seed: Seed = 0,
    json: Json = None,
    out: Annotated[Path | None, Output(FIGURES)] = None,
    compute: Annotated[ComputeConfig, arg(name="")] = PLAIN,
) -> None:
    """Measure models on the same images with the same noise.

    One table has two or more of them. The first is what the others are compared with: the
    difference is paired over images, and so known far better than either figure. Runs that differ
    in --train.seed alone (draw train --seeds) are pooled: mean, spread between seeds, and a
    difference whose +- has both spreads. Of run folders it also shows the validation score after as
    many training images, and after as long a training, as all of them had.

    For example:

    draw compare runs/mnist runs/mnist-learned-prior --out comparison.png

    Args:
        models: run folders, exported folders, names from draw models, or owner/name on the Hub.
        data: options that name the images; by default those that the first model was trained on.
        importance_samples: K of the importance-weighted estimate; takes K times as long.
        batch_size: images at a time; changes speed and memory, not the result.
        weights: choice among the weights of runs: those with the lowest validation score, or the
            last ones.
        seed: seed of the noise.
        json: also write all figures as JSON to this file (- for standard output).
        out: also draw validation curves over images and over time (.png, .svg or .pdf).
        compute: how to run the models.
    """
    from draw.measure.progress_bar import with_progress
    from draw.model.machine import settle
    from draw.model.memory import advise_smaller_batches
    from draw.models.comparison import compare as compared
    from draw.models.storage import LoadedModel
    from draw.tasks import Measuring, Result, Task
    from draw.training.accelerator import make_accelerator
    from draw.visualize.comparison_curves import comparison_curves

    if len(models) < 2:
        raise DrawError(f"expected two or more models to compare, got {len(models)}; name another")
    accelerator = make_accelerator(settle(compute))
    loaded = [(name, load(ModelOptions(name, weights, compute=compute))) for name in models]
    if out is not None and all(one.config is None for _, one in loaded):
        raise DrawError(
            f"expected a run folder among the models for --out, whose curves it shows, got "
            f"{', '.join(models)}; leave --out out"
        )
    images, _ = images_for(loaded[0][1], data)
    fixed = images.evaluation_set()

    def evaluate(task: Task, one: LoadedModel, how: Measuring) -> Result:
        model = one.model.to(accelerator.device)
        return with_progress(
            fixed,
            accelerator,
            lambda seen, update: task.evaluate(model, seen, accelerator, update, how),
        )

    how = Measuring(batch_size, importance_samples, seed)
    with advise_smaller_batches(batch_size, "--batch-size"):
        found = compared(loaded, fixed, how, evaluate)
    accelerator.end_training()
    with words_apart_from(json):
        print_comparison(f"{data.split} images of {images.source}", found)
        if out is not None:
            curves = {one.name: one.progress for one in found.candidates if one.progress}
            title = f"validation {found.task.score}"
            unit = found.task.curves[0].unit  # the score's
            say(comparison_curves(curves, out, title=title, unit=unit))
    write_result(json, found.to_dict())


def print_comparison(title: str, found: "Comparison") -> None:
    """Print a table with a column for each candidate and a line for each figure.

    Args:
        title: name of the images.
        found: result of the comparison.
    """
    from rich.table import Table

    table = Table("", *(one.name for one in found.candidates), title=title)

    def line(words: str, cells: "list[str | None]") -> None:
        if any(cells):
            table.add_row(words, *(cell or "-" for cell in cells))

    line("parameters", [f"{one.parameters:,}" for one in found.candidates])
    line(
        f"{found.task.score} +- standard error",
        [f"{one.score:.3f} +- {one.standard_error:.3f}" for one in found.candidates],
    )
    samples = found.candidates[0].results[0].to_dict().get("importance_samples")
    for name, words in PARTS.items():
        line(f"  {words.format(samples)}", [_mean(one, name) for one in found.candidates])
    line("  of the mean over", [_spread(one, found.images) for one in found.candidates])
    differences = [one.difference for one in found.candidates]
    line(
        "difference from the first, paired",
        [d and f"{d.mean:+.3f} +- {d.standard_error:.3f}" for d in differences],
    )
    if any(d and d.between_seeds for d in differences):
        line("  +- over images alone", [d and f"{d.over_images:.3f}" for d in differences])
        line("  +- between seeds alone", [d and f"{d.between_seeds:.3f}" for d in differences])
    table.add_section()
    line("training images behind the weights", [_seen(one) for one in found.candidates])
    line(
        "training images a second, with evaluations",
        [
            None if one.images_per_second is None else f"{one.images_per_second:,.0f}"
            for one in found.candidates
        ],
    )
    if found.equal_images is not None:
        line(
            f"validation after {found.equal_images:,.0f} images",
            [_figure(one.after_images) for one in found.candidates],
        )
    if found.equal_seconds is not None:
        line(
            f"validation after {found.equal_seconds / 60:,.1f} minutes",
            [_figure(one.after_seconds) for one in found.candidates],
        )
    VisibleConsole().print(table)
    for words in _remarks(found):
        VisibleConsole().print(words, soft_wrap=True)


def _spread(one: "Candidate", images: int) -> str:
    """What the standard error of a score is one over."""
    if one.deviation is None:
        return f"{images:,} images"
    return f"{len(one.names)} seeds, standard deviation {one.deviation:.3f}"


def _seen(one: "Candidate") -> str | None:
    if not one.training_images:
        return None
    least, most = min(one.training_images), max(one.training_images)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"


def _remarks(found: "Comparison") -> "list[str]":
    """How to read the table, and why figures are missing in it."""
    pooled = any(one.deviation is not None for one in found.candidates)
    parts = "over images and between the seeds" if pooled else "over images"
    lines = [
        f"{found.images:,} images; {found.task.units}; less is better. A difference is taken image "
        f"by image, with the same noise; its +- is the standard error {parts}."
    ]
    if any(one.deviation is None for one in found.candidates):
        lines.append(
            "What another seed would change is not in the +- of a single run: draw train --seeds."
        )
    if found.obstacle is not None:
        lines.append(f"No figures after equal images and equal seconds: {found.obstacle}.")
    elif any(None in (one.after_images, one.after_seconds) for one in found.candidates):
        lines.append("A - after equal images or seconds: no evaluation was made so early.")
    return lines


PARTS = {
    "reconstruction": "reconstruction",
    "kl": "KL",
    "importance_weighted": "importance-weighted, K = {}",
    "bits_per_dimension": "bits per dimension",
    "cross_entropy": "cross-entropy",
}
"""Numbers of a result that are shown besides its score, where it has them, with their words."""


def _mean(one: "Candidate", name: str) -> str | None:
    values = [result.to_dict().get(name) for result in one.results]
    known = [value for value in values if isinstance(value, float)]
    return _figure(sum(known) / len(known)) if known else None


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
