"""A drawing is saved by the form that a name asks for, and plays in a notebook."""

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from draw import DRAW
from draw.errors import DrawError
from draw.visualize import animate, generation_strip, reconstruction_strip
from running import TINY_MODEL

MODEL = DRAW(TINY_MODEL)


def test_the_last_images_are_the_finished_ones() -> None:
    drawing = MODEL.generate(2)
    torch.testing.assert_close(drawing.final, drawing.images[-1])


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mp4", ".png"])
def test_a_drawing_is_saved_as_its_name_says(suffix: str, tmp_path: Path) -> None:
    drawing = MODEL.generate(2)
    path = drawing.save(str(tmp_path / f"saved{suffix}"))
    assert path == tmp_path / f"saved{suffix}"
    make = generation_strip if suffix == ".png" else animate
    assert path.read_bytes() == make(drawing, tmp_path / f"other{suffix}").read_bytes()


def test_images_drawn_anew_stand_beside(tmp_path: Path) -> None:
    x = torch.rand(2, 1, 6, 5)
    drawing = MODEL.reconstruct(x)
    saved = drawing.save(tmp_path / "saved.png", images=x).read_bytes()
    assert saved == reconstruction_strip(x, drawing, tmp_path / "other.png").read_bytes()
    saved = drawing.save(tmp_path / "saved.gif", images=x).read_bytes()
    assert saved == animate(drawing, tmp_path / "other.gif", images=x).read_bytes()


def test_another_form_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DrawError, match=r"ends in \.gif, .* or \.png, got 'x\.pt'"):
        MODEL.generate(1).save("x.pt")


def test_in_a_notebook_a_drawing_plays(tmp_path: Path) -> None:
    drawing = MODEL.generate(2)
    html = drawing._repr_html_()
    (content,) = re.findall(
        r'<img alt="2 drawings in 3 steps" src="data:image/gif;base64,(.*)">', html
    )
    assert b64decode(content) == drawing.save(tmp_path / "a.gif").read_bytes()
    assert Image.open(BytesIO(b64decode(content))).n_frames == 4
    assert len(MODEL.generate(40)._repr_html_()) < 2 * len(MODEL.generate(17)._repr_html_())
