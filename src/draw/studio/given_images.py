"""Images that the studio is given by name, besides those that its models learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from draw.config.data import DataConfig
from draw.data import DataError
from draw.data.load import at_hand, find_or_build
from draw.data.sources.open_source import open_source
from draw.errors import DrawError

LONGEST_NAME = 100
"""Most characters of a name."""
OWN = "the model's own"
"""Choice of the images that a model learned from; where these are not at hand, of what comes
nearest."""


@dataclass(frozen=True)
class GivenImages:
    """A folder or file of images, and its name on the page."""

    name: str
    path: str
    shape: tuple[int, int, int] | None = None
    """Channels, rows and columns of an image as it is; None where only a model's size makes them
    alike."""


@dataclass(frozen=True)
class ImageChoice:
    """Images on offer, and which of them is chosen."""

    images: tuple[GivenImages, ...] = ()
    name: str | None = None
    """Name of given images; None for the model's own or what comes nearest."""

    def candidates(self) -> tuple[GivenImages, ...]:
        """The given images that may be used: the chosen ones, or all in their order.

        Raises:
            DrawError: if there are none of that name.
        """
        if self.name in (None, OWN):
            return self.images
        found = tuple(one for one in self.images if one.name == self.name)
        if not found:
            names = ", ".join((OWN, *(one.name for one in self.images)))
            raise DrawError(f"expected images among {names}, got {self.name!r}")
        return found

    @property
    def is_own(self) -> bool:
        """Whether the model's own images come first."""
        return self.name in (None, OWN)


def given_images(texts: Sequence[str]) -> tuple[GivenImages, ...]:
    """Read what --data.path says, NAME=FOLDER or FOLDER, and decode images that were not yet.

    Args:
        texts: values of the option, in their order.

    Raises:
        DrawError: if there are no images at a path, or two have the same name.
    """
    given: dict[str, GivenImages] = {}
    for text in texts:
        one = _named(text)
        if one.name in given or one.name == OWN:
            raise DrawError(
                f"expected another name for each --data.path, got {one.name!r} twice; give one, as "
                f"in --data.path {one.name}-2={one.path}"
            )
        given[one.name] = replace(one, shape=_prepare(one))
    return tuple(given.values())


def _named(text: str) -> GivenImages:
    name, equals, path = text.partition("=")
    if not equals or Path(text).expanduser().exists():  # a folder may have = in its name
        name, path = Path(text).expanduser().resolve().name or text, text
    if not name.strip() or not path or len(name) > LONGEST_NAME:
        raise DrawError(
            f"expected --data.path to be FOLDER or NAME=FOLDER, got {text!r:.80}; for example "
            "--data.path mnist=../MNIST"
        )
    return GivenImages(name.strip(), path)


def _prepare(given: GivenImages) -> tuple[int, int, int] | None:
    """Decode images as they are, once, with a bar, and return their shape."""
    data = DataConfig(name="images", path=given.path)
    open_source(data)  # its words are better where there is nothing
    if not at_hand(data):
        raise DrawError(
            f"expected --data.path to be a folder or file on this computer, got {given.path}; "
            f"fetch it once: draw data prepare images --data.path {given.path}"
        )
    try:
        return find_or_build(data, ()).read(data.name, "test").stored_shape
    except DataError:  # of several sizes, say: they wait for a model that has one
        return None
