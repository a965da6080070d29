"""Drawings as a file of the form that its name asks for, and as a cell of a notebook."""

import base64
import os
from pathlib import Path

from draw.formats import ANIMATIONS
from draw.parts.state import Trajectory
from draw.visualize.animation import animate, gif_of
from draw.visualize.sheet import Images, check_suffix
from draw.visualize.strips import generation_strip, reconstruction_strip

IN_A_CELL = 16
"""Most drawings that play in a cell; of more, the first ones, and the picture says so."""


def save_drawing(
    trajectory: Trajectory, path: str | os.PathLike[str], *, images: Images | None = None
) -> Path:
    """Write drawings as an animation or, as .png, step by step side by side.

    Args:
        trajectory: drawings step by step.
        path: file to write: .gif, .webp or .mp4 for an animation, .png for a strip.
        images: images that were drawn anew, shown beside their drawings; None for new ones.

    Raises:
        DrawError: if the suffix is another one, or the file cannot be written.
    """
    target = check_suffix(path, (*ANIMATIONS, ".png"))
    if target.suffix.lower() != ".png":
        return animate(trajectory, target, images=images)
    if images is None:
        return generation_strip(trajectory, target)
    return reconstruction_strip(images, trajectory, target)


def drawing_html(trajectory: Trajectory) -> str:
    """Make a cell of a notebook in which drawings play; nothing is fetched, and no script runs.

    Args:
        trajectory: drawings step by step.
    """
    content = base64.b64encode(gif_of(trajectory, IN_A_CELL)).decode()
    steps, count = trajectory.canvases.shape[:2]
    return f'<img alt="{count} drawings in {steps} steps" src="data:image/gif;base64,{content}">'
