"""What every kind of storage offers: pictures in splits, and what changes when they do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from draw.data.sources.tree import Found, kinds
from draw.data.store.decode import Picture
from draw.errors import DataError


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


@dataclass(frozen=True)
class Place:
    """A folder or a file that images are looked for in."""

    path: Path
    """As the user gave it."""
    folder: Path
    """The folder, or the one that the file is in."""
    files: tuple[Found, ...]
    """Those below the folder, or the one file."""
    config: str | None = None
    """Which of several sets in it is asked for (--data.config)."""
    named: tuple[str, ...] = ()
    """What its splits are called, where that is not train, validation and test."""
    boxes: bool = False
    """Whether the boxes of digits in its pictures are asked for."""

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, not a file."""
        return self.path == self.folder

    def location(self) -> str:
        """The full path, and which set of it."""
        return str(self.path.resolve()) + (f" {self.config}" if self.config else "")

    def description(self, used: tuple[Found, ...]) -> str:
        """The path, and what is passed over of the files in it.

        Args:
            used: the files that are not.
        """
        name = str(self.path) + (f", {self.config}" if self.config else "")
        others = [file for file in self.files if file not in set(used)]
        return name + (f" (passed over: {kinds(others)})" if others else "")

    def choose(self, sets: Iterable[str]) -> str:
        """The name of the set that is asked for, or the only one.

        Args:
            sets: the names of all that there are.

        Raises:
            DataError: there are several and none is asked for, or the one that is asked for is not
                there.
        """
        names = sorted(set(sets))
        if self.config in names:
            return self.config
        if self.config is None and len(names) == 1:
            return names[0]
        many = f"{self.path} has {len(names)} sets: {', '.join(names)}"
        if self.config is None:
            raise DataError(f"expected one set of images, but {many}; pass --data.config NAME")
        if len(names) == 1:
            many = f"{self.path} has one set alone, which needs no name"
        raise DataError(f"expected a set named {self.config} (--data.config), but {many}")

    def refuse_config(self) -> None:
        """See that no one of several sets is asked for, where there is but one.

        Raises:
            DataError: if one is.
        """
        if self.config is not None:
            self.choose(["default"])


@runtime_checkable
class Opener(Protocol):
    """Tells whether pictures lie somewhere in one format, and reads them."""

    def __call__(self, place: Place) -> Source | None:
        """The pictures of a place; None if there are none in this format.

        Raises:
            DataError: there are some, which cannot be used.
        """
