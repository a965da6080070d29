"""Data for the player in the browser: pictures of all steps in one sheet, windows as numbers.

Everything is sent once, as JSON; the browser steps through it without asking again.
"""

import base64
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from PIL import Image
from torch import Tensor

from draw.attention.abstract import AbstractWindow
from draw.parts.state import Trajectory
from draw.visualize.outlines import Outline, numbers_by_image, window_outlines
from draw.visualize.sheet import to_pixels

SCALE = 16
"""Factor by which an image is enlarged to place outlines on it; they are sent in pixels of the
image."""


@dataclass(frozen=True)
class Show:
    """Data of something to play, which may come in parts; see page/script/sent.js."""

    id: str
    """Identifier, which parts that come later share."""
    kind: Literal["drawings", "reconstruction", "glimpses"]
    steps: int
    rows: int
    columns: int
    parts: tuple[dict[str, Any], ...] = ()
    captions: tuple[str, ...] = ()
    """Captions of the images, one an image, where they have any."""
    total: int = 0
    """Number of images in all, where more are to come."""
    names: tuple[str, ...] = ()
    """Names of the classes."""
    origin: dict[str, Any] | None = None
    """Model, seed, temperature, guidance and labels of drawings that the page can draw by
    itself."""

    def to_json(self) -> str:
        """Convert to the JSON that the page sends; numbers that are not finite are none."""
        return json.dumps(self.__dict__, allow_nan=False)


def sheet(images: Float[Tensor, "columns rows channels height width"]) -> str:
    """Lay out pictures side by side and below each other, as the data address of a PNG."""
    pixels = to_pixels(images)
    if images.shape[2] == 1:
        pixels = pixels[..., :1]
    across, down, height, width, channels = pixels.shape
    whole = pixels.transpose(1, 2, 0, 3, 4).reshape(down * height, across * width, channels)
    return picture_address(Image.fromarray(whole[..., 0] if channels == 1 else whole))


def picture_address(picture: Image.Image) -> str:
    """Convert a picture to the data address of a PNG."""
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def part(trajectory: Trajectory) -> dict[str, Any]:
    """Data of drawings for the player: the canvas at every step, and the windows that there are."""
    _, count, _, rows, columns = trajectory.canvases.shape
    made: dict[str, Any] = {"count": count, "sheet": sheet(trajectory.images)}
    for name, windows in trajectory.windows.items():
        made[name] = place_windows(windows, rows, columns)
    return made


def place_windows(windows: AbstractWindow, rows: int, columns: int) -> dict[str, Any]:
    """Outlines, centres and numbers of the windows of every step of every image.

    Args:
        windows: windows of all steps, [steps, images].
        rows: height of the image in pixels.
        columns: width of the image in pixels.

    Returns:
        For each image and step, `outlines` with frames (corners x, y) and the width of each one's
        line in pixels from the upper left corner (None where a window is not finite), and
        `centres` with x and y of each window in pixels counted from 1; and `numbers` by name, each
        with a value, or one a window, for each image and step.
    """
    centres = windows.centres.transpose(0, 1).tolist()
    outlines = [
        [_sent(outline) for outline in window_outlines(windows[:, i], rows, columns, SCALE)]
        for i in range(len(centres))
    ]
    numbers = {name: finite(values) for name, values in numbers_by_image(windows).items()}
    return {"outlines": outlines, "centres": finite(centres), "numbers": numbers}


def _sent(outline: Outline | None) -> dict[str, Any] | None:
    if outline is None:
        return None
    return {
        "frames": [(frame / SCALE).round(3).tolist() for frame in outline.frames],
        "lines": [round(line_width / SCALE, 3) for line_width in outline.line_widths],
    }


def finite(values: Any) -> Any:
    """Round the numbers of nested lists for the page; those that are not finite become 0."""
    if isinstance(values, Sequence):
        return [finite(value) for value in values]
    return float(f"{values:.4g}") if math.isfinite(values) else 0.0
