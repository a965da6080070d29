"""The verb complete: what a picture may be of which only a part is known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Positional, arg

from draw.cli.options import Label, ModelOptions, Picture, Scale, load, report_picture
from draw.config.data import Fit
from draw.fields import Count, Natural


@dataclass(frozen=True)
class GivenPicture:
    """The picture of which a part is known."""

    picture: Annotated[Positional[Path], arg(metavar="PICTURE")]
    """The picture; what it holds where nothing is known has no effect."""


def complete(
    options: Annotated[ModelOptions, arg(name="")],
    given: Annotated[GivenPicture, arg(name="")],
    mask: str = "left",
    n: Count = 5,
    out: Picture = Path("completion.png"),
    fit: Fit | None = None,
    particles: Count | None = None,
    rounds: Natural | None = None,
    label: Label = None,
    scale: Scale | None = None,
) -> None:
    """Draw the rest of a picture of which a part is known.

    A model of --model.condition known is told what is known and draws the answers. With any other
    each answer is chosen among many drawings by how likely they make what is known.

    Args:
        options: options that name the model.
        given: the picture.
        mask: what is known: left, right, top or bottom for that half; or a picture, white where the
            pixels are known.
        n: answers.
        out: picture to write (.png or .webp): what is known, then the answers.
        fit: what becomes of pictures of another size: they are cut, padded or stretched to it; by
            default as the training images, or cut.
        particles: drawings among which each answer is chosen, 16 by default; not for a model that
            is told what is known.
        rounds: rounds of better proposals before that, 10 by default; time grows with both.
        label: class of the picture, by number or name, or none, for a model that is told it.
        scale: picture pixels for each of an image, 1 for its own size; by default such that a row
            fits a page.
    """
    import numpy as np

    from draw.data.images import single_image
    from draw.model.completion import PARTICLES, ROUNDS
    from draw.model.preprocessing import conversion_for, fit_picture
    from draw.models.kinds import task_of
    from draw.visualize.completions import HALVES, completion_strip, half_mask, read_mask

    loaded = load(options)
    model = loaded.drawing
    shape = model.config.image_shape
    pixels = fit_picture(model, given.picture, fit)
    if mask in HALVES:
        known = half_mask(mask, shape)
    else:
        known = read_mask(Path(mask), shape, conversion_for(model, fit).fit)
    task = task_of(model.config, loaded.data)
    x = task.model_input(single_image(pixels), np.zeros(1, np.int64), options.seed).images
    device = model.canvas_0.device
    found = model.complete(
        x.to(device), known.to(device), n, seed=options.seed, particles=particles, rounds=rounds,
        labels=None if label is None else model.labels_for(1, label),
    )  # fmt: skip
    completion_strip(x, known, found.images.cpu(), out, scale)
    result: dict[str, Any] = {
        "model": loaded.source,
        "seed": options.seed,
        "picture": str(out),
        "of": str(given.picture),
        "known_pixels": int(known.sum()),
    }
    if found.known_nats is not None and found.effective_samples is not None:
        result |= {
            "known_nats": float(found.known_nats[0]),
            "particles": PARTICLES if particles is None else particles,
            "rounds": ROUNDS if rounds is None else rounds,
            "effective_samples": found.effective_samples[:, 0].tolist(),
        }
    report_picture(out, options.json, result)
