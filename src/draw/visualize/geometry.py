"""Figure 3: how a window sits on an image, and what it reads and writes there."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from draw.attention.window import Window, filter_centres, read_patch, write_patch
from draw.errors import DrawError
from draw.formats import FIGURES
from draw.visualize.outlines import READ_COLOUR, WRITE_COLOUR, window_outlines
from draw.visualize.plots import make_figure, save_figure
from draw.visualize.sheet import check_pictures, check_suffix, to_pixels

GRID = 3
"""Filters along one side of the grid on the left, as in the paper."""
MAX_WINDOWS = 6
ROW, DPI = 1.75, 200
"""Inches of a row on the right, and dots per inch."""
PIXELS, THINNEST = 96, 1.0
"""Dots per inch by which `window_outlines` counts, and the least width of a line in points."""
FILTERS, CENTRE = (tuple(part / 255 for part in colour) for colour in (READ_COLOUR, WRITE_COLOUR))


def window_geometry(
    image: Float[Tensor, "channels rows columns"],
    windows: Sequence[Window],
    path: str | os.PathLike[str],
) -> Path:
    """Draw a grid of filters on an image; beside it what some windows read and write (figure 3).

    Left, 3 x 3 filters with centre, stride and sigma marked. Right, a row for each window: its
    outline, line width showing sigma (see `window_outlines`), the patch that it reads, and that
    patch written back through the same window, scaled so that its brightest value is white.

    Args:
        image: image in [0, 1], [channels, rows, columns].
        windows: single windows, one to `MAX_WINDOWS` of them, not batches.
        path: file to write: .png, .svg or .pdf.

    Raises:
        DrawError: if the suffix is not one of the three, there are no or too many windows, or one
            has no filters.
    """
    target = check_suffix(path, FIGURES)
    check_pictures("image", image, 3)
    sizes = sorted({window.size for window in windows})
    if not 1 <= len(windows) <= MAX_WINDOWS or sizes[0] < 1:
        raise DrawError(
            f"expected 1 to {MAX_WINDOWS} windows of at least 1 filter along a side, "
            f"got {len(windows)} of {' and '.join(map(str, sizes)) or 'none'}"
        )
    height = max(ROW * len(windows) + 0.35, 3.4)
    figure: Any = make_figure(figsize=(4.6 + 3 * ROW + 1.3, height), dpi=DPI, layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(4.6, 3 * ROW + 1.3))
    _draw_grid(left.subplots(), image)
    panels = right.subplots(len(windows), 3, squeeze=False)
    for row, window in zip(panels, windows, strict=True):
        _draw_window(row, image, window)
    read = f"read, {sizes[0]} x {sizes[0]}" if len(sizes) == 1 else "read"
    for axes, title in zip(panels[0], ("window", read, "written back"), strict=True):
        axes.set_title(title, fontsize=10)
    right.align_titles()
    return save_figure(figure, target)


def default_windows(rows: int, columns: int, size: int = 12) -> tuple[Window, ...]:
    """The paper's kinds of windows: near and blurred, whole and sharp, whole and blurred.

    The whole is the largest square in the middle, each filter in one of N x N fields.

    Args:
        rows: height of the image in pixels, B.
        columns: width of the image in pixels, A.
        size: filters along one side, N.
    """
    whole = min(rows, columns) / size
    kinds = ((0.4, 0.5), (1.0, 0.1), (1.0, 1.0))
    return tuple(
        make_window(size, (columns + 1) / 2, (rows + 1) / 2, whole * stride, whole * sigma)
        for stride, sigma in kinds
    )


def make_window(size: int, g_x: float, g_y: float, delta: float, sigma: float) -> Window:
    """Make a window of intensity 1 from its number of filters and its numbers in pixels."""
    one = torch.tensor([g_x, g_y, delta, sigma, 1.0])
    return Window(one[0], one[1], one[2], one[3], one[4], size)


def _draw_grid(axes: Any, image: Float[Tensor, "channels rows columns"]) -> None:
    """The image under a grid of filters with their names."""
    from matplotlib.patches import Circle

    rows, columns = image.shape[-2:]
    delta = min(rows, columns) / (GRID + 1)
    window = make_window(GRID, (columns + 1) / 2, (rows + 1) / 2, delta, delta / 5)
    g_x, g_y, sigma = (float(part) for part in (window.g_x, window.g_y, window.sigma))
    xs = filter_centres(window.g_x, window.delta, GRID).tolist()
    ys = filter_centres(window.g_y, window.delta, GRID).tolist()
    _show(axes, image)
    axes.axvline(g_x, color=CENTRE, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.axhline(g_y, color=CENTRE, linewidth=1.2, linestyle=(0, (4, 3)))
    for y in ys:
        for x in xs:
            axes.add_patch(Circle((x, y), sigma, facecolor=(*FILTERS, 0.35), edgecolor=FILTERS))
    axes.plot(g_x, g_y, "o", color=CENTRE, markersize=6)
    beyond = ys[-1] + 2 * sigma
    _measure(axes, (xs[0], beyond), (xs[1], beyond), r"$\delta$", (0.0, -11.0))
    _measure(axes, (xs[-1], ys[0]), (xs[-1] + sigma, ys[0]), r"$\sigma$", (13.0, 0.0))
    axes.set_xticks([1, g_x, columns], ["$a=1$", "$g_X$", "$A$"], fontsize=11)
    axes.set_yticks([1, g_y, rows], ["$b=1$", "$g_Y$", "$B$"], fontsize=11)
    axes.tick_params(length=3)
    axes.set_title(f"{GRID} x {GRID} filters", fontsize=10)


def _measure(
    axes: Any,
    start: tuple[float, float],
    end: tuple[float, float],
    name: str,
    offset: tuple[float, float],
) -> None:
    """A line between two points with a name, readable on black and on white."""
    from matplotlib.patheffects import withStroke

    outline = [withStroke(linewidth=3, foreground="white")]
    line = {"arrowstyle": "|-|, widthA=0.25, widthB=0.25", "shrinkA": 0, "shrinkB": 0}
    arrow = axes.annotate("", end, start, arrowprops={**line, "linewidth": 1.4})
    arrow.arrow_patch.set_path_effects(outline)
    middle = end if offset[0] else ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)
    axes.annotate(
        name, middle, offset, textcoords="offset points", ha="center", va="center", fontsize=13,
        path_effects=outline,
    )  # fmt: skip


def _draw_window(row: Any, image: Float[Tensor, "channels rows columns"], window: Window) -> None:
    """Where a window is, what it reads, and that written back."""
    from matplotlib.patches import Polygon

    on_image, read, written = row
    rows, columns = image.shape[-2:]
    one = window[None]
    patch = read_patch(image[None], one)
    back = write_patch(patch, one, rows, columns)
    _show(on_image, image)
    _show(read, patch[0])
    _show(written, back[0] / back.max().clamp_min(torch.finfo(back.dtype).tiny))
    scale = max(1, round(ROW * PIXELS / max(rows, columns)))
    (outline,) = window_outlines(one, rows, columns, scale)
    if outline is not None:
        for frame, line_width in zip(outline.frames, outline.line_widths, strict=True):
            line = max(THINNEST, line_width / scale * ROW * 72 / max(rows, columns))
            on_image.add_patch(
                Polygon(
                    frame / scale + 0.5, fill=False, edgecolor=FILTERS, linewidth=line,
                    joinstyle="miter", zorder=3,
                )
            )  # fmt: skip
    delta, sigma = float(window.delta), float(window.sigma)
    on_image.set_ylabel(
        f"$\\delta$ = {delta:.3g}\n$\\sigma$ = {sigma:.3g}", rotation=0, ha="right", va="center",
        fontsize=10,
    )  # fmt: skip


def _show(axes: Any, image: Float[Tensor, "channels rows columns"]) -> None:
    """An image whose first pixel is at 1, without ticks."""
    rows, columns = image.shape[-2:]
    frame = (0.5, columns + 0.5, rows + 0.5, 0.5)
    axes.imshow(to_pixels(image), extent=frame, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
