"""What every kind of storage offers: pictures in splits, and what changes when they do."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from draw.data.store.decode import Picture


@runtime_checkable
class Source(Protocol):
    """Pictures as they are stored. To read another kind of storage, write one more of these."""

    def location(self) -> str:
        """Where the pictures are, the same whatever way it was asked for."""

    def description(self) -> str:
        """Where the pictures are, and what is to be said of it in reports."""

    def classes(self) -> tuple[str, ...] | None:
        """What the labels 0, 1, ... mean, if that is known."""

    def stamp(self) -> str:
        """Changes whenever the content may have; cheap, asked for before every use."""

    def fingerprint(self) -> str:
        """Hash of the content; may read all of it."""

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """The pictures of each stored split, in an order that is always the same."""

    def remarks(self) -> tuple[str, ...]:
        """What reports should say of the pictures, once `splits` has been gone through."""
