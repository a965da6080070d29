"""What the player in the browser plays: pictures of all steps in one sheet, windows as numbers.

Everything is sent once, as JSON; the browser steps through it without asking again.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from draw.attention.window import Window
from draw.parts.state import Trajectory
from draw.visualize.layout import to_pixels
from draw.visualize.windows import window_box

SCALE = 16
"""Boxes are placed on an image enlarged so many times, and sent in pixels of the image."""


@dataclass(frozen=True)
class Show:
    """Something to play, which may come in parts; see assets/player.js."""

    id: str
    """Parts that come later have the same."""
    kind: Literal["drawings", "reconstruction", "glimpses"]
    steps: int
    rows: int
    columns: int
    parts: tuple[dict[str, Any], ...] = ()
    captions: tuple[str, ...] = ()
    """One an image, where they have any."""
    total: int = 0
    """How many images there will be, where more are to come."""
    names: tuple[str, ...] = ()
    """What the classes are called."""

    def to_json(self) -> str:
        """What the page sends; numbers that are not finite are none."""
        return json.dumps(self.__dict__, allow_nan=False)


def sheet(images: Float[Tensor, "columns rows channels height width"]) -> str:
    """Pictures side by side and below each other, as the address of a PNG that carries its data."""
    pixels = to_pixels(images)
    if images.shape[2] == 1:
        pixels = pixels[..., :1]
    across, down, height, width, channels = pixels.shape
    whole = pixels.transpose(1, 2, 0, 3, 4).reshape(down * height, across * width, channels)
    return picture_address(Image.fromarray(whole[..., 0] if channels == 1 else whole))


def picture_address(picture: Image.Image) -> str:
    """A picture as the address of a PNG that carries its data."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def part(trajectory: Trajectory, read_size: int | None, write_size: int | None) -> dict[str, Any]:
    """Drawings for the player: the canvas at every step, and the windows that there are."""
    _, count, _, rows, columns = trajectory.canvases.shape
    made: dict[str, Any] = {"count": count, "sheet": sheet(trajectory.images)}
    for name, windows, size in (
        ("read", trajectory.read_windows, read_size),
        ("write", trajectory.write_windows, write_size),
    ):
        if windows is not None and size is not None:
            made[name] = placed(windows, size, rows, columns)
    return made


def placed(windows: Window, size: int, rows: int, columns: int) -> dict[str, Any]:
    """The windows of every step of every image: their rectangles and their numbers.

    Args:
        windows: each field [steps, images], in pixels counted from 1.
        size: side N of the window in filters.
        rows: height of the image in pixels.
        columns: width of the image in pixels.

    Returns:
        For each image and step, `boxes` with left, top, right, bottom and line width in pixels from
        the upper left corner (None where the window is not finite), and `numbers` with centre x,
        centre y, stride, sigma and intensity.
    """
    windows = Window(*(part.detach().cpu() for part in windows))
    steps, images = windows.g_x.shape
    boxes = [
        [_box(windows, t, i, size, rows, columns) for t in range(steps)] for i in range(images)
    ]
    values = np.stack([part.double().numpy() for part in windows], -1).transpose(1, 0, 2)
    return {"boxes": boxes, "numbers": finite(values.tolist())}


def _box(windows: Window, t: int, i: int, size: int, rows: int, columns: int) -> list[float] | None:
    box = window_box(Window(*(part[t, i] for part in windows)), size, rows, columns, SCALE)
    return None if box is None else [round(edge / SCALE, 3) for edge in box]


def finite(values: Any) -> Any:
    """Nested lists with numbers rounded for the page; those that are not finite become 0."""
    if isinstance(values, Sequence):
        return [finite(value) for value in values]
    return float(f"{values:.4g}") if math.isfinite(values) else 0.0
