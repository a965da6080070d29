"""Windows of one's own geometry: pictures, animations, player, JSON and ONNX show what they say."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime
import pytest
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from draw.attention import ATTENTIONS, SAMPLERS, AbstractWindow, GaussianAttention, Window
from draw.attention.several import windows_of
from draw.attention.window import read_patch, window_parameters, write_patch
from draw.config.model import DRAWConfig
from draw.model.classifier import ClassifierOutput
from draw.model.draw import DRAW
from draw.models.onnx import DRAWING_FILE, how_to_run, make_generator
from draw.parts.state import Trajectory, stack_windows
from draw.studio.player import Show, part
from draw.visualize import animate, generation_strip, glimpse_strip, reconstruction_strip
from draw.visualize.figures import sequence_figure, write_windows
from draw.visualize.outlines import WRITE_COLOUR, draw_outline, window_outlines
from draw.visualize.sheet import enlarge, scale_for, to_pixels

CONFIG = DRAWConfig(
    rows=16, columns=20, glimpses=3, hidden_size=8, latent_size=4, read_size=2, write_size=3,
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Rotated(Window):
    """A grid of filters whose frame is turned about its centre."""

    meaning: ClassVar[str] = "a window and how far it is turned"
    angle: Float[Tensor, "*batch"]

    @property
    def outline(self) -> Float[Tensor, "*batch 1 4 2"]:
        around = super().outline - self.centre[..., None, None, :]
        cos, sin = self.angle.cos()[..., None, None], self.angle.sin()[..., None, None]
        x, y = around.unbind(-1)
        turned = torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
        return turned + self.centre[..., None, None, :]


@dataclasses.dataclass(frozen=True, eq=False)
class Fovea(AbstractWindow):
    """A small frame within a large one, and no number that `Window` has."""

    middle: Float[Tensor, "*batch 2"]
    reach: Float[Tensor, "*batch"]

    @property
    def outline(self) -> Float[Tensor, "*batch 2 4 2"]:
        square = self.reach.new_tensor([[-1, -1], [1, -1], [1, 1], [-1, 1]])
        scales = self.reach.new_tensor([0.5, 1.0])
        frames = self.reach[..., None, None, None] * scales[:, None, None] * square
        return self.middle[..., None, None, :] + frames

    @property
    def line_width(self) -> Float[Tensor, "*batch"]:
        return torch.full_like(self.reach, 0.1)


def rotated(window: Window) -> Rotated:
    fields = {field.name: getattr(window, field.name) for field in dataclasses.fields(window)}
    return Rotated(**fields, angle=torch.full_like(window.g_x, math.pi / 4))


def fovea(window: Window) -> Fovea:
    return Fovea(window.centre, 2 + window.sigma)


OWN = {"rotated": rotated, "fovea": fovea}
NUMBERS = {
    "rotated": ["g_x", "g_y", "delta", "sigma", "gamma", "angle"],
    "fovea": ["middle", "reach"],
}
own = pytest.mark.parametrize("name", OWN)


class OwnAttention(GaussianAttention):
    """The paper's reading and writing, its windows shown in another way."""

    show: ClassVar[Any]

    def read(self, x: Tensor, x_hat: Tensor, h_dec: Tensor) -> tuple[Tensor, AbstractWindow]:
        r, window = super().read(x, x_hat, h_dec)
        return r, self.show(window)

    def write(self, h_dec: Tensor) -> tuple[Tensor, AbstractWindow]:
        written, window = super().write(h_dec)
        return written, self.show(window)


@pytest.fixture
def model(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[DRAW]:
    """A model whose attention comes from outside of the package, by one line in the table."""

    class Attention(OwnAttention):
        show = staticmethod(OWN[name])

    monkeypatch.setitem(ATTENTIONS, "own", Attention.from_config)
    config = dataclasses.replace(CONFIG)
    object.__setattr__(config, "attention", "own")  # its name is not in the Literal
    return DRAW(config)


def coloured(path: Path) -> int:
    """Pixels of a picture's first frame that have the write window's colour."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((abs(pixels - WRITE_COLOUR).max(-1) <= 16).sum())


def found(whole: np.ndarray, tile: np.ndarray) -> bool:
    """Whether a tile is in a picture, exactly."""
    height, width = tile.shape[:2]
    views = np.lib.stride_tricks.sliding_window_view(whole, (height, width, 3))[:, :, 0]
    starts = np.argwhere((views[:, :, 0, 0] == tile[0, 0]).all(-1))
    return any((views[y, x] == tile).all() for y, x in starts)


@own
def test_a_strip_shows_the_outlines_that_windows_of_ones_own_have(name, model, tmp_path):
    drawn = model.generate(2, seed=1)
    assert type(drawn.write_windows) is type(OWN[name](window_parameters(torch.zeros(5), 9, 9, 2)))
    scale = scale_for(drawn.canvases.shape, across=4)
    outlines = window_outlines(drawn.write_windows[:, 1], 16, 20, scale)
    path = generation_strip(drawn, tmp_path / "a.png")
    whole = np.asarray(Image.open(path).convert("RGB"))
    for t, outline in enumerate(outlines):
        plain = enlarge(to_pixels(drawn.images[t, 1]), scale)
        assert found(whole, draw_outline(plain, outline, WRITE_COLOUR))
    bare = drawn._replace(write_windows=None)
    assert not coloured(generation_strip(bare, tmp_path / "b.png"))


@own
def test_every_picture_shows_windows_of_ones_own(name, model, tmp_path):
    drawn, x = model.generate(2, seed=1), torch.rand(2, *CONFIG.image_shape)
    again = model.reconstruct(x)
    for suffix in ("gif", "webp"):
        assert coloured(animate(drawn, tmp_path / f"a.{suffix}"))
    assert coloured(animate(again, tmp_path / "b.webp", images=x))
    assert coloured(reconstruction_strip(x, again, tmp_path / "c.png"))
    sequence_figure([model, model], 2, 0, tmp_path / "d.png")
    assert coloured(tmp_path / "d.png")
    logits = torch.zeros(3, 2, 4)
    seen = ClassifierOutput(logits[-1], logits, again.read_windows)
    glimpse_strip(x, seen, tmp_path / "e.png")


@own
def test_player_and_json_have_the_numbers_that_windows_of_ones_own_name(name, model):
    again = model.reconstruct(torch.rand(2, *CONFIG.image_shape))
    frames = {"rotated": 1, "fovea": 2}[name]
    made = part(again)
    for place, windows in again.windows.items():
        sent = made[place]
        assert [*sent["numbers"]] == NUMBERS[name]
        for i, t in itertools.product(range(2), range(3)):
            (outline,) = window_outlines(windows[t, i : i + 1], 16, 20, 16)
            assert len(outline.frames) == frames
            for sent_frame, frame in zip(
                sent["outlines"][i][t]["frames"], outline.frames, strict=True
            ):
                np.testing.assert_allclose(sent_frame, frame / 16, atol=1e-3)
            np.testing.assert_allclose(sent["centres"][i][t], windows.centres[t, i], rtol=1e-3)
            for key, value in windows.numbers.items():
                np.testing.assert_allclose(sent["numbers"][key][i][t], value[t, i], rtol=1e-3)
    Show("1", "drawings", 3, 16, 20, (made,)).to_json()
    listed = write_windows(again)["write_windows"]
    for key, value in again.write_windows.numbers.items():
        assert torch.equal(torch.tensor(listed[key]), value.transpose(0, 1))


@own
@pytest.mark.slow
@pytest.mark.usefixtures("without_shape_checks")
def test_onnx_files_give_the_numbers_that_windows_of_ones_own_name(name, model):
    generator = make_generator(model)  # compared with PyTorch's there
    session = onnxruntime.InferenceSession(generator.files[DRAWING_FILE])
    assert [out.name for out in session.get_outputs()] == ["canvases", "images", *NUMBERS[name]]
    card = " ".join(how_to_run(generator, model).split())
    assert f"{', '.join(f'`{key}`' for key in NUMBERS[name])}: where it writes" in card
    assert (": where it writes, that is a window and how far" in card) == (name == "rotated")


def test_a_slanted_outline_is_where_its_corners_are():
    turned = rotated(Window(*torch.tensor([[10.5], [8.5], [3.0], [0.1], [1.0]]), 3))
    (outline,) = window_outlines(turned, 16, 20, scale=10)
    reach = 3.5 * math.sqrt(2) * 10
    corners = [(100, 80 - reach), (100 + reach, 80), (100, 80 + reach), (100 - reach, 80)]
    np.testing.assert_allclose(outline.frames[0], corners, atol=1e-4)
    drawn = draw_outline(np.zeros((160, 200, 3), np.uint8), outline, (200, 200, 200))[..., 0]
    y, x = np.nonzero(drawn > 100)
    assert len(x) > 4 * 45
    # The line lies where |x - 100| + |y - 80| is the half diagonal.
    assert abs(abs(x + 0.5 - 100) + abs(y + 0.5 - 80) - reach).max() < 1.1
    length = 4 * 70
    assert drawn.sum() / 200 == pytest.approx(1.5 * length, rel=0.03), "1.5 pixels wide"


def test_what_is_slanted_bends_at_the_border_of_the_image():
    turned = rotated(Window(*torch.tensor([[1.0], [8.5], [3.0], [0.1], [1.0]]), 3))
    (outline,) = window_outlines(turned, 16, 20, scale=10)
    (frame,) = outline.frames
    assert frame.min() == 0.75  # half a line within the image
    reach = 3.5 * math.sqrt(2) * 10
    inside = frame[frame[:, 0] > 0.75]
    np.testing.assert_allclose(abs(inside[:, 0] - 5) + abs(inside[:, 1] - 80), reach, atol=1e-4)
    at_border = frame[frame[:, 0] == 0.75][:, 1]
    crossing = reach - (5 - 0.75)
    assert min(abs(at_border - (80 - crossing))) < 1e-4
    assert min(abs(at_border - (80 + crossing))) < 1e-4


def test_the_line_covers_upright_and_slanted_frames_alike():
    tile = np.zeros((60, 60, 3), np.uint8)
    window = Window(*torch.tensor([[3.5], [3.5], [1.0], [0.1], [1.0]]), 3)
    barely = dataclasses.replace(rotated(window), angle=torch.tensor([1e-6]))
    pictures = [
        draw_outline(tile, window_outlines(one, 6, 6, 10)[0], (255, 255, 255)).astype(int)
        for one in (window, barely)
    ]
    assert abs(pictures[0] - pictures[1]).max() <= 255 * 0.3  # the corners are round
    assert abs(pictures[0] - pictures[1]).sum() / pictures[0].sum() < 0.02


@own
def test_windows_of_all_steps_are_stacked_by_their_fields(name):
    steps = [OWN[name](window_parameters(torch.randn(4, 5), 16, 20, 3)) for _ in range(3)]
    together = stack_windows(steps)
    assert type(together) is type(steps[0])
    for t, one in enumerate(steps):
        torch.testing.assert_close(together[t].numbers, one.numbers, rtol=0, atol=0)
    assert together[1:, :2].centre.shape == (2, 2, 2)
    assert together.map(Tensor.double).outline.dtype == torch.float64


def test_a_window_knows_its_size_at_every_step():
    drawn = DRAW(CONFIG).reconstruct(torch.rand(2, *CONFIG.image_shape))
    assert (drawn.read_windows.size, drawn.write_windows.size) == (2, 3)
    assert [*drawn.windows] == ["read", "write"]
    assert Trajectory(drawn.canvases, None, None).windows == {}
    assert drawn.write_windows[0].outline.shape == (2, 1, 4, 2)


def test_windows_that_differ_between_steps_are_refused():
    one = window_parameters(torch.zeros(2, 5), 9, 9, 3)
    for other, got in (
        (dataclasses.replace(one, size=4), r"got Window\(size=3\) and Window\(size=4\)"),
        (rotated(one), r"got Window\(size=3\) and Rotated\(size=3\)"),
        (None, "got 1 at 2 steps"),
    ):
        with pytest.raises(ValueError, match=rf"expected windows .*at all steps, {got}"):
            stack_windows([one, other])
    assert stack_windows([None, None]) is None


@pytest.mark.usefixtures("without_shape_checks")
def test_a_patch_of_another_size_than_its_window_is_refused():
    window = window_parameters(torch.zeros(2, 5), 6, 7, 3)
    assert read_patch(torch.rand(2, 1, 6, 7), window).shape == (2, 1, 3, 3)
    with pytest.raises(
        ValueError, match="expected a patch of 3 x 3, the window's filters, got 2 x"
    ):
        write_patch(torch.zeros(2, 1, 2, 2), window, 6, 7)


@pytest.mark.usefixtures("without_shape_checks")
@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_window_cannot_read_or_write_is_refused(name: str) -> None:
    """Most of it would be broadcast, or reshaped, to numbers of another place."""
    sampler = SAMPLERS[name](6, 7, 3)
    controls = sampler.start(0.5).expand(2, -1)
    images, window = torch.rand(2, 1, 6, 7), sampler.window(controls)
    patch = sampler.read(images, window)
    one = rf"expected {sampler.controls} controls for each window, \[\*batch, {sampler.controls}\]"
    for wrong in (torch.cat([controls, controls[:, :1]], 1), controls[:, 1:], controls[0, 0]):
        with pytest.raises(ValueError, match=rf"{one}, got {re.escape(str(list(wrong.shape)))}"):
            sampler.window(wrong)
    each = r"expected \[batch, channels, rows, columns\] and a window for each .*, got "
    with pytest.raises(ValueError, match=each + r"\[2, 6, 7\] and windows \[2\]"):
        sampler.read(images[:, 0], window)
    with pytest.raises(ValueError, match=each + r"\[2, 1, 6, 7\] and windows \[\]"):
        sampler.read(images, window[0])
    with pytest.raises(ValueError, match=each + r"\[2, 3, 3\] and windows \[2\]"):
        sampler.write(patch[:, 0], window)
    with pytest.raises(ValueError, match=each + r"\[2, 1, 3, 3\] and windows \[1, 2\]"):
        sampler.write(patch, sampler.window(controls[None]))
    with pytest.raises(ValueError, match=r"expected a patch of 3 x 3, .*, got 1 x 9"):
        sampler.write(patch.reshape(2, 1, 1, 9), window)
    with pytest.raises(ValueError, match="expected images of 6 rows and 7 columns, for which "):
        sampler.read(images.mT, window)


@pytest.mark.usefixtures("without_shape_checks")
def test_a_window_with_more_numbers_is_not_read_as_an_upright_grid() -> None:
    images = torch.rand(2, 1, 6, 7)
    for name, further in (("rotated", "angle"), ("lattice", "reach"), ("affine", "width, ")):
        sampler = SAMPLERS[name](6, 7, 3)
        window = sampler.window(sampler.start(0.5).expand(2, -1))
        refused = (
            f"expected a Window, an upright grid, got a {type(window).__name__} with {further}"
        )
        with pytest.raises(ValueError, match=refused):
            read_patch(images, window)
        with pytest.raises(ValueError, match=refused):
            write_patch(torch.rand(2, 1, 3, 3), window, 6, 7)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("heads", [1, 2])
def test_an_ellipsis_stands_for_the_dimensions_of_the_batch(name: str, heads: int) -> None:
    """Not for those of a number, such as the four of a lattice's reach, or for several windows."""
    sampler = SAMPLERS[name](6, 7, 3)
    windows = windows_of(sampler.window, torch.randn(4, 2, heads * sampler.controls), heads)
    mask = torch.tensor([[True, False]] * 4)
    for short, long in (
        ((..., 1), (slice(None), 1)),
        (..., slice(None)),
        ((0, ...), 0),
        ((0, ..., 1), (0, 1)),
        ((..., None), (slice(None), slice(None), None)),
        ((mask, ...), mask),
    ):
        assert torch.equal(windows[short].outline, windows[long].outline)
