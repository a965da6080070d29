"""The rectangle of an attention window, in pixels of the picture (figures 7 and 10)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from draw.attention.window import Window

READ_COLOUR = (0, 200, 150)
WRITE_COLOUR = (255, 70, 40)
"""A blue-green and an orange-red, which red-green colour blindness leaves apart."""

THINNEST_LINE = 1.5
"""In picture pixels: thinner ones fade where they fall between two."""
THICKEST_LINE = 1 / 16
"""Of the image's shorter side: however large sigma is, the image stays visible."""


class Box(NamedTuple):
    """A rectangle in picture pixels, from the upper left corner of the image, and its line."""

    left: float
    top: float
    right: float
    bottom: float
    line_width: float


def window_box(window: Window, size: int, rows: int, columns: int, scale: int = 1) -> Box | None:
    """Where the rectangle of a window goes on an image that is enlarged `scale` times.

    It goes round the pixels under the outermost filters, so its side is (N - 1) delta + 1 pixels:
    a window whose five controls are zero frames a square image exactly, and N = 1 gives one pixel.
    The line is sigma / 2 pixels wide (figure 10 shows sigma so, without a scale): at least
    `THINNEST_LINE`, at most `THICKEST_LINE`. What lies outside the image is drawn on its
    border, which is where filters outside the image fall.

    Args:
        window: one window, its fields scalars in pixels counted from 1.
        size: side N of the window in filters.
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        scale: picture pixels per image pixel.

    Returns:
        The rectangle through the middle of its line, or None if the window is not finite.
    """
    g_x, g_y, delta, sigma = (float(part.detach()) for part in window[:4])
    if not all(map(math.isfinite, (g_x, g_y, delta, sigma))):
        return None
    half = (abs(delta) * (size - 1) + 1) / 2
    line = max(THINNEST_LINE, min(sigma / 2, THICKEST_LINE * min(rows, columns)) * scale)

    def place(position: float, length: int) -> float:
        # Pixel k, counted from 1, covers [k - 1, k] in pixels of the image: its centre is k - 1/2.
        inside = length * scale - line / 2
        return min(max((position - 0.5) * scale, line / 2), max(inside, line / 2))

    return Box(
        place(g_x - half, columns), place(g_y - half, rows),
        place(g_x + half, columns), place(g_y + half, rows), line,
    )  # fmt: skip


def draw_box(
    tile: NDArray[np.uint8], box: Box | None, colour: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """The tile, [height, width, 3], with the outline of a box on it, its edges antialiased."""
    if box is None:
        return tile
    height, width = tile.shape[:2]
    grow = box.line_width / 2
    outside = np.outer(
        _covered(box.top - grow, box.bottom + grow, height),
        _covered(box.left - grow, box.right + grow, width),
    )
    inside = np.outer(
        _covered(box.top + grow, box.bottom - grow, height),
        _covered(box.left + grow, box.right - grow, width),
    )
    line = (outside - inside)[..., None]
    drawn: NDArray[np.uint8] = np.rint(tile + line * (np.array(colour) - tile)).astype(np.uint8)
    return drawn


def _covered(start: float, end: float, length: int) -> NDArray[np.float64]:
    """The part of each pixel 0 .. length - 1 that [start, end] covers."""
    pixels = np.arange(length)
    covered: NDArray[np.float64] = np.minimum(end, pixels + 1) - np.maximum(start, pixels)
    return covered.clip(0, 1)
