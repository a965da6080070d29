"""Where images come from: a folder, the Hugging Face Hub, or this computer's own digits."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

from draw import hub
from draw.config import DataConfig
from draw.data.decode import SUFFIXES, Picture
from draw.data.digits import Digits
from draw.data.errors import DataError
from draw.data.folder import PictureFolder, find_files
from draw.data.parquet import ParquetFolder, is_shard
from draw.data.sets import known_set
from draw.errors import DrawError


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


def open_source(config: DataConfig) -> Source:
    """Finds out where the images of a configuration are. The Hub is not asked before it must be.

    Raises:
        DataError: the set is unknown, needs a path, or the path cannot be used.
    """
    known = known_set(config.name)
    if config.path is not None:
        return _from_path(config.path)
    if config.name == "digits":
        return Digits()
    if known.hub is None:
        raise DataError(f"{config.name} needs a path: {known.remedy}")
    return Hub(known.hub)


def _from_path(path: str) -> Source:
    if "://" in path:
        raise DataError(
            f"expected data.path to be a local folder or a Hub name (owner/name), got the address "
            f"{path}; download and unpack it, then pass its folder"
        )
    folder = Path(path).expanduser()
    try:
        if folder.is_dir():
            return open_folder(folder)
        exists = folder.exists()
    except OSError as error:
        raise DataError(
            f"expected data.path to be a folder that can be read, got {path}: {error.strerror}"
        ) from error
    if exists:
        raise DataError(
            f"expected data.path to be a folder, got the file {path}; pass the folder it is in, or "
            "unpack it if it is an archive"
        )
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", path):
        return Hub(path)
    raise DataError(
        f"expected data.path to be a folder of pictures or of parquet files, or a Hub name "
        f"(owner/name), but there is no folder {folder.absolute()}; check the spelling"
    )


def open_folder(folder: Path) -> Source:
    """A folder of parquet files if there are any in it, else one of pictures."""
    files = find_files(folder)
    if any(is_shard(file) for file in files):
        return ParquetFolder(folder, files)
    return PictureFolder(folder, files)


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face Hub: fetched when needed, then read as any folder.

    What is fetched stays in the Hub's own cache, shared with other programs.
    """

    name: str

    def location(self) -> str:
        """The Hub's name."""
        return f"hub {self.name}"

    def description(self) -> str:
        """The Hub's name."""
        return f"{self.name} (Hugging Face Hub)"

    def classes(self) -> tuple[str, ...] | None:
        """As in the fetched folder."""
        return self._folder.classes()

    def stamp(self) -> str:
        """Always the same: once prepared, a set is used without asking the Hub again."""
        return "hub"

    def fingerprint(self) -> str:
        """As of the fetched folder."""
        return self._folder.fingerprint()

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """As in the fetched folder."""
        return self._folder.splits()

    @cached_property
    def _folder(self) -> Source:
        return open_folder(fetch(self.name))


def fetch(name: str) -> Path:
    """Downloads a data set's parquet files or pictures from the Hub.

    Raises:
        DataError: as `draw.hub.fetch`.
    """
    patterns = ["*.parquet", "README.md", *(f"*{suffix}" for suffix in sorted(SUFFIXES))]
    choices = (
        "Choose one:\n"
        "  --data.path FOLDER with your own copy of it (its parquet files, or pictures)\n"
        "  --data.name digits, which needs no network\n"
        "  `draw data prepare` with the same options, once while online; then it needs no "
        "network any more"
    )
    try:
        return hub.fetch(name, "dataset", patterns, choices)
    except DrawError as error:
        raise DataError(str(error)) from error
