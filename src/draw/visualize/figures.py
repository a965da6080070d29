"""The paper's figures, each as a picture and as numbers."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from draw.data import ImageSet
from draw.data.sets.digits import Digits
from draw.data.store.decode import Conversion, Picture, decode, read_header
from draw.errors import DrawError
from draw.formats import PICTURES
from draw.measure.halves import Halves, measure_halves
from draw.measure.nearest import check_comparable, nearest_in_training
from draw.model.classifier import Classifier
from draw.model.draw import DRAW
from draw.parts.state import Trajectory
from draw.visualize import last_column, window_geometry
from draw.visualize.geometry import default_windows, make_window
from draw.visualize.grids import sample_sheet
from draw.visualize.outlines import numbers_by_image
from draw.visualize.run_pictures import glimpses_of
from draw.visualize.sheet import PICTURE_WIDTH, check_suffix, save_picture, stack_sheets
from draw.visualize.strips import generation_sheet

WIDTH = 1200
"""Width in pixels to aim at: a page's, more than a README's."""
_MNIST = "mnist", "binarized_mnist"
DATA_OF = {
    5: ("cluttered-mnist",), 6: _MNIST, 7: _MNIST, 8: ("two-digits",), 9: ("svhn",), 10: ("svhn",),
    12: ("cifar10",),
}  # fmt: skip
"""The data set of each figure in the paper, by the names it has here."""
EXAMPLE = 2
"""Number of the digit of scikit-learn's that shows the window's geometry."""
ROWS, GRID_COLUMNS, GRID_ROWS = 6, 9, 2


def window_figure(
    picture: Path | None, windows: Sequence[tuple[float, ...]], size: int, out: Path
) -> dict[str, Any]:
    """Draw figure 3: filters on an image, and what windows read and write there.

    Args:
        picture: any file that can be decoded; None for a digit.
        windows: centre x, centre y, stride and sigma of each window, in pixels counted from 1; None
            for the paper's kinds.
        size: filters along one side of a window, N.
        out: file to write: .png, .svg or .pdf.
    """
    if size < 1:
        raise DrawError(f"expected --filters of at least 1, got {size}")
    for window in windows:
        if not all(map(math.isfinite, window)) or min(window[2:]) <= 0:
            raise DrawError(
                "expected windows as centre x, centre y, stride, sigma in pixels, the last two "
                f"above 0, got {' '.join(map(str, window))}"
            )
    image = _image(picture)
    rows, columns = image.shape[-2:]
    placed = [make_window(size, *window) for window in windows]
    placed = placed or [*default_windows(rows, columns, size)]
    window_geometry(image, placed, out)
    return {
        "image": str(picture or f"scikit-learn's digit {EXAMPLE}"),
        "filters": size,
        "windows": [{name: float(value) for name, value in one.numbers.items()} for one in placed],
    }


def _image(picture: Path | None) -> Float[Tensor, "channels rows columns"]:
    if picture is None:
        found = next(itertools.islice(Digits().splits()["all"], EXAMPLE, None))
        pixels = decode(found, Conversion((28, 28), "grey"))
    else:
        found = Picture(str(picture), picture, None)
        header = read_header(found)
        pixels = decode(found, Conversion(header.size, "grey" if header.grey else "colour"))
    return torch.from_numpy(pixels.copy()).float() / 255


def samples_figure(
    model: DRAW,
    n: int,
    seed: int,
    training: ImageSet | None,
    out: Path,
    width: int = PICTURE_WIDTH,
    label: int | str | None = None,
    guidance: float = 1.0,
    temperature: float = 1.0,
    scale: int | None = None,
) -> dict[str, Any]:
    """Draw figures 6, 9 and 12: new images, beside the last column the nearest training images.

    Args:
        model: the model that draws.
        n: number of images.
        seed: seed of the noise.
        training: images among which the nearest are searched for; None leaves them out.
        out: file to write: .png or .webp.
        width: width in pixels to aim at.
        label: class to draw, by number or name, for a class-conditional model, or "none"; by
            default each in turn.
        guidance: how clearly the class shows, as in `DRAW.generate`.
        temperature: standard deviation of the codes, as in `DRAW.generate`.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        DrawError: if the training images have another shape than the model's.
    """
    check_suffix(out, PICTURES)  # before the search for the nearest, which takes a while
    if training is not None:
        check_comparable(training, model.config.image_shape)
    labels = model.labels_for(n, label)
    drawn = model.generate(n, seed=seed, temperature=temperature, labels=labels, guidance=guidance)
    images = drawn.images[-1].cpu()
    result: dict[str, Any] = {"images": n, "guidance": guidance, "temperature": temperature}
    neighbours = None
    if training is not None:
        neighbours, numbers, distances = nearest_in_training(last_column(images), training)
        result["nearest"] = {"numbers": numbers.tolist(), "distances": distances.tolist()}
    save_picture(sample_sheet(images, neighbours, width=width, scale=scale), out)
    return result


def sequence_figure(
    models: Sequence[DRAW], n: int, seed: int, out: Path, scale: int | None = None
) -> dict[str, Any]:
    """Draw figures 7 and 10: drawings step by step, those of each model under the one before.

    Args:
        models: the models that draw.
        n: number of drawings of each model.
        seed: seed of the noise.
        out: file to write: .png or .webp.
        scale: picture pixels for each of an image; by default such that a row fits a page.
    """
    drawn = [model.generate(n, seed=seed) for model in models]
    pairs = list(zip(models, drawn, strict=True))
    titles = [_attention(model, one) if models[1:] else None for model, one in pairs]
    sheets = [
        generation_sheet(one, title=title, width=WIDTH, scale=scale)
        for one, title in zip(drawn, titles, strict=True)
    ]
    save_picture(stack_sheets(sheets), out)
    return {"images": n, **write_windows(drawn[0])}


def _attention(model: DRAW, drawn: Trajectory) -> str:
    if drawn.write_windows is None:
        return "without attention"
    name = model.config.attention
    return "with attention" if name == "gaussian" else f"with {name} attention"


def glimpses_figure(
    model: Classifier, images: ImageSet, n: int, out: Path, scale: int | None = None
) -> dict[str, Any]:
    """Draw figure 5: where a classifier looks, and what it makes of it.

    Args:
        model: the model that classifies.
        images: images, of which some are shown, evenly from all.
        n: number of images to show.
        out: file to write: .png or .webp.
        scale: picture pixels for each of an image; by default such that a row fits a page.
    """
    shown = glimpses_of(model, images, out, n, scale)
    windows = shown.answers.windows
    assert windows is not None  # a classifier with a window has them
    probabilities = shown.answers.logits_by_glimpse.float().softmax(-1)
    return {
        "numbers": shown.numbers.tolist(),
        "labels": None if shown.labels is None else shown.labels.tolist(),
        "probabilities": probabilities.transpose(0, 1).tolist(),
        "windows": numbers_by_image(windows),
    }


def write_windows(drawn: Trajectory) -> dict[str, Any]:
    """Write windows of drawings as lists by image and step, for JSON; empty without attention."""
    if drawn.write_windows is None:
        return {}
    return {"write_windows": numbers_by_image(drawn.write_windows)}


def two_digits_figure(
    model: DRAW, n: int, seed: int, out: Path, scale: int | None = None
) -> Halves:
    """Draw figure 8: drawings of two digits step by step, and count the order of the digits.

    Args:
        model: the model that draws, white on black.
        n: number of drawings to count in; the first ones are shown.
        seed: seed of the noise.
        out: file to write: .png or .webp.
        scale: picture pixels for each of an image; by default such that a row fits a page.
    """
    check_suffix(out, PICTURES)
    halves = measure_halves(model, n, seed=seed)
    shown = model.generate(min(n, GRID_COLUMNS * GRID_ROWS), seed=seed)
    some = model.generate(min(n, ROWS), seed=seed)
    grid = sample_sheet(shown.images[-1], columns=GRID_COLUMNS, width=WIDTH, scale=scale)
    strip = generation_sheet(some, width=WIDTH, scale=scale)
    save_picture(stack_sheets([grid, strip]), out)
    return halves
