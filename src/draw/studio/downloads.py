"""Downloads: what is on the page as a picture or an animation."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from draw.parts.state import Trajectory
from draw.visualize import animate, generation_strip, reconstruction_strip, sample_grid

Format = Literal["png", "strip", "gif", "webp", "mp4"]
"""File format of drawings: a grid of finished images, steps side by side, or an animation."""


def save(name: str, suffix: str, write: Callable[[Path], Path]) -> Path:
    """Write a file into a new folder among the temporary files.

    Args:
        name: name of the file, without its suffix.
        suffix: suffix of the file.
        write: function that writes the file.
    """
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "drawing"
    return write(Path(tempfile.mkdtemp(prefix="drawing-")) / f"{stem}.{suffix}")


def save_drawings(drawn: Trajectory, name: str, kind: Format) -> Path:
    """Write new images to a file."""
    if kind == "png":
        return save(name, "png", lambda path: sample_grid(drawn.images[-1], path))
    if kind == "strip":
        return save(f"{name}-steps", "png", lambda path: generation_strip(drawn, path))
    return save(name, kind, lambda path: animate(drawn, path))


def save_reconstruction(image: Tensor, drawn: Trajectory, name: str, kind: Format) -> Path:
    """Write a given image and its drawing to a file."""
    if kind in ("png", "strip"):
        return save(name, "png", lambda path: reconstruction_strip(image, drawn, path))
    return save(name, kind, lambda path: animate(drawn, path, images=image))
