"""One picture of every kind to uint8 pixels."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from draw.data import DataError
from draw.data.store.decode import MAX_PIXELS, Conversion, Picture, decode, read_header

GREY = Conversion((2, 3), "grey")
COLOUR = Conversion((2, 3), "colour")
RAMP = np.array([[0, 51, 102], [153, 204, 255]], dtype=np.uint8)


def png(image: Image.Image, kind: str = "PNG", **options: object) -> Picture:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return Picture("picture", stream.getvalue(), None)


def from_bytes(data: bytes) -> Picture:
    return Picture("shard, row 17", data, None)


def forged_png(columns: int, rows: int) -> bytes:
    """The header of a PNG of any size, and no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_grey_is_untouched() -> None:
    image = decode(png(Image.fromarray(RAMP)), GREY)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RAMP[None])


def test_grey_becomes_colour_and_back() -> None:
    image = decode(png(Image.fromarray(RAMP)), COLOUR)
    np.testing.assert_array_equal(image, np.stack([RAMP] * 3))
    again = decode(png(Image.fromarray(image.transpose(1, 2, 0).copy())), GREY)
    np.testing.assert_array_equal(again, RAMP[None])


def test_colour_keeps_its_channels() -> None:
    pixels = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    image = decode(png(Image.fromarray(pixels)), COLOUR)
    np.testing.assert_array_equal(image, pixels.transpose(2, 0, 1))


def test_one_bit_is_0_or_255() -> None:
    bits = np.array([[0, 1, 0], [1, 1, 0]], dtype=bool)
    picture = png(Image.fromarray(bits))
    assert read_header(picture)[:3] == ((2, 3), "1", True)
    np.testing.assert_array_equal(decode(picture, GREY)[0], bits * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled(kind: str) -> None:
    values = RAMP.astype(np.uint16) * 257
    values[0, 1] += 128  # halfway between 51 and 52: up to 127 more still rounds down
    values[0, 2] += 129
    picture = png(Image.fromarray(values), kind)
    expected = RAMP.copy()
    expected[0, 2] += 1
    assert read_header(picture).grey
    np.testing.assert_array_equal(decode(picture, GREY)[0], expected)


def test_floats_of_0_to_1_are_scaled_and_others_refused() -> None:
    picture = png(Image.fromarray(RAMP.astype(np.float32) / 255), "TIFF")
    np.testing.assert_array_equal(decode(picture, GREY)[0], RAMP)
    with pytest.raises(DataError, match="from 0 to 255, where 0 to 1 is understood"):
        decode(png(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), GREY)
    nan = np.full((2, 3), np.nan, dtype=np.float32)
    with pytest.raises(DataError, match="where 0 to 1 is understood"):
        decode(png(Image.fromarray(nan), "TIFF"), GREY)


def test_whole_numbers_of_32_bits_are_refused() -> None:
    with pytest.raises(DataError, match="white is not known; save it with 8 or 16 bits"):
        decode(png(Image.fromarray(RAMP.astype(np.int32)), "TIFF"), GREY)


def test_transparent_is_laid_over_white() -> None:
    pixels = np.zeros((2, 3, 4), dtype=np.uint8)
    pixels[0, :, 3] = 255  # the first row is opaque black, the second transparent black
    for conversion in (GREY, COLOUR):
        image = decode(png(Image.fromarray(pixels)), conversion)
        assert (image[:, 0] == 0).all()
        assert (image[:, 1] == 255).all()
    half = Image.new("LA", (3, 2), (0, 51))
    assert (decode(png(half), GREY) == 204).all()
    assert read_header(png(half)).grey


def test_palette_and_its_transparency() -> None:
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 200, 100, 50, 9, 9, 9])
    palette.putpixel((0, 0), 2)
    picture = png(palette)
    assert read_header(picture)[:3] == ((2, 3), "P", False)
    image = decode(picture, COLOUR)
    np.testing.assert_array_equal(image[:, 1, 1], [200, 100, 50])
    np.testing.assert_array_equal(image[:, 0, 0], [9, 9, 9])
    for transparency in (2, b"\xff\xff\x00"):
        image = decode(png(palette, transparency=transparency), COLOUR)
        np.testing.assert_array_equal(image[:, 1, 1], [200, 100, 50])
        np.testing.assert_array_equal(image[:, 0, 0], [255, 255, 255])


def test_a_palette_of_greys_is_grey() -> None:
    palette = Image.new("P", (3, 2), 1)
    palette.putpalette([0, 0, 0, 7, 7, 7])
    assert read_header(png(palette)).grey
    assert (decode(png(palette), GREY) == 7).all()


def test_a_transparent_colour_of_rgb() -> None:
    image = Image.new("RGB", (3, 2), (1, 2, 3))
    image.putpixel((0, 0), (5, 5, 5))
    pixels = decode(png(image, transparency=(5, 5, 5)), COLOUR)
    np.testing.assert_array_equal(pixels[:, 0, 0], [255, 255, 255])
    np.testing.assert_array_equal(pixels[:, 1, 1], [1, 2, 3])


def test_cmyk_and_ycbcr_jpeg() -> None:
    red = decode(png(Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "JPEG", quality=100), COLOUR)
    assert red[0].min() > 230
    assert red[1:].max() < 40
    blue = decode(png(Image.new("RGB", (3, 2), (0, 0, 255)), "JPEG", quality=100), COLOUR)
    assert blue[2].min() > 245
    assert blue[:2].max() < 10


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("L", (3, 2), value) for value in (10, 200)]
    picture = png(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode(picture, GREY) == 10).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    stored = np.zeros((32, 16), dtype=np.uint8)
    stored[:16, :8] = 255  # the first quarter as stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    lossless = {"lossless": True} if kind == "WEBP" else {}
    picture = png(Image.fromarray(stored), kind, exif=exif, **lossless)
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: stored.T,
        6: stored.T[:, ::-1],
        7: stored.T[::-1, ::-1],
        8: stored.T[::-1],
    }[orientation]
    assert read_header(picture).size == upright.shape
    pixels = decode(picture, Conversion(upright.shape, "grey"))[0]
    np.testing.assert_allclose(pixels, upright, atol=8)


def test_inverted() -> None:
    conversion = Conversion((2, 3), "grey", invert=True)
    np.testing.assert_array_equal(decode(png(Image.fromarray(RAMP)), conversion)[0], 255 - RAMP)


def test_fits_show_the_right_part() -> None:
    wide = np.zeros((4, 12, 3), dtype=np.uint8)
    wide[:, :4, 0] = wide[:, 4:8, 1] = wide[:, 8:, 2] = 255  # red, green, blue squares
    picture = png(Image.fromarray(wide))
    crop = decode(picture, Conversion((4, 4), "colour", "crop"))
    assert (crop[1] == 255).all()
    assert (crop[[0, 2]] == 0).all()
    pad = decode(picture, Conversion((12, 12), "colour", "pad"))
    np.testing.assert_array_equal(pad[:, 4:8], wide.transpose(2, 0, 1))
    assert (pad[:, :4] == 0).all()
    assert (pad[:, 8:] == 0).all()
    stretch = decode(picture, Conversion((8, 3), "colour", "stretch"))
    assert stretch[0, :, 0].min() > 200
    assert stretch[1, :, 1].min() > 200
    assert stretch[2, :, 2].min() > 200


def test_a_large_jpeg_is_decoded_at_a_fraction_and_looks_the_same() -> None:
    blocks = np.random.default_rng(0).integers(0, 256, (30, 45), dtype=np.uint8)
    image = Image.fromarray(blocks.repeat(10, axis=0).repeat(10, axis=1))
    for fit in ("crop", "pad", "stretch"):
        conversion = Conversion((20, 20), "grey", fit)
        exact = decode(png(image), conversion).astype(int)
        drafted = decode(png(image, "JPEG", quality=98), conversion).astype(int)
        assert 0 < np.abs(exact - drafted).max() <= 20


def test_another_size_needs_a_fit() -> None:
    with pytest.raises(DataError, match=r"picture: is 2x3 pixels, expected 4x4.*--data\.fit crop"):
        decode(png(Image.fromarray(RAMP)), Conversion((4, 4), "grey"))


side = st.integers(1, 40)


@settings(deadline=None, max_examples=60)
@given(
    rows=side,
    columns=side,
    size=st.tuples(side, side),
    mode=st.sampled_from(["grey", "colour"]),
    stored=st.sampled_from(["1", "L", "LA", "RGB", "RGBA", "P"]),
    fit=st.sampled_from(["crop", "pad", "stretch"]),
)
def test_any_fit_gives_the_size(rows, columns, size, mode, stored, fit) -> None:
    picture = png(Image.new(stored, (columns, rows)))
    image = decode(picture, Conversion(size, mode, fit))
    assert image.shape == (1 if mode == "grey" else 3, *size)
    assert image.dtype == np.uint8


@pytest.mark.parametrize("size", [(1, 4000), (4000, 1)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_extreme_shapes(size: tuple[int, int], fit: str) -> None:
    image = decode(png(Image.new("L", size, 255)), Conversion((28, 28), "grey", fit))
    assert image.max() == 255


def test_empty() -> None:
    with pytest.raises(DataError, match=r"row 17: is empty \(0 bytes\)"):
        read_header(from_bytes(b""))


def test_empty_heic_and_missing_files(tmp_path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    for name, reason in {
        "empty.png": "is empty",
        "phone.HEIC": "HEIC pictures cannot be read; convert",
        "gone.png": "does not exist, or is a link to nothing",
    }.items():
        with pytest.raises(DataError, match=f"{name}: {reason}"):
            read_header(Picture(str(tmp_path / name), tmp_path / name, None))


def test_no_picture_at_all() -> None:
    with pytest.raises(DataError, match="row 17: is no picture of a known format"):
        read_header(from_bytes(b"<html>not found</html>"))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])
def test_truncated(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    data = png(Image.fromarray(noise), kind).data
    with pytest.raises(DataError, match=r"row 17: is (damaged|no picture)"):
        decode(from_bytes(data[: len(data) // 2]), Conversion((64, 64), "grey"))


@pytest.mark.parametrize("columns", [MAX_PIXELS // 1000 + 1, 100_000, 1_000_000])
def test_bombs_are_refused_by_their_header(columns: int) -> None:
    with pytest.raises(DataError, match="row 17: has more than 64,000,000 pixels"):
        read_header(from_bytes(forged_png(columns, 1000)))


def test_a_large_header_within_bounds_is_read() -> None:
    header = read_header(from_bytes(forged_png(MAX_PIXELS // 1000, 1000)))
    assert header.size == (1000, MAX_PIXELS // 1000)


@pytest.mark.parametrize("columns", [15, 30])
def test_a_lower_limit_of_pillow_counts(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match="row 17: has more than 100 pixels"):
        read_header(from_bytes(forged_png(columns, 10)))


def test_postscript_is_not_run() -> None:
    with pytest.raises(DataError, match="is no picture of a known format"):
        read_header(png(Image.new("RGB", (3, 2)), "EPS"))


def test_pillow_is_left_as_it_was() -> None:
    from PIL import ImageFile

    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    decode(png(Image.fromarray(RAMP)), GREY)
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop"])
def test_what_is_no_regular_file_is_never_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case "loop":
            path.symlink_to(path.name)
    with pytest.raises(
        DataError, match=r"picture\.png.*(no regular file|a folder; name|symbolic links)"
    ):
        decode(Picture(path.name, path, None), Conversion((2, 2), "grey"))
