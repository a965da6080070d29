"""The verb figure: the paper's figures, by their numbers."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from draw.cli.options import (
    DataOptions,
    Json,
    ModelOptions,
    Output,
    Scale,
    check_option,
    images_for,
    load,
    report_picture,
    words_apart_from,
)
from draw.config.compute import PLAIN, ComputeConfig
from draw.config.run import Weights
from draw.errors import DrawError
from draw.fields import Count, Limits, Seed
from draw.formats import FIGURES, PICTURES
from draw.terminal import say

if TYPE_CHECKING:
    from draw.models.storage import LoadedModel


DEFAULTS = {
    5: "cluttered",
    6: "mnist",
    7: "mnist",
    8: "two-digits",
    9: "chars74k",
    10: "chars74k",
    12: "chars74k",
}
"""Models that come with the package, by the figure that each makes where none is named."""


@dataclasses.dataclass(frozen=True)
class FigureOptions:
    """From what, and how."""

    source: Annotated[Positional[str | None], arg(metavar="MODEL|IMAGE")] = None
    """Run folder, exported folder, a name from draw models, or owner/name on the Hub; by default
    one that comes with the package. For figure 3 any picture; figure 11 needs a run folder."""
    n: Count | None = None
    """How many drawings; for figure 8 how many to count in."""
    out: Annotated[Path | None, Output()] = None
    """Picture to write; by default figure-N.png. (.png or .webp; 3 and 11 .png, .svg or .pdf)"""
    without: Annotated[str | None, arg(metavar="MODEL")] = None
    """Figures 7 and 10: a second model, without attention, whose drawings go below."""
    window: Annotated[
        UseAppendAction[tuple[tuple[float, float, float, float], ...]],
        arg(metavar="CENTRE-X CENTRE-Y STRIDE SIGMA"),
    ] = ()
    """Figure 3: a window, in pixels counted from 1; repeat it for more. By default the paper's."""
    filters: Annotated[int, Limits(least=1, most=1000)] | None = None
    """Figure 3: filters along one side of a window, N; by default 12."""
    name: Annotated[str | None, arg(name="data.name")] = None
    """Figures 5, 6, 9 and 12: another data set than the model's; see draw data list."""
    path: Annotated[str | None, arg(name="data.path")] = None
    """Figures 5, 6, 9 and 12: where its images are, if not where they were."""
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None
    """Figures 5, 6, 9 and 12: folder of decoded images; by default the run's, or ~/.cache/draw."""
    scale: Scale | None = None
    """Picture pixels for each of an image, 1 for its own size; by default such that a row fits a
    page. Not for figures 3 and 11, which are plots."""
    weights: Weights = "best"
    """Weights of a run: those with the lowest validation bound, or the last ones. Not for figures 3
    and 11."""
    seed: Seed = 0
    """The same seed gives the same figure; 3, 5 and 11 are always the same."""
    json: Json = None
    """Also write the result as JSON to this file (- for standard output)."""
    compute: Annotated[ComputeConfig, arg(name="")] = PLAIN
    """How to run the model; figures 3 and 11 run none."""


def figure(
    number: Annotated[Positional[Literal[3, 5, 6, 7, 8, 9, 10, 11, 12]], arg(metavar="N")],
    options: Annotated[FigureOptions, arg(name="")],
) -> None:
    """Make one of the paper's figures, from any model.

    3   how a window sits on an image: filters with centre and stride, and what three windows
        read and write back. Needs an image, or nothing: then a digit is shown.

    5   where a classifier (draw train cluttered) looks in test images, glimpse by glimpse.

    6   new MNIST digits; beside the last column the nearest training images (L2), where they
        are at hand (--data.path).

    7   MNIST digits step by step, write window in red, its line as wide as sigma. The paper shows
        a model without attention here and one with attention in figure 1; --without MODEL
        puts both into one picture.

    8   two digits on a canvas, drawn step by step; and of --n drawings the share whose first and
        second half fall on different digits (src/draw/measure/halves.py says how it is counted).

    9   house numbers (SVHN), as 6.    10  house numbers step by step, as 7.

    11  training and validation curves. Needs a run folder.

    12  CIFAR-10 images, as 6.

    A model of another data set will do: the words say what it was trained on. 6, 9 and 12 look at
    its training images. No model of SVHN or CIFAR-10 comes with the package: without a model 9, 10
    and 12 are of chars74k, the one in colour, which draws letters and digits of street scenes.

    For example:

    draw figure 3 photo.jpg --window 100 80 4 2 --window 100 80 12 1

    draw figure 7 runs/mnist --without runs/mnist-no-attention

    draw figure 8 runs/two-digits --n 1000 --json halves.json

    Args:
        number: number of the figure in the paper.
        options: from what, and how.
    """
    _refuse_what_does_not_apply(number, options)
    out = options.out or Path(f"figure-{number}.png")
    suffixes = FIGURES if number in (3, 11) else PICTURES
    check_option("out", Annotated[Path, Output(suffixes)], out)
    match number:
        case 3:
            result = _figure_3(options, out)
        case 5:
            result = _figure_5(options, out)
        case 6 | 9 | 12:
            result = _figure_6(number, options, out)
        case 7 | 10:
            result = _figure_7(number, options, out)
        case 8:
            result = _figure_8(options, out)
        case 11:
            result = _figure_11(options, out)
    report_picture(out, options.json, {"figure": number, "picture": str(out), **result})


def _figure_3(options: FigureOptions, out: Path) -> dict[str, Any]:
    from draw.visualize.figures import window_figure

    picture = None if options.source is None else Path(options.source)
    filters = 12 if options.filters is None else options.filters
    return window_figure(picture, options.window, filters, out)


def _figure_5(options: FigureOptions, out: Path) -> dict[str, Any]:
    from draw.visualize.figures import glimpses_figure

    loaded = _load(5, options, options.source)
    classifier = loaded.classifier
    images = images_for(loaded, DataOptions("test", options.name, options.path, options.cache_dir))[
        0
    ]
    origin = _origin(5, options, loaded)
    return {**origin, **glimpses_figure(classifier, images, _count(options, 6), out, options.scale)}


def _figure_6(number: int, options: FigureOptions, out: Path) -> dict[str, Any]:
    from draw.visualize.figures import WIDTH, samples_figure

    loaded = _load(number, options, options.source)
    training = None
    try:
        asked = DataOptions("train", options.name, options.path, options.cache_dir)
        training = images_for(loaded, asked)[0]
    except DrawError as error:
        if (options.name, options.path, options.cache_dir) != (None, None, None):
            raise
        with words_apart_from(options.json):
            say(f"without the nearest training images: {error}")
    made = samples_figure(
        loaded.drawing,
        _count(options, 64),
        options.seed,
        training,
        out,
        width=WIDTH,
        scale=options.scale,
    )
    return {**_origin(number, options, loaded), **made}


def _figure_7(number: int, options: FigureOptions, out: Path) -> dict[str, Any]:
    from draw.models.storage import weights_of_each
    from draw.visualize.figures import sequence_figure

    names = [_named(options.source, number)]
    if options.without is not None:
        names.append(options.without)
    loaded = [
        _load(number, dataclasses.replace(options, weights=weights), name)
        for name, weights in zip(names, weights_of_each(names, options.weights), strict=True)
    ]
    models = [one.drawing for one in loaded]
    result = _origin(number, options, loaded[0])
    if models[1:]:
        result["without"] = loaded[1].source
    made = sequence_figure(models, _count(options, 6), options.seed, out, options.scale)
    return {**result, **made}


def _figure_8(options: FigureOptions, out: Path) -> dict[str, Any]:
    from draw.visualize.figures import two_digits_figure

    loaded = _load(8, options, options.source)
    result = _origin(8, options, loaded)
    halves = two_digits_figure(
        loaded.drawing, _count(options, 500), options.seed, out, options.scale
    )
    with words_apart_from(options.json):
        say(halves.words())
    return {**result, "halves": halves.to_dict()}


def _figure_11(options: FigureOptions, out: Path) -> dict[str, Any]:
    return curves_figure(Path(_named(options.source, 11)), out)


def curves_figure(run: Path, out: Path) -> dict[str, Any]:
    """Figure 11: training and validation against images seen.

    Args:
        run: a run folder; an exported model has no metrics.
        out: a .png, .svg or .pdf file.
    """
    from draw.models.kinds import run_config, task_for
    from draw.runs.checkpoint import METRICS_FILE
    from draw.runs.metrics import read_metrics

    lines = read_metrics(run / METRICS_FILE)
    if not lines:
        raise DrawError(
            f"expected a run folder with a {METRICS_FILE} for training curves, got {run}, which "
            "has none; pass the folder that draw train made, such as runs/mnist"
        )
    config = run_config(run)
    task_for(config).plot(lines, out, title=f"{config.preset}, {run}")
    return {"run": str(run), "lines": len(lines)}


def _load(number: int, options: FigureOptions, source: str | None) -> "LoadedModel":
    name = _named(source, number)
    return load(ModelOptions(name, options.weights, options.seed, options.json, options.compute))


def _named(source: str | None, number: int) -> str:
    """The model that is asked for, or the one that comes with the package for a figure."""
    if source is not None:
        return source
    if (default := DEFAULTS.get(number)) is None:
        raise DrawError(
            f"expected a run folder after the figure's number, such as draw figure {number} "
            "runs/mnist, got none"
        )
    return default


def _count(options: FigureOptions, default: int) -> int:
    return default if options.n is None else options.n


def _origin(number: int, options: FigureOptions, loaded: "LoadedModel") -> dict[str, Any]:
    """Where a figure comes from; said aloud if the paper's is of another data set."""
    from draw.visualize.figures import DATA_OF

    name = None if loaded.data is None else loaded.data.name
    if name not in DATA_OF[number]:
        with words_apart_from(options.json):
            say(
                f"the paper's figure {number} is of {DATA_OF[number][0]}; this model was trained "
                f"on {name or 'something that was not written down'}"
            )
    return {"model": loaded.source, "data": name, "seed": options.seed}


def _refuse_what_does_not_apply(number: int, options: FigureOptions) -> None:
    run = 5, 6, 7, 8, 9, 10, 12
    compute = options.compute
    given = {
        "--device": (compute.device != PLAIN.device, run),
        "--backend": (compute.backend != PLAIN.backend, run),
        "--precision": (compute.precision != PLAIN.precision, run),
        "--weights": (options.weights != "best", run),
        "--seed": (options.seed != 0, (6, 7, 8, 9, 10, 12)),
        "--n": (options.n is not None, run),
        "--scale": (options.scale is not None, run),
        "--without": (options.without is not None, (7, 10)),
        "--window": (bool(options.window), (3,)),
        "--filters": (options.filters is not None, (3,)),
        "--data.name": (options.name is not None, (5, 6, 9, 12)),
        "--data.path": (options.path is not None, (5, 6, 9, 12)),
        "--data.cache-dir": (options.cache_dir is not None, (5, 6, 9, 12)),
    }
    for flag, (used, figures) in given.items():
        if used and number not in figures:
            raise DrawError(
                f"expected {flag} with figure {', '.join(map(str, figures))} alone, "
                f"got it with figure {number}; leave it out"
            )
