"""Outlines of attention windows, in pixels of the picture (figures 7 and 10)."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from draw.attention.abstract import AbstractWindow

READ_COLOUR = (0, 200, 150)
WRITE_COLOUR = (255, 70, 40)
"""A blue-green and an orange-red, which red-green colour blindness leaves apart."""
COLOURS = {"read": READ_COLOUR, "write": WRITE_COLOUR}
"""Colours of the windows in `Trajectory.windows`."""

THINNEST_LINE = 1.5
"""Least width of a line in picture pixels: thinner ones fade where they fall between two."""
THICKEST_LINE = 1 / 16
"""Greatest width of a line as a fraction of the image's shorter side: however large sigma is, the
image stays visible."""


class Outline(NamedTuple):
    """Outline of a window: closed polygons in pixels from the picture's corner, and their lines."""

    frames: tuple[NDArray[np.float64], ...]
    """Corners of each polygon, x and y, [corners, 2]."""
    line_widths: tuple[float, ...]
    """Width of the line along each polygon, in pixels of the picture."""


def window_outlines(
    windows: AbstractWindow, rows: int, columns: int, scale: int = 1
) -> list[Outline | None]:
    """Place the outlines of windows on an image that is enlarged `scale` times.

    The line is as wide as the window says, at least `THINNEST_LINE`, at most `THICKEST_LINE`. What
    lies outside the image is drawn on its border, which is where filters outside the image fall.

    Args:
        windows: windows, a batch with one dimension.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        scale: picture pixels per image pixel.

    Returns:
        For each window its outline through the middle of its line, or None where it is not
        finite.
    """
    exact = windows.map(lambda value: value.detach().cpu().double())
    corners: NDArray[np.float64] = exact.outline.numpy()
    widths = exact.line_widths.tolist()
    outlines: list[Outline | None] = []
    for frames, wide in zip(corners, widths, strict=True):
        if not (all(map(math.isfinite, wide)) and np.isfinite(frames).all()):
            outlines.append(None)
            continue
        placed, lines = [], []
        for frame, width in zip(frames, wide, strict=True):
            line = max(THINNEST_LINE, min(width, THICKEST_LINE * min(rows, columns)) * scale)
            most = np.maximum(np.array([columns, rows]) * scale - line / 2, line / 2)
            # Pixel k, counted from 1, covers [k - 1, k] of the image: its centre is k - 1/2.
            placed.append(_held((frame - 0.5) * scale, line / 2, most))
            lines.append(line)
        outlines.append(Outline(tuple(placed), tuple(lines)))
    return outlines


def _held(
    corners: NDArray[np.float64], least: float, most: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A polygon, with what lies outside of the image moved to its border."""
    points = []
    for start, end in zip(corners, np.roll(corners, -1, 0), strict=True):
        points.append(start)
        step = end - start
        if step.all():  # a slanted edge, which bends where it leaves the image
            shares = np.concatenate([(least - start) / step, (most - start) / step])
            within = sorted(shares[(shares > 0) & (shares < 1)])
            points += [start + share * step for share in within]
    held: NDArray[np.float64] = np.clip(points, least, most)
    return held


def draw_outline(
    tile: NDArray[np.uint8], outline: Outline | None, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Draw an outline on a tile, [height, width, 3], its edges antialiased."""
    if outline is None:
        return tile
    height, width = tile.shape[:2]
    lines = [
        _line(frame, line_width, height, width)
        for frame, line_width in zip(outline.frames, outline.line_widths, strict=True)
    ]
    line = np.max(lines, 0)[..., None]
    drawn: NDArray[np.uint8] = np.rint(tile + line * (np.array(colour) - tile)).astype(np.uint8)
    return drawn


def _line(
    frame: NDArray[np.float64], line_width: float, height: int, width: int
) -> NDArray[np.float64]:
    """The part of each pixel that the line along a polygon covers, [height, width]."""
    grow = line_width / 2
    (left, top), (right, bottom) = frame.min(0), frame.max(0)
    if not np.array_equal(frame, [(left, top), (right, top), (right, bottom), (left, bottom)]):
        return (grow + 0.5 - _distance(frame, height, width)).clip(0, 1)
    # An upright rectangle covers pixels exactly as its sides do.
    outside = np.outer(
        _covered(top - grow, bottom + grow, height), _covered(left - grow, right + grow, width)
    )
    inside = np.outer(
        _covered(top + grow, bottom - grow, height), _covered(left + grow, right - grow, width)
    )
    return outside - inside


def _distance(frame: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
    """From the middle of each pixel to the nearest edge of a polygon, in pixels."""
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5
    distances = []
    for start, end in zip(frame, np.roll(frame, -1, 0), strict=True):
        step = end - start
        share = (pixels - start) @ step / max(step @ step, np.finfo(float).tiny)
        nearest = start + share.clip(0, 1)[..., None] * step
        distances.append(np.linalg.norm(pixels - nearest, axis=-1))
    distance: NDArray[np.float64] = np.min(distances, 0)
    return distance


def _covered(start: float, end: float, length: int) -> NDArray[np.float64]:
    """The part of each pixel 0 .. length - 1 that [start, end] covers."""
    pixels = np.arange(length)
    covered: NDArray[np.float64] = np.minimum(end, pixels + 1) - np.maximum(start, pixels)
    return covered.clip(0, 1)


def numbers_by_image(windows: AbstractWindow) -> dict[str, Any]:
    """Convert the numbers of windows [glimpses, batch] to lists by name, image and step."""
    return {name: value.transpose(0, 1).tolist() for name, value in windows.numbers.items()}
