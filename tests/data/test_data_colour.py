"""Pictures as they are meant: colour profiles, transparency, pages; and what is said of them."""

import io
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from draw.config.data import DataConfig
from draw.data import check, load_splits
from draw.data.sources.open_source import open_source
from draw.data.store import colour
from draw.data.store.decode import Conversion, Picture, decode, read_header
from draw.errors import DrawError
from draw.training.start import start
from running import TINY, TINY_MODEL


def lab_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def swapped_profile() -> bytes:
    """What calls itself sRGB, but has red and green exchanged: a name proves nothing."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132])
    tags = {bytes(profile[132 + 12 * at : 136 + 12 * at]): 132 + 12 * at for at in range(count)}
    red, green = tags[b"rXYZ"], tags[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    return bytes(profile)


def png(image: Image.Image, **options: object) -> Picture:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return Picture("one.png", stream.getvalue(), None)


def pixel(picture: Picture, **conversion: object) -> list[int]:
    asked = Conversion((1, 1), "colour", **conversion)
    return decode(picture, asked)[:, 0, 0].tolist()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_profile_is_turned_into_srgb(mode: str) -> None:
    image = Image.new("RGB", (1, 1), (204, 51, 102)).convert(mode)
    picture = png(image, icc_profile=swapped_profile())
    assert pixel(picture) == pytest.approx([51, 204, 102], abs=2)
    (note, *_) = read_header(picture).notes
    assert note == "have colours in the profile sRGB built-in, turned into sRGB"


def test_srgb_stays_as_it_is_to_the_bit() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    values = np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    picture = png(Image.fromarray(values), icc_profile=profile)
    assert (decode(picture, Conversion((9, 9), "colour")) == values.transpose(2, 0, 1)).all()
    assert read_header(picture).notes == ()


def test_transparency_keeps_its_ground_through_a_profile() -> None:
    image = Image.new("RGBA", (1, 1), (200, 40, 90, 0))
    picture = png(image, icc_profile=swapped_profile())
    assert pixel(picture, background="#102030") == [16, 32, 48]


@pytest.mark.parametrize(
    ("profile", "mode"),
    [(b"no profile", "RGB"), (lab_profile(), "RGB"), (swapped_profile(), "L")],
    ids=["damaged", "of LAB", "of colours, and the picture is grey"],
)
def test_a_profile_that_cannot_be_used_is_said(profile: bytes, mode: str) -> None:
    picture = png(Image.new(mode, (1, 1), "#707070"), icc_profile=profile)
    assert pixel(picture) == [112, 112, 112]
    assert "is not used" in read_header(picture).notes[0]


def test_an_endless_profile_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "MOST_PROFILE_BYTES", 10)
    picture = png(Image.new("RGB", (1, 1)), icc_profile=swapped_profile() + b"0")
    assert "is not used" in read_header(picture).notes[0]


@pytest.mark.parametrize(
    ("background", "shown"),
    [(None, [255] * 3), ("black", [0] * 3), ("white", [255] * 3), ("#ff8001", [255, 128, 1])],
)
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_the_ground_shows_where_a_picture_is_transparent(
    background: str | None, shown: list[int], mode: str
) -> None:
    picture = png(Image.new("RGBA", (1, 1), (9, 9, 9, 0)).convert(mode))
    assert pixel(picture, background=background) == shown


def test_a_ground_is_a_colour() -> None:
    for wrong in ("red", "#fff", "#1234567", "rgb(0, 0, 0)"):
        expected = r"expected data\.background to be None or black, white or #rr"
        with pytest.raises(DrawError, match=expected):
            DataConfig(background=wrong)


def config(folder: Path, **fields: object) -> DataConfig:
    return DataConfig("images", str(folder), cache_dir=str(folder.parent / "cache"), **fields)


def drawings(folder: Path) -> Path:
    """White strokes on a transparent ground, as a drawing program writes them."""
    folder.mkdir()
    for number in range(4):
        image = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
        image.putpixel((number, 0), (255, 255, 255, 255))
        image.save(folder / f"{number}.png")
    return folder


def test_blank_pictures_are_said_and_the_ground_helps(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = drawings(tmp_path / "drawings")
    with caplog.at_level(logging.WARNING, "draw"):
        blank = check(config(folder), progress=False)
    assert f"4 pictures of {folder} have one colour alone, such as {folder}/0.png" in caplog.text
    assert "images of one colour alone: 4" in blank.warnings
    assert f"4 pictures, such as {folder}/0.png, have an alpha channel or a tr" in blank.source
    seen = check(config(folder, background="black"), progress=False)
    assert not any("one colour" in line for line in seen.warnings)
    assert load_splits(config(folder, background="black"), progress=False).train.binary


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_a_ground_without_effect_is_said(mode: str, tmp_path: Path) -> None:
    """Nor is an alpha channel that is opaque throughout called transparent."""
    (tmp_path / "grey").mkdir()
    for number in range(4):
        grey = Image.new("L", (4, 4), number)
        grey.convert(mode).save(tmp_path / "grey" / f"{number}.png")
    source = load_splits(config(tmp_path / "grey", background="black"), progress=False).train.source
    assert source.endswith("no picture is transparent: --data.background black has no effect")
    assert "are transparent" not in source
    assert ("have an alpha channel" in source) == (mode != "L")


def test_pages_are_said(tmp_path: Path) -> None:
    pages = [Image.new("L", (4, 4), shade) for shade in (10, 20, 30)]
    folder = tmp_path / "scans"
    folder.mkdir()
    for number in range(3):
        pages[0].save(folder / f"{number}.tiff", save_all=True, append_images=pages[1:])
    splits = load_splits(config(folder), progress=False)
    assert splits.train.images.max() == 10
    assert (
        f"3 pictures, such as {folder}/0.tiff, have several pages or frames, of which the first is "
        "used"
    ) in splits.train.source


@pytest.mark.parametrize(("side", "said"), [(6, "2 training pictures: so few"), (200, "10 times")])
def test_few_and_large_pictures_are_warned_of(
    side: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        Image.new("L", (side, side), number).save(folder / f"{number}.png")
    assert any(said in line for line in check(config(folder), progress=False).warnings)
    splits = load_splits(config(folder), progress=False)
    model = replace(TINY_MODEL, rows=side, columns=side)
    run = replace(TINY, model=model, data=config(folder))
    with caplog.at_level(logging.WARNING, "draw"):
        start(run, tmp_path / "run", splits.train, splits.validation).lock.release()
    assert said in caplog.text


@pytest.mark.parametrize(
    ("name", "ground", "invert", "warned"),
    [
        ("omniglot", 255, None, True),
        ("mnist", 255, None, True),
        ("mnist", 0, None, False),
        ("omniglot", 255, True, False),
        ("mnist", 255, False, False),  # somebody knows
        ("images", 255, None, False),  # photographs may be light
    ],
)
def test_dark_strokes_in_a_set_of_light_ones_are_warned_of(
    name: str, ground: int, invert: bool | None, warned: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(20):
        image = Image.new("L", (6, 6), ground)
        image.putpixel((number % 6, number // 6), 255 - ground)
        image.save(folder / f"{number}.png")
    asked = replace(config(folder), name=name, invert=invert)
    assert any("--data.invert" in line for line in check(asked, progress=False).warnings) == warned


def test_sets_of_the_package_need_no_advice(tmp_path: Path) -> None:
    digits = DataConfig("digits", cache_dir=str(tmp_path))
    assert check(digits, progress=False).warnings == ()


def test_the_table_of_sources_has_the_pictures_as_they_are(tmp_path: Path) -> None:
    """Numbers have no profile and no ground: what an array holds is what is learned."""
    values = np.arange(36, dtype=np.uint8).reshape(1, 6, 6)
    np.save(tmp_path / "x.npy", values)
    (picture,) = open_source(DataConfig("images", str(tmp_path))).splits()["all"]
    assert (decode(picture, Conversion((6, 6), "grey", background="black")) == values).all()
