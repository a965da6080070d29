"""The verbs sample, reconstruct, animate and glimpses: pictures from a model."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from draw.cli.options import (
    DataOptions,
    ModelOptions,
    Output,
    Picture,
    images_for,
    load,
    report_picture,
)
from draw.errors import DrawError
from draw.fields import Count, Limits, Natural
from draw.formats import ANIMATIONS, PICTURES

Strength = Annotated[float, Limits(least=0)]
"""How clearly a class shows, at least 0."""


def sample(
    options: Annotated[ModelOptions, arg(name="")],
    n: Count = 64,
    out: Picture = Path("samples.png"),
    nearest: bool = False,
    path: Annotated[str | None, arg(name="data.path")] = None,
    cache_dir: Annotated[str | None, arg(name="data.cache-dir")] = None,
    label: Natural | Literal["none"] | None = None,
    guidance: Strength = 1.0,
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
        label: class to draw, for a model that is told it, or none; by default each in turn.
        guidance: how clearly the class shows: 1 as learned, 1.5 or 2 more so; for a model trained
            with --model.label-dropout.
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
        loaded.drawing, n, options.seed, training, out, label=label, guidance=guidance
    )
    report_picture(out, options.json, result)


def reconstruct(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    n: Count = 6,
    out: Annotated[Path, Output((*PICTURES, *ANIMATIONS))] = Path("reconstructions.png"),
) -> None:
    """Draw given images anew, read window in green, write window in red.

    Args:
        options: options that name the model.
        data: options that name the images.
        n: how many images, evenly from the split.
        out: .png or .webp for steps side by side; .gif or .mp4 for an animation.
    """
    from draw.data.batches import spread
    from draw.visualize import animate as animation
    from draw.visualize import reconstruction_strip

    loaded = load(options)
    model = loaded.drawing
    images, task = images_for(loaded, data)
    task.check(images)
    numbers = spread(images.count, n)
    x, labels = task.model_input(images.evaluation_set(), numbers, options.seed)
    x = x.to(model.canvas_0.device)
    labels = None if labels is None else labels.to(x.device)
    noise = model.noise_for(len(x), options.seed)
    output = model(x, noise, labels)
    trajectory = model.reconstruct(x, noise, labels=labels)
    if out.suffix.lower() in (".gif", ".mp4"):
        animation(trajectory, out, images=x)
    else:
        reconstruction_strip(x, trajectory, out)
    losses = zip(
        numbers.tolist(),
        output.bound.tolist(),
        output.reconstruction.tolist(),
        output.kl.tolist(),
        strict=True,
    )
    result = {
        "model": loaded.source,
        "split": data.split,
        "seed": options.seed,
        "picture": str(out),
        "images": [
            {"number": number, "bound": bound, "reconstruction": reconstruction, "kl": kl}
            for number, bound, reconstruction, kl in losses
        ],
    }
    report_picture(out, options.json, result)


def animate(
    options: Annotated[ModelOptions, arg(name="")],
    n: Count = 16,
    out: Annotated[Path, Output((*ANIMATIONS, ".png"))] = Path("generation.gif"),
    label: Natural | Literal["none"] | None = None,
    guidance: Strength = 1.0,
) -> None:
    """Show images being drawn step by step (figures 7 and 10).

    The write window is a red frame.

    Args:
        options: options that name the model; its JSON has the windows of every step, in pixels
            counted from 1.
        n: how many images.
        out: .gif, .webp or .mp4 for an animation; .png for steps side by side.
        label: class to draw, for a model that is told it, or none; by default each in turn.
        guidance: how clearly the class shows: 1 as learned, 1.5 or 2 more so; for a model trained
            with --model.label-dropout.
    """
    from draw.visualize import animate as animation
    from draw.visualize import generation_strip
    from draw.visualize.figures import write_windows

    loaded = load(options)
    model = loaded.drawing
    labels = model.labels_for(n, label)
    trajectory = model.generate(n, seed=options.seed, labels=labels, guidance=guidance)
    if out.suffix.lower() == ".png":
        generation_strip(trajectory, out)
    else:
        animation(trajectory, out)
    result = {
        "model": loaded.source,
        "seed": options.seed,
        "images": n,
        "guidance": guidance,
        "picture": str(out),
        **write_windows(trajectory),
    }
    report_picture(out, options.json, result)


def glimpses(
    options: Annotated[ModelOptions, arg(name="")],
    data: Annotated[DataOptions, arg(name="")],
    n: Count = 6,
    out: Picture = Path("glimpses.png"),
) -> None:
    """Show where a classifier looks, glimpse by glimpse (figure 5).

    Beside it stands what it makes of it.

    Args:
        options: options that name the model; its JSON has windows and probabilities, pixels counted
            from 1.
        data: options that name the images.
        n: how many images, evenly from the split.
        out: picture to write (.png or .webp).
    """
    from draw.visualize.outlines import numbers_by_image
    from draw.visualize.run_pictures import glimpses_of

    loaded = load(options)
    images, _ = images_for(loaded, data)
    shown = glimpses_of(loaded.classifier, images, out, n)
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
