"""Strips of drawings step by step with their windows (figures 7 and 10), new or of given images."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from draw.parts.state import Trajectory
from draw.visualize.outlines import COLOURS, draw_outline, window_outlines
from draw.visualize.sheet import (
    GAP,
    PICTURE_WIDTH,
    WIDE_GAP,
    Images,
    Key,
    Label,
    Pixels,
    check_drawings,
    check_pairs,
    enlarge,
    evenly,
    omission,
    save_picture,
    scale_for,
    sheet,
    to_pixels,
)

MAX_ROWS = 8
"""Most drawings in a strip; of more, the first ones are shown and the picture says so."""
SIGMA_KEY = Key(None, "line width: sigma")


def generation_strip(
    trajectory: Trajectory,
    path: str | os.PathLike[str],
    *,
    steps: int = 8,
    title: str | None = None,
    scale: int | None = None,
) -> Path:
    """Draw drawings step by step, a row each, with the write window of each step (figures 7, 10).

    Args:
        trajectory: drawings step by step, of which at most `MAX_ROWS` are shown.
        path: file to write: .png or .webp.
        steps: most steps to show, evenly apart, the first and the last among them.
        title: line of text on top.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        ValueError: if there are no drawings or no steps to show.
    """
    return save_picture(generation_sheet(trajectory, steps, title, scale=scale), path)


def generation_sheet(
    trajectory: Trajectory,
    steps: int = 8,
    title: str | None = None,
    width: int = PICTURE_WIDTH,
    scale: int | None = None,
) -> Image.Image:
    """Draw the picture that `generation_strip` saves, of another width in pixels if asked for."""
    check_drawings(trajectory)
    shown, total = min(_batch(trajectory), MAX_ROWS), _batch(trajectory)
    chosen = evenly(len(trajectory.canvases), steps)
    ending = trajectory.write_windows is not None
    scale = scale_for(trajectory.canvases.shape, len(chosen) + ending, width, scale)
    rows = [step_tiles(trajectory, chosen, i, scale, ["write"]) for i in range(shown)]
    labels, gaps, legend = _step_labels(chosen, 0), [GAP] * len(chosen), []
    if ending:
        for row, tile in zip(rows, _finals(trajectory, scale), strict=False):
            row.append(tile)
        labels.append(Label(len(chosen), len(chosen), "drawn"))
        gaps.append(WIDE_GAP)
        legend = [*window_keys(trajectory, ["write"]), SIGMA_KEY]
    legend += omission(total, shown)
    return sheet(rows, labels=labels, gaps=gaps, title=title, legend=legend)


def reconstruction_strip(
    images: Images,
    trajectory: Trajectory,
    path: str | os.PathLike[str],
    *,
    steps: int = 6,
    title: str | None = None,
    scale: int | None = None,
) -> Path:
    """Draw given images, their drawings with read and write windows, the result and its error.

    The error is |image - drawn|: black where they agree.

    Args:
        images: images that were to be drawn; at most `MAX_ROWS` are shown.
        trajectory: drawings of these images step by step.
        path: file to write: .png or .webp.
        steps: most steps to show, evenly apart, the first and the last among them.
        title: line of text on top.
        scale: picture pixels for each of an image; by default such that a row fits a page.

    Raises:
        ValueError: if images and drawings differ in number or shape.
    """
    check_drawings(trajectory)
    check_pairs(images, trajectory.canvases[-1])
    shown = min(len(images), MAX_ROWS)
    chosen = evenly(len(trajectory.canvases), steps)
    scale = scale_for(images.shape, across=len(chosen) + 3, scale=scale)
    originals = enlarge(to_pixels(images[:shown]), scale)
    finals = _finals(trajectory, scale)
    rows: list[list[Pixels]] = []
    for i in range(shown):
        drawn = step_tiles(trajectory, chosen, i, scale)
        error = np.abs(originals[i].astype(np.int16) - finals[i]).astype(np.uint8)
        rows.append([originals[i], *drawn, finals[i], error])
    n = len(chosen)
    labels = [Label(0, 0, "image"), *_step_labels(chosen, 1)]
    labels += [Label(n + 1, n + 1, "drawn"), Label(n + 2, n + 2, "error")]
    gaps = [GAP, WIDE_GAP, *[GAP] * (n - 1), WIDE_GAP, GAP]
    legend = window_keys(trajectory)
    legend += [SIGMA_KEY] * bool(legend) + omission(len(images), shown)
    return save_picture(sheet(rows, labels=labels, gaps=gaps, title=title, legend=legend), path)


def step_tiles(
    trajectory: Trajectory,
    steps: Sequence[int],
    i: int,
    scale: int,
    names: Sequence[str] = tuple(COLOURS),
) -> list[Pixels]:
    """Tiles of one drawing at some of its steps, enlarged, with some of its windows on them.

    Args:
        trajectory: drawings step by step.
        steps: numbers of the steps, from 0.
        i: number of the drawing.
        scale: picture pixels per image pixel.
        names: windows to show: read, write.
    """
    *_, rows, columns = trajectory.canvases.shape
    tiles = [enlarge(to_pixels(trajectory.canvases[t, i].sigmoid()), scale) for t in steps]
    for name, windows in trajectory.windows.items():
        if name in names:
            outlines = window_outlines(windows[list(steps), i], rows, columns, scale)
            tiles = [
                draw_outline(tile, outline, COLOURS[name])
                for tile, outline in zip(tiles, outlines, strict=True)
            ]
    return tiles


def window_keys(trajectory: Trajectory, names: Sequence[str] = tuple(COLOURS)) -> list[Key]:
    """Legend of the windows that are drawn."""
    return [Key(COLOURS[name], f"{name} window") for name in trajectory.windows if name in names]


def _batch(trajectory: Trajectory) -> int:
    if not trajectory.canvases.shape[1]:
        raise ValueError("expected at least one drawing, got none")
    return trajectory.canvases.shape[1]


def _finals(trajectory: Trajectory, scale: int) -> Pixels:
    return enlarge(to_pixels(trajectory.canvases[-1].sigmoid()), scale)


def _step_labels(steps: Sequence[int], first: int) -> list[Label]:
    return [Label(first + j, first + j, f"t = {t + 1}") for j, t in enumerate(steps)]
