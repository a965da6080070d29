"""Figure 5: where a classifier looks, glimpse by glimpse, and what it makes of it."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from draw.errors import DrawError
from draw.model.classifier import ClassifierOutput
from draw.visualize.outlines import READ_COLOUR, draw_outline, window_outlines
from draw.visualize.sheet import (
    GAP,
    TEXT_COLOUR,
    WIDE_GAP,
    Images,
    Key,
    Label,
    Pixels,
    check_pictures,
    enlarge,
    evenly,
    omission,
    save_picture,
    scale_for,
    sheet,
    to_pixels,
)
from draw.visualize.strips import MAX_ROWS, SIGMA_KEY

BARS, TEXT = 34, 13
"""Height in pixels of the bars below an image, and of the line of text under them."""
RIGHT_COLOUR, WRONG_COLOUR, OTHER_COLOUR = (0, 120, 200), (220, 60, 40), (190, 190, 190)


def glimpse_strip(
    images: Images,
    classified: ClassifierOutput,
    path: str | os.PathLike[str],
    *,
    labels: Int[Tensor, " batch"] | None = None,
    names: Sequence[str] | None = None,
    steps: int = 8,
    title: str | None = None,
    scale: int | None = None,
) -> Path:
    """Draw images in rows with the window of each glimpse, and the classes' probabilities below.

    The bar of the likeliest class is blue where it is the label, red where it is not.

    Args:
        images: images that were classified; at most `MAX_ROWS` are shown.
        classified: output of the classifier for these images.
        path: file to write: .png or .webp.
        labels: label of each image.
        names: names of the classes; by default their numbers.
        steps: most glimpses to show, evenly apart, the first and the last among them.
        title: line of text on top.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        ValueError: if there are no images, another number of answers, or no windows.
    """
    check_pictures("images", images)
    if not isinstance(classified, ClassifierOutput):
        raise DrawError(
            "expected answers as a glimpse classifier returns them, "
            f"got a {type(classified).__name__}"
        )
    if classified.windows is None:
        raise ValueError("expected answers of a classifier with a window, got no windows")
    if not len(images) or len(images) != len(classified.logits):
        raise ValueError(
            f"expected an answer for each image, got {len(images)} images and "
            f"{len(classified.logits)} answers"
        )
    shown = min(len(images), MAX_ROWS)
    chosen = evenly(len(classified.logits_by_glimpse), steps)
    names = names or [str(number) for number in range(classified.logits.shape[1])]
    scale = scale_for(images.shape, across=len(chosen) + 1, scale=scale)
    originals = enlarge(to_pixels(images[:shown]), scale)
    height, width = images.shape[-2:]
    rows = []
    for i in range(shown):
        label = None if labels is None else int(labels[i])
        under = "" if label is None else f"is {names[label]}"
        tiles = [np.concatenate([originals[i], _caption(under, originals[i].shape[1])])]
        outlines = window_outlines(classified.windows[chosen, i], height, width, scale)
        for t, outline in zip(chosen, outlines, strict=True):
            bars = _bars(classified.logits_by_glimpse[t, i], names, label, originals[i].shape[1])
            tiles.append(np.concatenate([draw_outline(originals[i], outline, READ_COLOUR), bars]))
        rows.append(tiles)
    columns = [Label(0, 0, "image")]
    columns += [Label(1 + j, 1 + j, f"t = {t + 1}") for j, t in enumerate(chosen)]
    gaps = [GAP, WIDE_GAP, *[GAP] * (len(chosen) - 1)]
    legend = [Key(READ_COLOUR, "window"), SIGMA_KEY, Key(None, "bars: probability of each class")]
    legend += omission(len(images), shown)
    return save_picture(sheet(rows, labels=columns, gaps=gaps, title=title, legend=legend), path)


def _bars(
    logits: Float[Tensor, " classes"], names: Sequence[str], label: int | None, width: int
) -> Pixels:
    """The probabilities as bars, and the likeliest class in words."""
    probabilities = logits.detach().cpu().double().softmax(0).numpy()
    best = int(probabilities.argmax())
    picture = Image.fromarray(_caption(f"{names[best]}  {probabilities[best]:.0%}", width))
    write = ImageDraw.Draw(picture)
    write.line((0, BARS - 1, width, BARS - 1), fill=OTHER_COLOUR)
    for number, probability in enumerate(probabilities):
        colour = OTHER_COLOUR
        if number == best:
            colour = WRONG_COLOUR if label is not None and label != best else RIGHT_COLOUR
        left, right = (round(width * (number + side) / len(names)) for side in (0.15, 0.85))
        height = round(float(probability) * (BARS - 4))
        if height:
            write.rectangle((left, BARS - 1 - height, right, BARS - 1), fill=colour)
    return np.asarray(picture)


def _caption(text: str, width: int) -> Pixels:
    """White, with a line of text where the bars' caption is."""
    picture = Image.new("RGB", (width, BARS + TEXT + 5), (255, 255, 255))
    font = ImageFont.load_default(TEXT)
    ImageDraw.Draw(picture).text((width // 2, BARS + 1), text, TEXT_COLOUR, font, anchor="mt")
    return np.asarray(picture)
