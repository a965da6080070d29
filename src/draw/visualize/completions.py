"""Pictures of images of which a part is known, and of the answers to what the rest is."""

import os
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from draw.config.data import Fit
from draw.data.store.decode import Conversion, decode
from draw.data.store.decode import Picture as Stored
from draw.errors import DrawError
from draw.visualize.sheet import (
    GAP,
    WIDE_GAP,
    Key,
    Label,
    Pixels,
    check_pictures,
    enlarge,
    save_picture,
    scale_for,
    sheet,
    to_pixels,
)

UNKNOWN_COLOUR = (120, 130, 175)
"""A blue-grey that neither grey nor most colour images have."""
HALVES = "left", "right", "top", "bottom"
"""Names of the halves that may be known."""


def half_mask(name: str, shape: tuple[int, int, int]) -> Bool[Tensor, "rows columns"]:
    """Mask of which one half is known; a middle row or column of an odd number belongs to it.

    Args:
        name: name of the half, one of `HALVES`.
        shape: shape of the images: channels, rows, columns.
    """
    _, rows, columns = shape
    row, column = torch.arange(rows)[:, None], torch.arange(columns)[None]
    chosen = {
        "left": 2 * column < columns,
        "right": 2 * (columns - 1 - column) < columns,
        "top": 2 * row < rows,
        "bottom": 2 * (rows - 1 - row) < rows,
    }[name]
    return chosen.expand(rows, columns).contiguous()


def read_mask(
    path: Path, shape: tuple[int, int, int], fit: Fit | None
) -> Bool[Tensor, "rows columns"]:
    """Decode a mask: a pixel is known where the picture is nearer to white than to black.

    Args:
        path: path of the file.
        shape: shape of the images: channels, rows, columns.
        fit: way to bring another size to this one, the same as for the picture.

    Raises:
        DrawError: if there is no such picture.
    """
    if not path.is_file():
        raise DrawError(
            f"expected --mask {', '.join(HALVES)}, or a picture that is white where pixels are "
            f"known, got {str(path)!r}"
        )
    (grey,) = decode(Stored(str(path), path, None), Conversion(shape[1:], "grey", fit))
    return torch.from_numpy(grey > 127)


def completion_strip(
    images: Float[Tensor, "batch channels rows columns"],
    mask: Bool[Tensor, "rows columns"],
    answers: Float[Tensor, "answers batch channels rows columns"],
    path: str | os.PathLike[str],
    scale: int | None = None,
) -> Path:
    """Draw what is known of images, and beside each the answers to what it may be.

    Args:
        images: images in [0, 1].
        mask: true where a pixel is known.
        answers: answers of `draw.model.completion.Completion`.
        path: file to write: .png or .webp.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        DrawError: if there are no images, or the answers are not those to them.
    """
    check_pictures("images", images)
    check_pictures("answers", answers, 5)
    if not answers.numel() or answers.shape[1:] != images.shape:
        raise DrawError(
            "expected answers to each of one or more images, of their shape, got answers of "
            f"{list(answers.shape)} to images of {list(images.shape)}"
        )
    scale = scale_for(images.shape, across=len(answers) + 1, scale=scale)
    unknown = ~np.kron(mask.cpu().numpy(), np.ones((scale, scale), bool))
    rows: list[list[Pixels]] = []
    for i, original in enumerate(enlarge(to_pixels(images), scale)):
        given = np.where(unknown[..., None], np.array(UNKNOWN_COLOUR, np.uint8), original)
        rows.append([given, *enlarge(to_pixels(answers[:, i]), scale)])
    labels = [Label(0, 0, "known"), Label(1, len(answers), "answers")]
    gaps = [GAP, WIDE_GAP, *[GAP] * (len(answers) - 1)]
    legend = [Key(UNKNOWN_COLOUR, "not known")]
    return save_picture(sheet(rows, labels=labels, gaps=gaps, legend=legend), path)
