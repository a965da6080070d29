"""The verbs sample, reconstruct, animate and glimpses: pictures from a model."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from draw.cli.options import (
    DataOptions,
    Label,
    ModelOptions,
    Output,
    Picture,
    Scale,
    images_for,
    load,
    refuse_seed,
    report_picture,
)
from draw.config.data import Fit
from draw.errors import DrawError
from draw.fields import Count, Limits
from draw.formats import ANIMATIONS, PICTURES

if TYPE_CHECKING:
    from draw.models.storage import LoadedModel
    from draw.tasks.task import ModelInput

Strength = Annotated[float, Limits(least=0)]
"""How clearly a class shows, at least 0."""
Temperature = Annotated[float, Limits(least=0)]
"""Standard deviation of the codes that drawings are made of, at least 0."""


def sample(
    options: Annotated[ModelOptions, arg(name="")],
    n: Count = 64,
    out: Picture = Path("samples.png"),
    nearest: bool = False,
    path: Annotated[str | None, arg(name="data.path")] = None,
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None,
    label: Label = None,
    guidance: Strength = 1.0,
    temperature: Temperature = 1.0,
    scale: Scale | None = None,
) -> None:
    """Draw new images, as a grid (figure 6).

    Args:
        options: options that name the model.
        n: how many.
        out: picture to write (.png or .webp).
        nearest: show the nearest training images (L2) beside the last column.
        path: for --nearest: another folder or Hub name than the run was trained on; an exported
            model does not say where its images are.
        cache_dir: for --nearest: folder of decoded images; by default the run's, or ~/.cache/draw.
        label: class to draw, by number or name, or none, for a model that is told it; by default
            each in turn.
        guidance: how clearly the class shows: 1 as learned, 1.5 or 2 more so; for a model trained
            with --model.label-dropout.
        temperature: standard deviation of the codes, 1 in the paper; with less, images are nearer
            to the likeliest ones and less various.
        scale: picture pixels for each of an image, 1 for its own size; by default such that a row
            fits a page.
    """
    from draw.visualize.figures import samples_figure

    if not nearest and (path, cache_dir) != (None, None):
        raise DrawError(
            "expected --data.path and --data.cache-dir with --nearest alone, which looks at "
            "training images; add it, or leave them out"
        )
    loaded = load(options)
    asked = DataOptions("train", path=path, cache_dir=cache_dir)
    training = images_for(loaded, asked)[0] if nearest else None
    result = {"model": loaded.source, "seed": options.seed, "picture": str(out)}
    result |= samples_figure(
        loaded.drawing, n, options.seed, training, out, label=label, guidance=guidance,
        temperature=temperature, scale=scale,
    )  # fmt: skip
    report_picture(out, options.json, result)


@dataclass(frozen=True)
class GivenPictures:
    """The pictures to draw anew, where they are not of a data set."""

    pictures: Annotated[Positional[tuple[Path, ...]], arg(metavar="PICTURE")] = ()
    """Pictures of any size; without them images of the model's data set are drawn."""


def reconstruct(
    options: Annotated[ModelOptions, arg(name="")],
    given: Annotated[GivenPictures, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    n: Count | None = None,
    out: Annotated[Path, Output((*PICTURES, *ANIMATIONS))] = Path("reconstructions.png"),
    fit: Fit | None = None,
    label: Label = None,
    scale: Scale | None = None,
) -> None:
    """Draw given images anew, read window in green, write window in red.

    For example:

    draw reconstruct mnist photo.jpg

    Args:
        options: options that name the model.
        given: the pictures.
        data: options that name the images.
        n: how many images, evenly from the split; by default 6.
        out: .png or .webp for steps side by side; .gif or .mp4 for an animation.
        fit: what becomes of pictures of another size: they are cut, padded or stretched to it; by
            default as the training images, or cut.
        label: class of the pictures, by number or name, or none, for a model that is told it.
        scale: picture pixels for each of an image, 1 for its own size; by default such that a row
            fits a page.
    """
    from draw.visualize import animate as animation
    from draw.visualize import reconstruction_strip

    _check_given(given.pictures, data, n, fit, label)
    loaded = load(options)
    model = loaded.drawing
    if given.pictures:
        names, (x, labels) = _pictures(loaded, given.pictures, fit, options.seed)
        labels = None if label is None else model.labels_for(len(x), label)
    else:
        names, (x, labels) = _images(loaded, data, 6 if n is None else n, options.seed)
    x = x.to(model.canvas_0.device)
    labels = None if labels is None else labels.to(x.device)
    noise = model.noise_for(len(x), options.seed)
    output = model(x, noise, labels)
    trajectory = model.reconstruct(x, noise, labels=labels)
    if out.suffix.lower() in (".gif", ".mp4"):
        animation(trajectory, out, images=x, scale=scale)
    else:
        reconstruction_strip(x, trajectory, out, scale=scale)
    losses = zip(
        names,
        output.bound.tolist(),
        output.reconstruction.tolist(),
        output.kl.tolist(),
        strict=True,
    )
    result = {
        "model": loaded.source,
        "split": None if given.pictures else data.split,
        "seed": options.seed,
        "picture": str(out),
        "images": [
            {**name, "bound": bound, "reconstruction": reconstruction, "kl": kl}
            for name, bound, reconstruction, kl in losses
        ],
    }
    report_picture(out, options.json, result)


def _check_given(
    pictures: tuple[Path, ...],
    data: DataOptions,
    n: int | None,
    fit: Fit | None,
    label: object,
) -> None:
    """Refuse options of a data set with pictures, and those of pictures without."""
    if pictures and (data != DataOptions() or n is not None):
        raise DrawError(
            "expected pictures, or --n, --split and --data. options that choose images of a data "
            "set, got both; leave one out"
        )
    if not pictures and (fit, label) != (None, None):
        raise DrawError("expected --fit and --label with pictures alone; name a PICTURE")


def _images(
    loaded: "LoadedModel", data: DataOptions, n: int, seed: int
) -> "tuple[list[dict[str, Any]], ModelInput]":
    """Some images of a data set as the model sees them, with their numbers."""
    from draw.data.batches import spread

    images, task = images_for(loaded, data)
    task.check(images)
    numbers = spread(images.count, n)
    names = [{"number": number} for number in numbers.tolist()]
    return names, task.model_input(images.evaluation_set(), numbers, seed)


def _pictures(
    loaded: "LoadedModel", paths: tuple[Path, ...], fit: Fit | None, seed: int
) -> "tuple[list[dict[str, Any]], ModelInput]":
    """Pictures as the model sees images, with their paths."""
    import numpy as np

    from draw.data.images import set_of_pictures
    from draw.model.preprocessing import fit_picture
    from draw.models.kinds import task_of

    model = loaded.drawing
    pixels = np.stack([fit_picture(model, path, fit) for path in paths])
    task = task_of(model.config, loaded.data)
    names = [{"of": str(path)} for path in paths]
    return names, task.model_input(set_of_pictures(pixels), np.arange(len(paths)), seed)


def animate(
    options: Annotated[ModelOptions, arg(name="")],
    n: Count = 16,
    out: Annotated[Path, Output((*ANIMATIONS, ".png"))] = Path("generation.gif"),
    label: Label = None,
    guidance: Strength = 1.0,
    temperature: Temperature = 1.0,
    scale: Scale | None = None,
) -> None:
    """Show images being drawn step by step (figures 7 and 10).

    The write window is a red frame.

    Args:
        options: options that name the model; its JSON has the windows of every step, in pixels
            counted from 1.
        n: how many images.
        out: .gif, .webp or .mp4 for an animation; .png for steps side by side.
        label: class to draw, by number or name, or none, for a model that is told it; by default
            each in turn.
        guidance: how clearly the class shows: 1 as learned, 1.5 or 2 more so; for a model trained
            with --model.label-dropout.
        temperature: standard deviation of the codes, 1 in the paper; with less, images are nearer
            to the likeliest ones and less various.
        scale: picture pixels for each of an image, 1 for its own size; by default such that a row
            fits a page.
    """
    from draw.visualize import animate as animation
    from draw.visualize import generation_strip
    from draw.visualize.figures import write_windows

    loaded = load(options)
    model = loaded.drawing
    labels = model.labels_for(n, label)
    trajectory = model.generate(
        n, seed=options.seed, temperature=temperature, labels=labels, guidance=guidance
    )
    if out.suffix.lower() == ".png":
        generation_strip(trajectory, out, scale=scale)
    else:
        animation(trajectory, out, scale=scale)
    result = {
        "model": loaded.source,
        "seed": options.seed,
        "images": n,
        "guidance": guidance,
        "temperature": temperature,
        "picture": str(out),
        **write_windows(trajectory),
    }
    report_picture(out, options.json, result)


def glimpses(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    n: Count = 6,
    out: Picture = Path("glimpses.png"),
    scale: Scale | None = None,
) -> None:
    """Show where a classifier looks, glimpse by glimpse (figure 5).

    Beside it stands what it makes of it.

    Args:
        options: options that name the model; its JSON has windows and probabilities, pixels counted
            from 1.
        data: options that name the images.
        n: how many images, evenly from the split.
        out: picture to write (.png or .webp).
        scale: picture pixels for each of an image, 1 for its own size; by default such that a row
            fits a page.
    """
    refuse_seed(options, "where a classifier looks, in which there is no chance")
    from draw.visualize.outlines import numbers_by_image
    from draw.visualize.run_pictures import glimpses_of

    loaded = load(options)
    images, _ = images_for(loaded, data)
    shown = glimpses_of(loaded.classifier, images, out, n, scale)
    windows = shown.answers.windows
    assert windows is not None  # a classifier with a window has them
    probabilities = shown.answers.logits_by_glimpse.float().softmax(-1)
    result = {
        "model": loaded.source,
        "split": data.split,
        "picture": str(out),
        "numbers": shown.numbers.tolist(),
        "labels": None if shown.labels is None else shown.labels.tolist(),
        "probabilities": probabilities.transpose(0, 1).tolist(),
        "windows": numbers_by_image(windows),
    }
    report_picture(out, options.json, result)
