"""The interface of every kind of storage: pictures in splits, and a stamp of their content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from draw.data.sources.tree import FileEntry, kinds
from draw.data.store.decode import Picture
from draw.errors import DataError

HUB_STAMP = "hub"
"""The stamp of what is fetched once, and then used without asking again."""


@runtime_checkable
class Source(Protocol):
    """Interface of pictures as they are stored. To read another kind of storage, write one more."""

    def location(self) -> str:
        """Place of the pictures, the same whatever way it was asked for."""

    def description(self) -> str:
        """Describe for reports where the pictures are, and what is to be known of the place."""

    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels 0, 1, ..., if they are known."""

    def stamp(self) -> str:
        """Stamp that changes whenever the content may have; cheap, asked for before every use."""

    def fingerprint(self) -> str:
        """Hash of the content; may read all of it."""

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the pictures of each stored split, in an order that is always the same."""

    def remarks(self) -> tuple[str, ...]:
        """Remarks on the pictures for reports, once `splits` has been gone through."""


@dataclass(frozen=True)
class Place:
    """A folder or a file that images are looked for in."""

    path: Path
    """Path as the user gave it."""
    folder: Path
    """The folder, or the one that the file is in."""
    files: tuple[FileEntry, ...]
    """Files below the folder, or the one file."""
    config: str | None = None
    """Which of several sets in it is asked for (--data.config)."""
    split_names: tuple[str, ...] = ()
    """What its splits are called, where that is not train, validation and test."""
    boxes: bool = False
    """Whether the boxes of digits in its pictures are asked for."""

    @property
    def is_folder(self) -> bool:
        """Whether the place is a folder, not a file."""
        return self.path == self.folder

    def location(self) -> str:
        """Full path of the place, and the set in it."""
        return str(self.path.resolve()) + (f" {self.config}" if self.config else "")

    def description(self, used: tuple[FileEntry, ...]) -> str:
        """Describe the path, and which of the files in it are passed over.

        Args:
            used: files that are not passed over.
        """
        name = str(self.path) + (f", {self.config}" if self.config else "")
        others = [file for file in self.files if file not in set(used)]
        return name + (f" (passed over: {kinds(others)})" if others else "")

    def choose(self, sets: Iterable[str]) -> str:
        """Name of the set that is asked for, or the only one.

        Args:
            sets: names of all sets that there are.

        Raises:
            DataError: there are several sets and none is asked for, or the one that is asked for is
                not there.
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
        """Refuse a choice among several sets where there is but one.

        Raises:
            DataError: if a set is asked for.
        """
        if self.config is not None:
            self.choose(["default"])


@runtime_checkable
class Opener(Protocol):
    """A function that finds out whether pictures lie somewhere in one format, and opens them."""

    def __call__(self, place: Place) -> Source | None:
        """Open the pictures of a place; None if there are none in this format.

        Raises:
            DataError: there are pictures that cannot be used.
        """
