"""Files to take away: what is on the page as a picture or an animation."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from torch import Tensor

from draw.parts.state import Trajectory
from draw.visualize import animate, generation_strip, reconstruction_strip, sample_grid

Format = Literal["png", "strip", "gif", "webp", "mp4"]
"""A grid of finished images, steps side by side, or an animation."""


def save(name: str, suffix: str, write: Callable[[Path], Path]) -> Path:
    """Have a file written into a new folder among the temporary files."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "drawing"
    return write(Path(tempfile.mkdtemp(prefix="drawing-")) / f"{stem}.{suffix}")


def save_drawings(drawn: Trajectory, name: str, kind: Format) -> Path:
    """New images as a file."""
    if kind == "png":
        return save(name, "png", lambda path: sample_grid(drawn.images[-1], path))
    if kind == "strip":
        return save(f"{name}-steps", "png", lambda path: generation_strip(drawn, path))
    return save(name, kind, lambda path: animate(drawn, path))


def save_reconstruction(image: Tensor, drawn: Trajectory, name: str, kind: Format) -> Path:
    """A given image and its drawing as a file."""
    if kind in ("png", "strip"):
        return save(name, "png", lambda path: reconstruction_strip(image, drawn, path))
    return save(name, kind, lambda path: animate(drawn, path, images=image))
