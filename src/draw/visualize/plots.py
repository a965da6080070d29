"""Figures of matplotlib, drawn by Agg whatever a notebook left in the environment."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from draw.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def make_figure(**options: Any) -> "Figure":
    """Make an empty figure that needs no screen.

    Args:
        **options: options of `matplotlib.figure.Figure`, such as figsize and dpi.
    """
    backend = os.environ.pop("MPLBACKEND", None)  # read at the first import, and refused there
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: "Figure", target: Path) -> Path:
    """Write a figure to a file, in the format of its suffix.

    The picture is made in memory first: matplotlib's writers hide why a file could not be written.

    Raises:
        DrawError: if the file cannot be written.
    """
    content = io.BytesIO()
    figure.savefig(content, format=target.suffix.lower().removeprefix("."))
    with write_atomically(target) as temporary:
        temporary.write_bytes(content.getvalue())
    return target
