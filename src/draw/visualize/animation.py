"""Animations of drawings that grow step by step, as GIF, WebP or MP4."""

import io
import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from draw.errors import DrawError
from draw.extras import explain_missing
from draw.files import write_atomically
from draw.formats import ANIMATIONS
from draw.parts.state import Trajectory
from draw.visualize.outlines import COLOURS, READ_COLOUR, draw_outline, window_outlines
from draw.visualize.sheet import (
    GAP,
    WIDE_GAP,
    Images,
    Key,
    Label,
    Pixels,
    check_drawings,
    check_pairs,
    check_suffix,
    enlarge,
    grid_columns,
    scale_for,
    sheet,
    to_pixels,
)
from draw.visualize.strips import step_tiles, window_keys

MAX_DRAWINGS = 64
"""Most drawings in an animation; of more, the first ones are shown and the picture says so."""
WIDTH = 480
"""Picture pixels to aim at for a row: small enough for a README."""
GREY_PALETTE = 48
"""Colours of a GIF of grey drawings: a third smaller than with 256, and hard to tell apart."""


def animate(
    trajectory: Trajectory,
    path: str | os.PathLike[str],
    *,
    images: Images | None = None,
    frames_per_second: float | None = None,
    hold_seconds: float = 2.0,
    columns: int | None = None,
    scale: int | None = None,
) -> Path:
    """Animate drawings that grow side by side, a frame a step, with the outlines of their windows.

    The last frame is the finished drawings without outlines. GIF and WebP loop for ever.

    Args:
        trajectory: drawings step by step, of which at most `MAX_DRAWINGS` are shown.
        path: file to write: .gif, .webp (lossless) or .mp4 (H.264, yuv420p).
        images: images that were to be drawn, shown left of their drawings with the read window on
            them; without them the read window is on the drawing.
        frames_per_second: frame rate; by default such that a drawing takes 5 seconds, within 4 and
            12.
        hold_seconds: seconds for which the finished drawings stay.
        columns: drawings in a row; by default as square as can be.
        scale: picture pixels for each of an image; by default such that a row fits a README.

    Raises:
        DrawError: if the suffix is not one of the three, or the rate or duration cannot be.
        ValueError: if there are no drawings, or images and drawings do not match.
    """
    check_drawings(trajectory)
    target = check_suffix(path, ANIMATIONS)
    if frames_per_second is None:
        frames_per_second = _pace(trajectory)
    if not 0 < frames_per_second <= 50 or not 0 <= hold_seconds < math.inf:
        raise DrawError(
            "expected frames_per_second above 0 and up to 50, and hold_seconds of at least 0, "
            f"got {frames_per_second} and {hold_seconds}"
        )
    if images is not None:
        check_pairs(images, trajectory.canvases[-1])
    frames = _frames(trajectory, images, columns, scale=scale)
    if target.suffix.lower() == ".gif":
        frames = _as_gif(frames, trajectory)
    with write_atomically(target) as temporary:
        write = _write_mp4 if target.suffix.lower() == ".mp4" else _write_with_pillow
        write(frames, temporary, frames_per_second, hold_seconds)
    return target


def gif_of(trajectory: Trajectory, most: int = MAX_DRAWINGS) -> bytes:
    """Make the content of the GIF that `animate` writes of drawings.

    Args:
        trajectory: drawings step by step.
        most: most drawings to show; of more, the first ones, and the picture says so.
    """
    check_drawings(trajectory)
    frames, content = _frames(trajectory, None, None, most), io.BytesIO()
    _write_with_pillow(_as_gif(frames, trajectory), content, _pace(trajectory), 2.0)
    return content.getvalue()


def _pace(trajectory: Trajectory) -> float:
    """Frames a second of which a drawing takes 5 seconds, within 4 and 12."""
    return min(max(len(trajectory.canvases) / 5, 4.0), 12.0)


def _as_gif(frames: Sequence[Image.Image], trajectory: Trajectory) -> list[Image.Image]:
    grey = trajectory.canvases.shape[2] == 1
    return _with_one_palette(frames, GREY_PALETTE if grey else 256, dither=not grey)


def _frames(
    trajectory: Trajectory,
    images: Images | None,
    columns: int | None,
    most: int = MAX_DRAWINGS,
    scale: int | None = None,
) -> list[Image.Image]:
    """A frame for each step, and the finished drawings without outlines as the last."""
    glimpses, total, _, height, width = trajectory.canvases.shape
    shown = min(total, most)
    columns = min(grid_columns(shown, columns), shown)
    across = columns if images is None else 2 * columns
    scale = scale_for(trajectory.canvases.shape, across, WIDTH, scale)
    originals = None if images is None else list(enlarge(to_pixels(images[:shown]), scale))
    on_drawing = list(COLOURS) if images is None else ["write"]
    steps = [step_tiles(trajectory, range(glimpses), i, scale, on_drawing) for i in range(shown)]
    keys = window_keys(trajectory)
    note = f", the first {shown} of {total}" if shown < total else ""
    labels, gaps = [], [GAP] * across
    if images is not None:
        gaps = [WIDE_GAP, GAP // 2] * columns
        labels = [Label(j, j, ("image", "drawn")[j % 2]) for j in range(across)]

    def frame(t: int, drawn: Sequence[Pixels], seen: Sequence[Pixels] | None) -> Image.Image:
        tiles = list(drawn)
        if seen is not None:
            tiles = [tile for pair in zip(seen, drawn, strict=True) for tile in pair]
        rows = [tiles[start : start + across] for start in range(0, len(tiles), across)]
        legend = [*keys, Key(None, f"t = {t + 1} of {glimpses}{note}")]
        return sheet(rows, labels=labels, gaps=gaps, legend=legend)

    frames = []
    for t in range(glimpses):
        seen = originals
        if originals is not None and trajectory.read_windows is not None:
            windows = trajectory.read_windows[t, :shown]
            outlines = window_outlines(windows, height, width, scale)
            seen = [
                draw_outline(tile, outline, READ_COLOUR)
                for tile, outline in zip(originals, outlines, strict=True)
            ]
        frames.append(frame(t, [tiles[t] for tiles in steps], seen))
    finals = enlarge(to_pixels(trajectory.canvases[-1, :shown].sigmoid()), scale)
    frames.append(frame(glimpses - 1, list(finals), originals))
    return _one_even_size(frames)


def _one_even_size(frames: Sequence[Image.Image]) -> list[Image.Image]:
    """The frames on white, as large as the largest, with even sides as yuv420p needs them."""
    width, height = (max(frame.size[k] for frame in frames) for k in (0, 1))
    size = width + width % 2, height + height % 2
    grown = []
    for frame in frames:
        page = Image.new("RGB", size, "white")
        page.paste(frame, (0, 0))
        grown.append(page)
    return grown


def _write_with_pillow(
    frames: Sequence[Image.Image],
    path: Path | io.BytesIO,
    frames_per_second: float,
    hold_seconds: float,
) -> None:
    # A GIF counts in hundredths of a second.
    each = 10 * round(100 / frames_per_second)
    durations = [each] * (len(frames) - 1) + [max(each, round(1000 * hold_seconds))]
    frames[0].save(
        path,
        format=None if isinstance(path, Path) else "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations,
        loop=0,
        lossless=True,
    )


def _with_one_palette(frames: Sequence[Image.Image], count: int, dither: bool) -> list[Image.Image]:
    """The frames in `count` colours, the same for all, chosen from 8 of them.

    Dithered, colours that the palette lacks are mixed of its own, so that no bands appear where
    they change slowly; what is exactly in the palette stays as it is.
    """
    some = [frames[round(k)] for k in np.linspace(0, len(frames) - 1, min(8, len(frames)))]
    montage = Image.fromarray(np.concatenate([np.asarray(frame) for frame in some]))
    palette = montage.quantize(colors=count, method=Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette(), np.int64).reshape(-1, 3)
    # Median cut averages, and Pillow looks colours up by their upper 6 bits: the page, the
    # extremes and the lines keep their exact colours if no other is as near as that.
    kept = {}
    for exact in ((255, 255, 255), (0, 0, 0), *COLOURS.values()):
        apart = np.abs(colours - exact).max(1)
        replaced = apart <= max(8, min(16, apart.min()))
        colours[replaced] = exact
        if replaced.any():
            kept[exact] = int(replaced.argmax())
    palette.putpalette(colours.flatten().tolist())
    if not dither:
        return [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    return [_dithered(frame, palette, kept) for frame in frames]


def _dithered(
    frame: Image.Image, palette: Image.Image, kept: dict[tuple[int, int, int], int]
) -> Image.Image:
    """A frame in the colours of a palette, some of which no error of others spills into."""
    mixed = frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    pixels, numbers = np.asarray(frame), np.array(mixed)
    for colour, number in kept.items():
        numbers[(pixels == colour).all(-1)] = number
    found = Image.fromarray(numbers, "P")
    found.putpalette(mixed.getpalette() or [])
    return found


def _write_mp4(
    frames: Sequence[Image.Image], path: Path, frames_per_second: float, hold_seconds: float
) -> None:
    with explain_missing():
        import av

    holding = max(1, round(hold_seconds * frames_per_second))
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        rate = Fraction(frames_per_second).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "18", "preset": "medium", "threads": "1"}
        for frame in [*frames[:-1], *[frames[-1]] * holding]:
            pixels = np.asarray(frame)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
