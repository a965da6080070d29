"""The handwritten digits of scikit-learn, 8x8 with 17 shades, made into 28x28 white on black."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from draw.data.store.decode import Picture

INNER, BORDER = 24, 2
BLACK, WHITE = 0.3, 0.8
"""Intensities below which a pixel is black and above which it is white: they make the enlarged
strokes crisp again."""


@dataclass(frozen=True)
class Digits:
    """A source (see `draw.data.sources.source.Source`) of 1,797 digits that needs no network."""

    def location(self) -> str:
        """The place of the digits, the same on every computer."""
        return "digits"

    def description(self) -> str:
        """Describe whose digits they are."""
        return "scikit-learn's digits, enlarged to 28x28"

    def classes(self) -> tuple[str, ...]:
        """Names of the classes: the digits 0 to 9."""
        return tuple("0123456789")

    def stamp(self) -> str:
        """Stamp that changes with scikit-learn and with how digits are enlarged."""
        return f"scikit-learn {version('scikit-learn')}, {INNER}+{BORDER}, {BLACK}-{WHITE}"

    def fingerprint(self) -> str:
        """SHA-256 of the enlarged pixels and labels."""
        digest = hashlib.sha256()
        for picture in self._pictures():
            digest.update(np.asarray(picture.data).tobytes() + b"%d" % (picture.label or 0))
        return digest.hexdigest()

    def splits(self) -> dict[str, Iterator[Picture]]:
        """Yield one split with all digits."""
        return {"all": self._pictures()}

    def remarks(self) -> tuple[str, ...]:
        """Return no remarks: there is nothing to report."""
        return ()

    def _pictures(self) -> Iterator[Picture]:
        from sklearn.datasets import load_digits

        bunch = load_digits()
        for index, (image, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
            yield Picture(f"digit {index}", enlarge(image / 16), int(label))


def enlarge(digit: Float[np.ndarray, "8 8"]) -> UInt8[np.ndarray, "28 28"]:
    """Interpolate a digit of intensities in 0..1, steepen its edges and put a border round it."""
    image = Image.fromarray(digit.astype(np.float32))
    smooth = np.asarray(image.resize((INNER, INNER), Image.Resampling.LANCZOS))
    crisp = np.clip((smooth - BLACK) / (WHITE - BLACK), 0, 1)
    return np.pad(np.rint(crisp * 255).astype(np.uint8), BORDER)
