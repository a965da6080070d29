"""Whether binary images are those of published text files, bit by bit and in their order."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

IMAGES_AT_ONCE = 1000


@dataclass(frozen=True)
class PublishedFile:
    """A file that the authors of a data set publish."""

    split: str
    address: str
    size: int
    """Size of the file in bytes."""
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file, the last part of its address."""
        return self.address.rpartition("/")[2]


def text_sum(images: UInt8[np.ndarray, "n channels rows columns"]) -> str:
    """SHA-256 of binary images as the text of an `.amat` file.

    An image a line: its pixels as the digits 0 and 1 with blanks between.

    Args:
        images: each pixel 0 or 255.
    """
    digest = hashlib.sha256()
    for first in range(0, len(images), IMAGES_AT_ONCE):
        block = images[first : first + IMAGES_AT_ONCE]
        text = np.full((len(block), 2 * block[0].size), ord(" "), np.uint8)
        text[:, ::2] = ord("0") + (block.reshape(len(block), -1) > 0)
        text[:, -1] = ord("\n")
        digest.update(text.data)
    return digest.hexdigest()
