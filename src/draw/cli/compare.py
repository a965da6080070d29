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
    from draw.models.comparison import Comparison


def compare(
    models: Annotated[Positional[tuple[str, ...]], arg(metavar="MODEL")],
    data: Annotated[DataOptions, arg(name="")],
    importance_samples: Natural = 0,
    batch_size: Count = 250,
    refine: Natural = 0,
    images: Count | None = None,
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
        refine: updates (300, say) that fit the posterior to each image, for the refined bound too;
            takes several hundred times as long.
        images: number of images, evenly from the split; by default all.
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
    from draw.models.storage import LoadedModel, weights_of_each
    from draw.tasks import Measuring, Result, Task
    from draw.training.accelerator import make_accelerator
    from draw.visualize.comparison_curves import comparison_curves

    if len(models) < 2:
        raise DrawError(f"expected two or more models to compare, got {len(models)}; name another")
    accelerator = make_accelerator(settle(compute))
    loaded = [
        (name, load(ModelOptions(name, which, compute=compute)))
        for name, which in zip(models, weights_of_each(models, weights), strict=True)
    ]
    if out is not None and all(one.config is None for _, one in loaded):
        raise DrawError(
            f"expected a run folder among the models for --out, whose curves it shows, got "
            f"{', '.join(models)}; leave --out out"
        )
    found, _ = images_for(loaded[0][1], data, [one for _, one in loaded[1:]])
    fixed = found.evaluation_set()
    chosen = fixed if images is None else fixed.some(images)

    def evaluate(task: Task, one: LoadedModel, how: Measuring) -> Result:
        model = one.model.to(accelerator.device)
        return with_progress(
            chosen,
            accelerator,
            lambda seen, update: task.evaluate(model, seen, accelerator, update, how),
        )

    how = Measuring(batch_size, importance_samples, seed, refine)
    with advise_smaller_batches(batch_size, "--batch-size"):
        result = compared(loaded, chosen, how, evaluate)
    accelerator.end_training()
    with words_apart_from(json):
        print_comparison(f"{data.split} images of {chosen.source}", result)
        if out is not None:
            curves = {one.name: one.progress for one in result.candidates if one.progress}
            title = f"validation {result.task.score}"
            unit = result.task.curves[0].unit  # the score's
            say(comparison_curves(curves, out, title=title, unit=unit))
    write_result(json, result.to_dict())


def print_comparison(title: str, found: "Comparison") -> None:
    """Print a table with a column for each candidate and a line for each figure.

    Args:
        title: name of the images.
        found: result of the comparison.
    """
    from rich.table import Table

    from draw.models.comparison_table import remarks, sections

    table = Table("", *(one.name for one in found.candidates), title=title)
    for lines in sections(found):
        for words, cells in lines:
            table.add_row(words, *cells)
        table.add_section()
    VisibleConsole().print(table)
    for words in remarks(found):
        VisibleConsole().print(words, soft_wrap=True)
