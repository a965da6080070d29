"""The source of a config's images: a folder or file, the Hub, or this computer's own digits."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from draw import hub
from draw.config.data import DataConfig
from draw.data.sets.digits import Digits
from draw.data.sets.svhn import HouseNumbers
from draw.data.sets.table import KnownSet, known_set
from draw.data.sources.labels import METADATA_FILES
from draw.data.sources.published import PublishedSet
from draw.data.sources.source import HUB_STAMP, Place, Source
from draw.data.sources.source_table import open_place
from draw.data.sources.tree import find_files, found_file
from draw.data.store.cache import cache_root
from draw.data.store.decode import SUFFIXES, Picture
from draw.errors import DataError, DrawError, did_you_mean
from draw.files import address_advice, paths_beside
from draw.terminal import one_line


def open_source(config: DataConfig) -> Source:
    """Find out where the images of a config are. The Hub is not asked before it must be.

    Raises:
        DataError: the set is unknown, needs a path, or the path cannot be used.
    """
    known = known_set(config.name)
    if config.path is not None:
        source = _from_path(config.path, known, config.config)
    elif config.name == "digits":
        _refuse_config(config)
        source = Digits()
    elif known.published_files:
        _refuse_config(config)
        folder = published_folder(config)
        source = PublishedSet(config.name, known.published_files, folder, known.remedy, open_place)
    elif known.hub is None:
        raise DataError(f"{config.name} needs a path: {known.remedy}")
    else:
        source = Hub(known.hub, known.folder, known.splits, config.config)
    return HouseNumbers(source, config.bad_boxes) if known.boxes else source


def _refuse_config(config: DataConfig) -> None:
    if config.config is not None:
        raise DataError(f"expected no --data.config for {config.name}, which is one set")


def published_folder(config: DataConfig) -> Path:
    """The folder that the published files of a known set are fetched into."""
    return cache_root(config) / "published" / config.name


def _from_path(path: str, known: KnownSet, config: str | None) -> Source:
    advice = address_advice(path)
    if advice is not None and "://" in path:
        raise DataError(
            f"expected data.path to be a local folder or a Hub name (owner/name), got the address "
            f"{path}; {advice}"
        )
    there = Path(path).expanduser()
    try:
        if there.is_dir():
            return open_folder(there, known.folder, known.splits, config, boxes=known.boxes)
        exists = there.exists()
    except OSError as error:
        raise DataError(
            f"expected data.path to be a folder that can be read, got {path}: {error.strerror}"
        ) from error
    if exists:
        files = (found_file(there),)
        return open_place(Place(there, there.parent, files, config, known.splits, known.boxes))
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", path) and not there.parent.exists():
        return Hub(path, config=config, no_folder=there)
    near = did_you_mean(path, paths_beside(there)) or "; check the spelling"
    raise DataError(
        f"expected data.path to be a folder or a file of images, or a Hub name (owner/name), but "
        f"there is no folder or file {there.absolute()}{near}"
    )


def open_folder(
    folder: Path,
    inner: str | None = None,
    splits: tuple[str, ...] = (),
    config: str | None = None,
    *,
    boxes: bool = False,
) -> Source:
    """Open the images in a folder, in whichever format they are.

    Args:
        folder: path of the folder.
        inner: the subfolder that holds the set, where there are others beside it.
        splits: names of its splits, where these are not train, validation and test.
        config: name of one of several sets in the folder.
        boxes: whether the boxes of digits in its pictures are asked for.
    """
    if inner is not None and (folder / inner).is_dir():
        folder /= inner
    return open_place(Place(folder, folder, find_files(folder), config, splits, boxes))


@dataclass(frozen=True)
class Hub:
    """A data set on the Hugging Face Hub: fetched when needed, then read as any folder.

    What is fetched stays in the Hub's own cache, shared with other programs.
    """

    name: str
    inner: str | None = None
    """Only folder of the repository to fetch, where it has others beside."""
    split_names: tuple[str, ...] = ()
    """What its splits are called, where that is not train, validation and test."""
    config: str | None = None
    """Which of its configurations."""
    no_folder: Path | None = None
    """What its name was first taken for, a folder that is not there."""

    def location(self) -> str:
        """Name of the repository on the Hub, and the part of it."""
        return " ".join(filter(None, ("hub", self.name, self.inner, self.config)))

    def description(self) -> str:
        """Name of the repository on the Hub."""
        return f"{self.name} (Hugging Face Hub)"

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes of the fetched folder."""
        return self._folder.classes()

    def stamp(self) -> str:
        """Stamp that never changes: once prepared, a set is used without asking the Hub again."""
        return HUB_STAMP

    def fingerprint(self) -> str:
        """Hash of the fetched folder's content."""
        return self._folder.fingerprint()

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the pictures of each split of the fetched folder."""
        return self._folder.splits()

    def remarks(self) -> tuple[str, ...]:
        """Remarks on the fetched folder."""
        return self._folder.remarks()

    @cached_property
    def _folder(self) -> Source:
        try:
            folder = fetch(self.name, self.inner)
        except DataError as error:
            if self.no_folder is None:
                raise
            missing = one_line(self.no_folder.absolute())
            raise DataError(
                f"there is no folder or file {missing}; taken for a name on the Hugging Face "
                f"Hub: {error}"
            ) from error
        return open_folder(folder, self.inner, self.split_names, self.config)


def fetch(name: str, inner: str | None = None) -> Path:
    """Download a data set's parquet files or pictures from the Hub.

    Args:
        name: owner/name of the repository.
        inner: the folder of it that holds the parquet files wanted; by default all there is.

    Raises:
        DataError: the Hub cannot be reached, has no such repository, or refuses it.
    """
    pictures = [f"*{suffix}" for suffix in sorted(SUFFIXES)]
    patterns = ["*.parquet", "README.md", *(f"*{name}" for name in METADATA_FILES), *pictures]
    if inner is not None:
        patterns = [f"{inner}/*.parquet"]
    choices = (
        "Choose one:\n"
        "  --data.path FOLDER with your own copy of it (its parquet files, or pictures)\n"
        "  --data.name digits, which needs no network\n"
        "  `draw data prepare` with the same path, size, mode and fit, once while online; then it "
        "needs no network any more"
    )
    try:
        return hub.fetch(name, "dataset", patterns, choices)
    except DrawError as error:
        raise DataError(str(error)) from error
