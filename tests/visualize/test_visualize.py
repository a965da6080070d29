import dataclasses
import json
import math
import subprocess
import sys
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from draw.attention.window import Window, window_parameters
from draw.errors import DrawError
from draw.measure.nearest import nearest_images
from draw.model.draw import Trajectory
from draw.visualize import (
    animate,
    classification_curves,
    generation_strip,
    last_column,
    reconstruction_grid,
    reconstruction_strip,
    sample_grid,
    strips,
    training_curves,
    window_outlines,
)
from draw.visualize.curves import running_mean
from draw.visualize.outlines import READ_COLOUR, THICKEST_LINE, WRITE_COLOUR, Outline, draw_outline
from draw.visualize.sheet import MARGIN, Key, Label, enlarge, evenly, scale_for, sheet, to_pixels


def window(g_x, g_y, delta=1.0, sigma=1.0, size=3):
    return Window(*(torch.tensor(float(part)) for part in (g_x, g_y, delta, sigma, 1.0)), size)


def box(window, rows, columns, scale=1):
    """Left, top, right, bottom and line width of the rectangle round a window."""
    (outline,) = window_outlines(window[None], rows, columns, scale)
    (frame,) = outline.frames
    assert len(frame) == 4
    return (*frame.min(0), *frame.max(0), *outline.line_widths)


def rectangle(left, top, right, bottom, line):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return Outline((np.array(corners, float),), (line,))


def trajectory(glimpses=5, batch=3, shape=(1, 8, 8), *, write=True, read=False, seed=0):
    generator = torch.Generator().manual_seed(seed)
    canvases = torch.randn(glimpses, batch, *shape, generator=generator).cumsum(0)
    controls = torch.randn(2, glimpses, batch, 5, generator=generator) / 2 - 0.5
    write_windows, read_windows = (window_parameters(part, *shape[1:], 3) for part in controls)
    return Trajectory(canvases, write_windows if write else None, read_windows if read else None)


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def find(whole, part):
    """The (y, x) at which `part` stands in a picture, exactly, once."""
    height, width = part.shape[:2]
    fits = np.ones((whole.shape[0] - height + 1, whole.shape[1] - width + 1), bool)
    ys, xs = np.nonzero(fits)
    for y, x in np.random.default_rng(0).permutation(np.argwhere(part[..., 0] >= 0))[:40]:
        same = (whole[ys + y, xs + x] == part[y, x]).all(-1)
        ys, xs = ys[same], xs[same]
    places = [
        (int(y), int(x))
        for y, x in zip(ys, xs, strict=True)
        if (whole[y : y + height, x : x + width] == part).all()
    ]
    assert len(places) == 1, f"expected the image once, found it {len(places)} times"
    return places[0]


def coloured(pixels, colour):
    """Where a picture has exactly this colour, as (ys, xs)."""
    return np.nonzero((pixels == np.array(colour)).all(-1))


# The rectangle


def test_a_window_of_zeros_frames_a_square_image():
    for size in (2, 3, 5, 12):
        controls = torch.tensor([0.0, 0, -40, 0, 0])
        found = box(window_parameters(controls, 28, 28, size), 28, 28, scale=3)
        assert found == pytest.approx((0.75, 0.75, 83.25, 83.25, 1.5))  # the line lies just inside


def test_the_box_goes_round_the_pixels_under_the_outermost_filters():
    # Filters at pixels 4, 6 and 8 across, 3, 5 and 7 down, counted from 1.
    found = box(window(6, 5, delta=2, sigma=0.1), 20, 30, scale=10)
    assert found == pytest.approx((30, 20, 80, 70, 1.5))


def test_a_single_filter_is_one_pixel_whatever_the_stride():
    found = box(window(6, 5, delta=9, sigma=0.1, size=1), 20, 30, scale=10)
    assert found == pytest.approx((50, 40, 60, 50, 1.5))


def test_the_line_is_as_wide_as_sigma_within_bounds():
    widths = [box(window(10, 10, 2, sigma), 28, 40, scale=8)[-1] for sigma in (1e-6, 0.5, 1, 1e6)]
    assert widths == pytest.approx([1.5, 2, 4, 28 * 8 * THICKEST_LINE])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["g_x", "g_y", "delta", "sigma"])
def test_a_window_that_is_not_finite_has_no_box(bad, field):
    one = dataclasses.replace(window(3, 3), **{field: torch.tensor(bad)})
    assert window_outlines(one[None], 8, 8) == [None]
    tile = np.zeros((8, 8, 3), np.uint8)
    assert draw_outline(tile, None, WRITE_COLOUR) is tile


def test_the_drawn_rectangle_lands_on_the_right_pixels():
    scale = 5
    tile = np.zeros((20 * scale, 30 * scale, 3), np.uint8)
    left, top, right, bottom, line = box(window(6, 4, delta=2, sigma=0.8), 20, 30, scale)
    inner = rectangle(left + 1, top + 1, right - 1, bottom - 1, line)
    drawn = draw_outline(tile, inner, WRITE_COLOUR)
    ys, xs = coloured(drawn, WRITE_COLOUR)
    # Pixels 4 to 8 across and 2 to 6 down, counted from 1, are these of the enlarged image:
    assert (xs.min(), xs.max()) == (3 * scale, 8 * scale - 1)
    assert (ys.min(), ys.max()) == (1 * scale, 6 * scale - 1)
    assert len(xs) == 2 * 4 * (5 * scale - 2)  # sigma / 2 = 2 picture pixels wide
    assert drawn.any(-1).sum() == len(xs)


def test_the_box_is_antialiased():
    tile = np.full((20, 20, 3), 100, np.uint8)
    drawn = draw_outline(tile, rectangle(4.75, 5.5, 14.5, 15.5, 1.0), (200, 200, 200))
    # The line covers [4.25, 5.25] across: three quarters of pixel 4, a quarter of pixel 5.
    assert drawn[10, 3:7, 0].tolist() == [100, 175, 125, 100]
    assert drawn[5, 10].tolist() == [200] * 3


@pytest.mark.parametrize(
    ("centre", "delta", "edge"),
    [((-50, 4), 1, (slice(None), 0)), ((4, 900), 1, (-1, slice(None))), ((4.5, 4.5), 1e6, None)],
)
def test_a_window_off_the_image_is_drawn_on_the_border(centre, delta, edge):
    tile = np.zeros((32, 32, 3), np.uint8)
    (outline,) = window_outlines(window(*centre, delta)[None], 8, 8, 4)
    drawn = draw_outline(tile, outline, READ_COLOUR)
    ys, xs = coloured(drawn, READ_COLOUR)
    assert len(xs)
    if edge is None:
        assert (drawn[[0, -1]] == READ_COLOUR).all()
        assert (drawn[:, [0, -1]] == READ_COLOUR).all()
        assert not drawn[8:-8, 8:-8].any()
    else:
        assert len(coloured(drawn[edge], READ_COLOUR)[0])
        assert (xs.max() < 4) if centre[0] < 0 else (ys.min() >= 28)


def test_each_side_keeps_to_its_own_length():
    far = box(window(1e6, 1e6, sigma=0.1), 20, 30, scale=10)
    assert far == pytest.approx((299.25, 199.25, 299.25, 199.25, 1.5))
    near = box(window(-1e6, -1e6, sigma=0.1), 20, 30, scale=10)
    assert near == pytest.approx((0.75, 0.75, 0.75, 0.75, 1.5))


# Pixels


def test_to_pixels_rounds_clips_and_repeats_grey():
    pixels = to_pixels(torch.tensor([[[[0.0, 1.0, 0.5, -3.0, 7.0, math.nan]]]]))
    assert pixels.shape == (1, 1, 6, 3)
    assert pixels[0, 0].tolist() == [[v] * 3 for v in (0, 255, 128, 0, 255, 0)]
    exact = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert (to_pixels(exact) == to_pixels(exact / 255)).all()
    colour = torch.rand(2, 3, 4, 5, dtype=torch.bfloat16, requires_grad=True)
    assert to_pixels(colour)[1, 2, 3].tolist() == [
        round(255 * v) for v in colour[1, :, 2, 3].tolist()
    ]


@pytest.mark.parametrize(
    ("images", "words"),
    [(torch.rand(2, 2, 8, 8), "1 or 3 channels"), (torch.ones(1, 1, 8, 8).long(), "float images")],
)
def test_to_pixels_says_what_it_expects(images, words):
    with pytest.raises(ValueError, match=words):
        to_pixels(images)


def test_enlarged_pixels_are_squares():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    large = enlarge(pixels, 4)
    for y in range(20):
        for x in range(28):
            assert (large[y, x] == pixels[y // 4, x // 4]).all()


def test_scale_suits_a_readme():
    assert scale_for((28, 28), across=9) == 3
    assert scale_for((28, 28), across=10) == 2
    assert scale_for((8, 8), across=4) == 12
    assert scale_for((1, 100, 100), across=10) == 1
    assert scale_for((54, 20), across=3) == 2


def test_evenly_has_the_first_and_the_last():
    assert evenly(64, 10) == [0, 7, 14, 21, 28, 35, 42, 49, 56, 63]
    assert evenly(5, 9) == [0, 1, 2, 3, 4]
    assert evenly(5, 1) == [4]
    assert evenly(1, 3) == [0]
    for total in range(1, 40):
        for count in range(2, 40):
            steps = evenly(total, count)
            assert len(set(steps)) == len(steps) == min(total, count)
            assert (steps[0], steps[-1]) == (0, total - 1)
    with pytest.raises(ValueError, match="at least 1 step"):
        evenly(4, 0)


# Grids


def test_nearest_images_is_exact():
    generator = torch.Generator().manual_seed(0)
    training = torch.randint(0, 256, (3000, 3, 40, 24), generator=generator, dtype=torch.uint8)
    samples = torch.rand(5, 3, 40, 24, generator=generator)
    samples[0] = training[2999] / 255
    samples[1] = training[17] / 255
    training[40] = training[17]
    indices, distances = nearest_images(samples, training)
    for sample, index, distance in zip(samples, indices, distances, strict=True):
        apart = (training.double() / 255 - sample.double()).square().flatten(1).sum(1).sqrt()
        assert index == apart.argmin()
        assert distance == pytest.approx(float(apart.min()), abs=1e-6)
    assert indices[:2].tolist() == [2999, 17]
    assert distances[0] < 1e-6


@pytest.mark.parametrize("shape", [(4, 1, 8, 9), (0, 1, 8, 8)])
def test_nearest_images_refuses_what_cannot_be_compared(shape):
    with pytest.raises(ValueError, match=r"expected training images of shape \[1, 8, 8\]"):
        nearest_images(torch.rand(2, 1, 8, 8), torch.zeros(shape, dtype=torch.uint8))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 9), (1, 28, 28)])
def test_grid_puts_each_image_in_its_cell(tmp_path, shape):
    images = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1))
    neighbours = torch.rand(2, *shape, generator=torch.Generator().manual_seed(2))
    path = sample_grid(images, tmp_path / "new" / "grid.png", neighbours=neighbours, columns=3)
    assert path == tmp_path / "new" / "grid.png"
    whole, scale = picture(path), scale_for(shape, across=4)
    places = [find(whole, tile) for tile in enlarge(to_pixels(images), scale)]
    ys, xs = sorted({y for y, _ in places}), sorted({x for _, x in places})
    assert places == [(ys[i // 3], xs[i % 3]) for i in range(8)]
    beside = [find(whole, tile) for tile in enlarge(to_pixels(neighbours), scale)]
    assert [y for y, _ in beside] == ys[:2]
    assert beside[0][1] == beside[1][1]
    assert beside[0][1] - xs[2] > xs[2] - xs[1]  # a wider gap sets them apart
    assert (whole[ys[2] + 1, beside[0][1] + 1] == 255).all()


def test_last_column_is_what_the_grid_needs_neighbours_for(tmp_path):
    images = torch.arange(8.0).reshape(8, 1, 1, 1).expand(8, 1, 4, 4)
    assert last_column(images, 3)[:, 0, 0, 0].tolist() == [2, 5]
    assert last_column(images, 9).shape == (0, 1, 4, 4)
    assert last_column(images[:4])[:, 0, 0, 0].tolist() == [1, 3]
    assert len(last_column(torch.zeros(250, 1, 4, 4))) == 10
    with pytest.raises(ValueError, match=r"expected 2 neighbours.*got 3"):
        sample_grid(images, tmp_path / "a.png", neighbours=images[:3], columns=3)
    assert not list(tmp_path.iterdir())


def test_grid_of_many_shows_the_first_hundred(tmp_path):
    images = torch.rand(130, 1, 8, 8)
    whole = picture(sample_grid(images, tmp_path / "many.png"))
    scale = scale_for((8, 8), across=10)
    find(whole, enlarge(to_pixels(images[99]), scale))
    with pytest.raises(AssertionError, match="found it 0 times"):
        find(whole, enlarge(to_pixels(images[100]), scale))
    hundred = picture(sample_grid(images[:100], tmp_path / "hundred.png"))
    assert len(whole) > len(hundred)  # the line that says so


def test_empty_grids_are_refused(tmp_path):
    for draw in (sample_grid, lambda images, path: reconstruction_grid(images, images, path)):
        with pytest.raises(ValueError, match="at least one"):
            draw(torch.rand(0, 1, 8, 8), tmp_path / "a.png")
    with pytest.raises(ValueError, match="at least 1 column"):
        sample_grid(torch.rand(2, 1, 8, 8), tmp_path / "a.png", columns=0)


@pytest.mark.parametrize("n", [1, 7])
def test_reconstruction_grid_has_pairs(tmp_path, n):
    images, drawn = torch.rand(2, n, 3, 6, 8).unbind(0)
    whole = picture(reconstruction_grid(images, drawn, tmp_path / "pairs.png", columns=3))
    scale = scale_for((3, 6, 8), across=2 * min(n, 3))
    left = [find(whole, tile) for tile in enlarge(to_pixels(images), scale)]
    right = [find(whole, tile) for tile in enlarge(to_pixels(drawn), scale)]
    gaps = {x2 - x1 - 8 * scale for (_, x1), (_, x2) in zip(left, right, strict=True)}
    assert [y for y, _ in left] == [y for y, _ in right]
    assert len(gaps) == 1
    if n > 3:
        assert gaps.pop() < left[1][1] - right[0][1] - 8 * scale
        assert left[3][1] == left[0][1]
    with pytest.raises(ValueError, match="as many images as drawings"):
        reconstruction_grid(images, drawn[..., :4], tmp_path / "a.png")


def test_labels_are_never_cut(tmp_path):
    tile = np.zeros((8, 8, 3), np.uint8)
    image = np.asarray(
        sheet(
            [[tile, tile]], title="a title that is much longer than two tiles of eight pixels",
            labels=[Label(0, 0, "much wider than its tile"), Label(1, 1, "two\nlines of it")],
            legend=[Key(WRITE_COLOUR, "write window"), Key(None, "and some words")],
        )
    )  # fmt: skip
    border = image.copy()
    border[MARGIN // 2 : -MARGIN // 2, MARGIN // 2 : -MARGIN // 2] = 255
    assert (border == 255).all()


# Strips


def test_generation_strip_shows_chosen_steps_with_windows(tmp_path):
    drawing = trajectory(glimpses=9, batch=2, shape=(1, 8, 6))
    bare = picture(
        generation_strip(drawing._replace(write_windows=None), tmp_path / "a.png", steps=3)
    )
    scale = scale_for((8, 6), across=3)
    for i in range(2):
        steps = enlarge(to_pixels(drawing.images[[0, 4, 8], i]), scale)
        places = [find(bare, tile) for tile in steps]
        assert places == sorted(places, key=lambda at: at[1])
        assert len({y for y, _ in places}) == 1
    framed = picture(generation_strip(drawing, tmp_path / "b.png", steps=3))
    assert not len(coloured(bare, WRITE_COLOUR)[0])
    assert len(coloured(framed, WRITE_COLOUR)[0])
    find(framed, enlarge(to_pixels(drawing.images[-1, 1]), scale_for((8, 6), across=4)))


def test_strip_labels_count_from_one(tmp_path, monkeypatch):
    seen = {}

    def spy(tiles, **options):
        seen.update(options, tiles=tiles)
        return sheet(tiles, **options)

    monkeypatch.setattr(strips, "sheet", spy)
    generation_strip(trajectory(64, 12), tmp_path / "a.png", steps=4)
    assert [label.text for label in seen["labels"]] == [
        "t = 1", "t = 22", "t = 43", "t = 64", "drawn",
    ]  # fmt: skip
    assert [label.first for label in seen["labels"]] == list(range(5))
    assert len(seen["tiles"]) == strips.MAX_ROWS
    assert seen["legend"][-1].text == "the first 8 of 12"
    drawing = trajectory(10, 2, read=True)
    reconstruction_strip(drawing.images[-1], drawing, tmp_path / "b.png", steps=2)
    assert [label.text for label in seen["labels"]] == [
        "image", "t = 1", "t = 10", "drawn", "error",
    ]  # fmt: skip
    assert [key.text for key in seen["legend"]] == [
        "read window", "write window", "line width: sigma",
    ]  # fmt: skip
    assert [len(row) for row in seen["tiles"]] == [5, 5]
    assert len(seen["gaps"]) == 5


def test_each_window_is_drawn_on_its_own_step(tmp_path):
    drawing = trajectory(glimpses=3, batch=2)
    # Only drawing 1 has a window that can be drawn, at step 2: pixels 3 to 5 across, 4 to 6 down.
    write = Window(*torch.full((5, 3, 2), math.nan).unbind(0), size=3)
    for part, value in zip(write.numbers.values(), (4.0, 5.0, 1.0, 0.01, 1.0), strict=True):
        part[1, 1] = value
    path = tmp_path / "a.png"
    whole = picture(generation_strip(drawing._replace(write_windows=write), path))
    scale = scale_for((8, 8), across=4)
    plain = enlarge(to_pixels(drawing.images), scale)
    (_, second), (below, _) = find(whole, plain[1, 0]), find(whole, plain[0, 1])
    expected = draw_outline(
        plain[1, 1], rectangle(2 * scale, 3 * scale, 5 * scale, 6 * scale, 1.5), WRITE_COLOUR
    )
    assert find(whole, expected) == (below, second)


def test_reconstruction_strip_shows_image_result_and_error(tmp_path):
    drawing = trajectory(glimpses=6, batch=2, shape=(3, 7, 5), read=True)
    images = torch.rand(2, 3, 7, 5)
    path = reconstruction_strip(images, drawing, tmp_path / "a.webp", steps=2)
    whole, scale = picture(path), scale_for((3, 7, 5), across=5)
    originals, finals = (to_pixels(part) for part in (images, drawing.canvases[-1].sigmoid()))
    for i in range(2):
        parts = (
            originals[i],
            finals[i],
            np.abs(originals[i].astype(int) - finals[i]).astype(np.uint8),
        )
        places = [find(whole, enlarge(part, scale)) for part in parts]
        assert places == sorted(places, key=lambda at: at[1])
        assert len({y for y, _ in places}) == 1
    for colour in (READ_COLOUR, WRITE_COLOUR):
        assert len(coloured(whole, colour)[0])
    with pytest.raises(ValueError, match="as many images as drawings"):
        reconstruction_strip(images[:1], drawing, path)


# Animations


def frames_of(path):
    """Frames as RGB arrays and their durations in milliseconds."""
    if path.suffix == ".mp4":
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
            assert stream.codec_context.name == "h264"
            assert stream.codec_context.pix_fmt == "yuv420p"
            return frames, [1000 / float(stream.average_rate)] * len(frames)
    frames, durations = [], []
    with Image.open(path) as image:
        assert image.info["loop"] == 0
        for t in range(image.n_frames):
            image.seek(t)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info["duration"])
    return frames, durations


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
def test_animation_has_a_frame_a_step_and_holds_the_last(tmp_path, suffix):
    drawing = trajectory(glimpses=6, batch=5, shape=(1, 9, 7))
    path = animate(drawing, tmp_path / f"a{suffix}", frames_per_second=5.0, hold_seconds=1.4)
    frames, durations = frames_of(path)
    if suffix == ".mp4":
        assert len(frames) == 6 + 7
        assert durations == [200] * 13
    else:
        assert len(frames) == 7
        assert durations == [200] * 6 + [1400]
    assert {frame.shape for frame in frames} == {frames[0].shape}
    assert all(side % 2 == 0 for side in frames[0].shape[:2])
    close = {".gif": 16, ".webp": 0, ".mp4": 90}[suffix]
    scale = scale_for((9, 7), across=3, width=480)
    still = picture(sample_grid(drawing.images[-1], tmp_path / "still.png", columns=3))
    tile = enlarge(to_pixels(drawing.images[-1, 4]), scale)
    y, x = find(still, tile)  # both begin with the same margin, the grid has no labels
    shown = frames[-1][y : y + tile.shape[0], x : x + tile.shape[1]].astype(int)
    assert np.abs(shown - tile).max() <= close
    assert np.abs(shown - tile).mean() <= 4
    reddish = [((frame[..., 0].astype(int) - frame[..., 1]) > 100).sum() for frame in frames]
    assert min(reddish[:6]) > reddish[-1] > 0  # the legend alone at the end


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4"])
@pytest.mark.parametrize(
    ("glimpses", "batch", "shape", "write"),
    [(1, 1, (1, 8, 8), True), (3, 2, (3, 6, 11), True), (4, 1, (1, 5, 5), False)],
)
def test_animation_of_awkward_drawings(tmp_path, suffix, glimpses, batch, shape, write):
    drawing = trajectory(glimpses, batch, shape, write=write, read=write)
    path = animate(
        drawing, tmp_path / f"a{suffix}",
        images=torch.rand(batch, *shape), hold_seconds=0.5,
    )  # fmt: skip
    frames, durations = frames_of(path)
    assert sum(durations) == pytest.approx(250 * glimpses + 500, abs=1)
    green = [
        (frame[..., 1].astype(int) - frame[..., 0] > 100).sum() if write else 0 for frame in frames
    ]
    assert not write or green[0] > 0


def test_gif_is_small_crisp_and_white(tmp_path):
    drawing = trajectory(glimpses=64, batch=16, shape=(1, 28, 28))
    smooth = torch.linspace(-9, 9, 28)[None, :] * torch.linspace(0.2, 1, 64)[:, None]
    canvases = smooth[:, None, None, None, :].expand(64, 16, 1, 28, 28)
    path = animate(drawing._replace(canvases=canvases), tmp_path / "a.gif")
    assert path.stat().st_size < 1e6
    with Image.open(path) as image:
        assert image.n_frames == 65
        assert np.asarray(image.convert("RGB"))[0, 0].tolist() == [255] * 3


def test_slow_changes_of_colour_have_no_bands_in_a_gif(tmp_path):
    """Means over squares are those of the lossless animation; lines keep their colours."""
    drawing = trajectory(glimpses=2, batch=1, shape=(3, 48, 48), read=True)
    side = torch.linspace(-2, 2, 48)
    colours = torch.stack(
        [side[:, None] + 0 * side, side + 0 * side[:, None], side[:, None] - side]
    )
    drawing = drawing._replace(canvases=colours[None, None].expand(2, 1, 3, 48, 48))
    smooth, exact = (
        frames_of(animate(drawing, tmp_path / f"a{suffix}", scale=5))[0]
        for suffix in (".gif", ".webp")
    )
    for one, other in zip(smooth, exact, strict=True):
        rows, columns = (side // 10 for side in one.shape[:2])
        means = [
            frame[: 10 * rows, : 10 * columns].reshape(rows, 10, columns, 10, 3).mean((1, 3))
            for frame in (one, other)
        ]
        assert np.abs(means[0] - means[1]).mean() < 0.5
        for line in (READ_COLOUR, WRITE_COLOUR):
            drawn = (other == line).all(-1)
            assert (one[drawn] == line).all()


def test_animation_names_the_formats_it_knows(tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.gif, \.webp or \.mp4, got .*a\.avi"):
        animate(trajectory(), tmp_path / "a.avi")
    with pytest.raises(ValueError, match="frames_per_second"):
        animate(trajectory(), tmp_path / "a.gif", frames_per_second=0.0)
    with pytest.raises(ValueError, match="as many images"):
        animate(trajectory(), tmp_path / "a.gif", images=torch.rand(1, 1, 8, 8))
    assert not list(tmp_path.iterdir())


# Curves


def line(step, kind, **values):
    return {"step": step, "images_seen": 100 * step, "kind": kind, **values}


def measured(step, kind, glimpses=4):
    values = {"bound": 500 / step, "reconstruction": 400 / step, "kl": 100 / step}
    profile = (
        {} if kind == "train" else {"kl_per_glimpse": [1.0 / (t + 1) for t in range(glimpses)]}
    )
    return line(step, kind, **values, **profile)


@pytest.mark.parametrize(
    "metrics",
    [
        [measured(1, "train")],
        [measured(1, "validation")],
        [measured(1, "test", glimpses=1)],
        [line(1, "train")],
        [line(1, "train", bound=math.nan, kl=None, reconstruction=math.inf)],
        [line(1, "validation", bound=math.nan, kl_per_glimpse=[math.nan, 1.0])],
        [measured(k, "train") for k in range(1, 200)],
        [{**measured(k, "train"), "bound": math.nan} for k in range(1, 50)],
        [measured(k, kind) for k in range(1, 60) for kind in ("train", "validation", "test")],
        json.loads('[{"step": 1, "images_seen": 64, "kind": "train", "bound": NaN, "kl": 3.0}]'),
    ],
)
def test_curves_of_any_run(tmp_path, metrics):
    path = training_curves(metrics, tmp_path / "curves.png", title="a run")
    assert picture(path).shape == (540, 1650, 3)


def test_curves_are_drawn_against_training_images_seen(tmp_path, monkeypatch):
    figures = []

    def keep(figure, content, **options):
        figures.append(figure)
        content.write(b"")

    monkeypatch.setattr(Figure, "savefig", keep)
    # `images` of an evaluation is the size of the data set.
    training_curves(
        [{**measured(k, kind), "images": 7} for k in (1, 2) for kind in ("train", "validation")],
        tmp_path / "a.png",
    )
    bound, parts, glimpses = figures[0].axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in bound.lines}
    assert drawn["training"] == drawn["best validation: 250.0"] == [[100, 500], [200, 250]]
    assert [text.get_text() for text in parts.get_legend().get_texts()] == [
        "reconstruction", "KL", "best validation: 200.0", "best validation: 50.0",
    ]  # fmt: skip
    assert [bar.get_height() for bar in glimpses.patches] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert [text.get_text() for text in glimpses.get_legend().get_texts()] == [
        "100 images", "200 images",
    ]  # fmt: skip
    assert all("nats" in axes.get_ylabel() for axes in figures[0].axes)


def test_curves_tell_of_the_best_weights_and_put_the_test_where_they_were(tmp_path, monkeypatch):
    figures = []

    def keep(figure, content, **options):
        figures.append(figure)
        content.write(b"")

    monkeypatch.setattr(Figure, "savefig", keep)
    best, worse = measured(1, "validation"), measured(2, "validation")
    lines = [{**best, "bound": 80.0}, {**worse, "bound": 90.0, "kl_per_glimpse": [9, 9]}]
    tested = {**measured(2, "test"), "step": 20, "weights_step": 10, "bound": 81.0}
    training_curves([*lines, tested], tmp_path / "a.png")
    bound, _, glimpses = figures[0].axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in bound.lines}
    assert drawn["best validation: 80.0"] == [[100, 80], [200, 90]]
    assert drawn["test: 81.0"] == [[100, 81]]
    assert [bar.get_height() for bar in glimpses.patches] == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4])
    assert glimpses.get_title() == "KL by glimpse, best validation"


@pytest.mark.parametrize("draw_curves", [training_curves, classification_curves])
def test_titles_of_curves_lie_in_the_picture(draw_curves, tmp_path, monkeypatch):
    figures = []

    def keep(figure, content, **options):
        figure.canvas.draw()
        figures.append(figure)
        content.write(b"")

    monkeypatch.setattr(Figure, "savefig", keep)
    made = {"error": 3.0, "cross_entropy": 0.1, "error_by_glimpse": [9.0, 5.0, 4.0, 3.0]}
    draw_curves([{**measured(k, "validation"), **made} for k in (1, 2)], tmp_path / "a.png")
    (figure,) = figures
    titles = [axes.title for axes in figure.axes if axes.get_title()]
    assert len(titles) == 3
    for title in titles:
        extent = title.get_window_extent()
        assert figure.bbox.x0 <= extent.x0, title.get_text()
        assert extent.x1 <= figure.bbox.x1, title.get_text()


def test_the_bound_has_an_axis_in_bits_where_the_lines_have_them(tmp_path, monkeypatch):
    figures = []

    def keep(figure, content, **options):
        figures.append(figure)
        content.write(b"")

    monkeypatch.setattr(Figure, "savefig", keep)
    lines = [measured(k, "train") for k in (1, 2)]
    with_bits = [{**line, "bits_per_dimension": line["bound"] / 100} for line in lines]
    for metrics in (lines, [{**lines[0], "bound": 0.0}, *with_bits]):
        training_curves(metrics, tmp_path / "a.png")
    plain, exact = (figure.axes[0] for figure in figures)
    assert not plain.child_axes
    (bits,) = exact.child_axes
    assert bits.get_ylabel() == "bits per dimension"
    figures[1].draw_without_rendering()
    assert bits.get_ylim() == pytest.approx([limit / 100 for limit in exact.get_ylim()])


def test_curves_leave_no_global_state_and_refuse_nothing_to_draw(tmp_path):
    before = "matplotlib.pyplot" in sys.modules  # of a library that another test used
    training_curves([measured(1, "train")], tmp_path / "curves.svg")
    assert ("matplotlib.pyplot" in sys.modules) == before
    with pytest.raises(ValueError, match="at least one line"):
        training_curves([], tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"\.png, \.svg or \.pdf"):
        training_curves([measured(1, "train")], tmp_path / "a.gif")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.svg"]


def test_running_mean_leaves_out_what_is_not_finite():
    assert running_mean(np.array([1.0, math.nan, 3.0, 5.0])).tolist() == [1, 2, 4, 4]
    assert np.isnan(running_mean(np.array([math.nan] * 3))).all()
    assert running_mean(np.full(500, 7.0)) == pytest.approx(np.full(500, 7.0))


# Files


@pytest.mark.parametrize("suffix", [".png", ".gif", ".mp4"])
def test_a_failing_write_leaves_what_was_there(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"before")

    def fail(image, name, **options):
        name.write_bytes(b"half")
        raise OSError("disk full")

    def fail_midway(pixels, format):  # noqa: A002
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    if suffix == ".mp4":
        monkeypatch.setattr(av, "VideoFrame", SimpleNamespace(from_ndarray=fail_midway))
    draw = generation_strip if suffix == ".png" else animate
    with pytest.raises(DrawError, match=f"could not write .*a{suffix}: disk full"):
        draw(trajectory(), path)
    assert path.read_bytes() == b"before"
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


def test_importing_is_light():
    code = "import sys, draw.visualize; print({'matplotlib', 'av'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
