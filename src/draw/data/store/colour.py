"""Colours of pictures as they are meant: profiles to sRGB, transparency over a ground."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, ImageColor

from draw.terminal import one_line

WITH_ALPHA = {"RGBA": "RGB", "LA": "L"}
MOST_PROFILE_BYTES = 2**24
ROUNDING = 2
"""Levels of 255 by which two profiles of the same colours may differ."""
PALETTE_MODES = ("P", "PA")


def rgb_of(background: str) -> tuple[int, int, int]:
    """Colour of a ground, from its name or from #rrggbb."""
    red, green, blue = ImageColor.getrgb(background)[:3]
    return red, green, blue


def profile_note(image: Image.Image) -> str | None:
    """What is done with the colour profile of a picture, said of several; None if nothing is."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes):
        return None
    mode = _plain_mode(image)
    if _transform(profile, mode) is None:
        return "have a colour profile that is damaged or not one of their mode, and is not used"
    return (
        None if _is_srgb(profile, mode) else f"have colours in {_name(profile)}, turned into sRGB"
    )


def to_srgb(image: Image.Image) -> Image.Image:
    """A picture in sRGB, where it comes with another profile that its mode can have."""
    profile, mode = image.info.get("icc_profile"), _plain_mode(image)
    transform = _transform(profile, mode) if isinstance(profile, bytes) else None
    if transform is None or _is_srgb(profile, mode):
        return image
    if image.mode in PALETTE_MODES:
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    alpha = image.getchannel("A") if image.mode in WITH_ALPHA else None
    converted = transform.apply(image if alpha is None else image.convert(WITH_ALPHA[image.mode]))
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _plain_mode(image: Image.Image) -> str:
    """Mode of a picture without its palette and transparency."""
    return "RGB" if image.mode in PALETTE_MODES else WITH_ALPHA.get(image.mode, image.mode)


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes, mode: str) -> bool:
    """Whether a profile changes no colour by more than rounding; its name says little."""
    transform = _transform(profile, mode)
    if transform is None or mode not in ("L", "RGB"):
        return False
    if mode == "L":
        probe = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        steps = range(0, 256, 51)
        colours = bytes(value for r in steps for g in steps for b in steps for value in (r, g, b))
        probe = Image.frombytes("RGB", (len(steps) ** 3, 1), colours)
    before = np.asarray(probe.convert("RGB"), np.int16)
    return int(np.abs(np.asarray(transform.apply(probe), np.int16) - before).max()) <= ROUNDING


def _name(profile: bytes) -> str:
    try:
        name = ImageCms.getProfileDescription(_parse(profile)).strip()
    except ImageCms.PyCMSError:
        name = ""
    return f"the profile {one_line(name)}" if name else "a profile without a name"


def _parse(profile: bytes) -> ImageCms.ImageCmsProfile:
    if len(profile) > MOST_PROFILE_BYTES:
        raise ImageCms.PyCMSError("too large")
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise ImageCms.PyCMSError(str(error)) from error


@lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile to sRGB; None if pictures of a mode cannot have it."""
    try:
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.buildTransform(_parse(profile), srgb, mode, "RGB")
    except (ImageCms.PyCMSError, ValueError):
        return None


def lay_over(image: Image.Image, background: str) -> Image.Image:
    """Lay a picture over a ground, which shows where it is transparent.

    Args:
        image: picture in any mode that may be transparent.
        background: colour of the ground, from `rgb_of`.
    """
    image = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, (*rgb_of(background), 255))
    return Image.alpha_composite(ground, image)
