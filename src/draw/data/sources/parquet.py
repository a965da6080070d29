"""Parquet files as on the Hugging Face Hub, or a single one, read through `datasets`."""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from draw.data.sources.cards import CARDS, INFOS, configurations, refuse_leading_out
from draw.data.sources.columns import Columns
from draw.data.sources.source import Place, Source
from draw.data.sources.tree import FileEntry, digest_files, found_file, kinds, stamp_files
from draw.data.store.decode import SUFFIXES, Picture
from draw.data.store.splits import split_by_name, split_of
from draw.errors import DataError
from draw.terminal import one_line

logger = logging.getLogger("draw")


def is_shard(file: FileEntry) -> bool:
    """Whether a file is one of parquet."""
    return file.path.suffix.lower() == ".parquet"


def open_parquet(place: Place) -> Source | None:
    """Open the pictures of parquet files (see `Opener`)."""
    if not any(map(is_shard, place.files)):
        return None
    with explain_errors(place.path):
        sets = configurations(place.folder) if place.is_folder else {}
    if place.config is not None or (len(sets) > 1 and not any(sets.values())):
        place.choose(sets or ("default",))
    return ParquetFolder(place)


def _is_of(file: FileEntry, split: str) -> bool:
    return file.parts[0] == split or file.path.name.startswith((f"{split}-", f"{split}."))


def _is_picture(file: FileEntry) -> bool:
    return file.path.suffix.lower() in SUFFIXES


def _by_split(shards: list[FileEntry]) -> dict[str, list[str]]:
    """Shards by the splits that their names tell of; all are of train where none tells of any."""
    found: dict[str | None, list[str]] = {}
    for file in shards:
        told = split_of((*file.parts[:-1], file.path.stem), one_line(file.path))
        found.setdefault(told, []).append("/".join(file.parts))
    named = {split: sorted(names) for split, names in found.items() if split is not None}
    return named or {"train": sorted(found[None])}


@dataclass(frozen=True)
class ParquetFolder:
    """A source (see `Source`): parquet shards named by split, in Hub layout.

    The column of pictures is found by its type, the labels by type or name. Shards are streamed:
    nothing is copied, and pictures are decoded here so that errors can name shard and row. What a
    row or a card names is read only where it lies in the folder.
    """

    place: Place
    """Where they lie. Where the splits have other names (`Place.named`), these are looked for in
    the names of shards and subfolders; else, and where no shard has such a name, splits are those
    that `datasets` finds, which knows train, validation and test alone."""

    @property
    def folder(self) -> Path:
        """Folder that all paths are relative to."""
        return self.place.folder

    @property
    def files(self) -> tuple[FileEntry, ...]:
        """All files of the place."""
        return self.place.files

    def location(self) -> str:
        """Full path of the folder, and the configuration."""
        return self.place.location()

    def description(self) -> str:
        """The folder, and how many files but shards, cards and pictures are passed over."""
        return self.place.description(self._that_matter)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if the shards have them; texts as labels are their own."""
        with explain_errors(self.place.path):
            return self._columns.classes

    @cached_property
    def _columns(self) -> Columns:
        features = next(iter(self._streams.values())).features or {}
        return Columns(self.folder, features, self._streams.values)

    def stamp(self) -> str:
        """Stamp that changes with the shards, their cards, and pictures that rows may name."""
        return stamp_files(self._that_matter)

    def fingerprint(self) -> str:
        """SHA-256 of the relative paths and bytes of what `stamp` is of."""
        return digest_files(self._that_matter) + f" {self.place.config or ''}".rstrip()

    @property
    def _that_matter(self) -> tuple[FileEntry, ...]:
        """Shards, pictures beside, and files of headers, which may say how shards are split."""
        cards = [self.folder / name for name in (*CARDS, INFOS)]
        return (
            *(f for f in self.files if is_shard(f) or _is_picture(f)),
            *(found_file(card) for card in cards if os.path.lexists(card)),
        )

    def splits(self) -> dict[str, Iterator[Picture]]:
        """Yield the pictures of each split, in stored order."""
        return {name: self._pictures(name) for name in self._streams}

    def remarks(self) -> tuple[str, ...]:
        """Remarks on columns that are not used, shards of no split, and pictures of no row."""
        pictures = [
            file
            for file in self.files
            if _is_picture(file) and os.path.realpath(file.path) not in self._columns.picture_paths
        ]
        line = f"pictures that no row names, not used: {kinds(pictures)}"
        return (*self._columns.remarks(), *self._strays, *([line] if pictures else []))

    @cached_property
    def _builder(self) -> Any:
        import datasets

        with quiet(), explain_errors(self.folder), tempfile.TemporaryDirectory() as scratch:
            refuse_leading_out(self.folder)
            builder = datasets.load_dataset_builder(
                str(self.folder.resolve()),  # "." has no name, and it wants one
                self.place.config,
                data_files=self._shards_by_name(),
                cache_dir=scratch,
            )
            self._refuse_others(builder.config.data_files)
            return builder

    def _refuse_others(self, data_files: Mapping[Any, Iterable[Any]]) -> None:
        """Raises a `DataError` about files to read that are no shards of the folder."""
        roots = {str(self.folder), str(self.folder.resolve()), os.path.abspath(self.folder)}
        shards = [file.parts for file in self.files if is_shard(file)]
        ours = {os.path.join(root, *parts) for root in roots for parts in shards}
        named = (str(file) for files in data_files.values() for file in files)
        others = [file for file in named if file not in ours]
        if others:
            raise DataError(
                f"{self.folder}: expected parquet files of this folder, but it names "
                f"{one_line(others[0])}, which is not read; put the file into the folder, or mend "
                f"the header of {' or '.join(CARDS)}"
            )

    def _shards_by_name(self) -> dict[str, list[str]] | None:
        shards = [file for file in self.files if is_shard(file)]
        if not self.place.is_folder:
            return {split_by_name(self.place.path.stem) or "train": ["/".join(shards[0].parts)]}
        found = {
            split: ["/".join(file.parts) for file in shards if _is_of(file, split)]
            for split in self.place.split_names
        }
        found = {split: names for split, names in found.items() if names}
        others = any(not is_shard(file) and file.parts != ("README.md",) for file in self.files)
        if found or not others or configurations(self.folder):
            return found or None
        return _by_split(shards)  # datasets would read what there is most of

    @cached_property
    def _strays(self) -> tuple[str, ...]:
        """A line about shards that are in no split, if there are any."""
        used = {parts for files in self._relative.values() for parts in files}
        strays = [file for file in self.files if is_shard(file) and file.parts not in used]
        return (f"shards of no split, not used: {kinds(strays)}",) if strays else ()

    @cached_property
    def _relative(self) -> dict[str, list[tuple[str, ...]]]:
        """The shards of each split, by their relative paths.

        Raises:
            DataError: the names on the way to one are of another split than the one it is put in.
        """
        roots = self.folder, self.folder.resolve()
        found: dict[str, list[tuple[str, ...]]] = {}
        for split, files in self._builder.config.data_files.items():
            paths = [Path(str(file)) for file in files]
            inside = [p.relative_to(r) for p in paths for r in roots if p.is_relative_to(r)]
            found[str(split)] = [path.parts for path in dict.fromkeys(inside)]
            for path in inside:
                told = split_of((*path.parts[:-1], path.stem), str(path))
                if told is not None and told != (split_by_name(str(split)) or "train"):
                    raise DataError(
                        f"{self.folder}: expected shards whose names tell of their split, as "
                        f"train-00000-of-00001.parquet does, but datasets takes {path}, which is "
                        f"of {told} by its name, for one of {split}; rename it"
                    )
        return found

    @cached_property
    def _streams(self) -> dict[str, Any]:
        with quiet(), explain_errors(self.folder):
            for remark in self._strays:
                logger.warning("%s: %s", self.folder, remark)
            return {str(name): s for name, s in self._builder.as_streaming_dataset().items()}

    def _pictures(self, split: str) -> Iterator[Picture]:
        with explain_errors(self.place.path):
            stream = self._columns.stored_pictures(self._streams[split])
            shards = self._shard_names(split, stream.num_shards)
        for index, shard in enumerate(shards):
            with explain_errors(self.folder / shard):
                part = stream.shard(num_shards=len(shards), index=index)
                yield from self._columns.pictures(part, shard)

    def _shard_names(self, split: str, shards: int) -> list[str]:
        files = [Path(file) for file in self._builder.config.data_files[split]]
        if len(files) != shards:
            return [f"{split} (part {index + 1} of {shards})" for index in range(shards)]
        root = self.folder.resolve()
        return [one_line(f.relative_to(root) if f.is_relative_to(root) else f) for f in files]


@contextmanager
def explain_errors(path: Path) -> Iterator[None]:
    """Turns what `datasets` and parquet raise into a `DataError` about the path."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # whatever a damaged shard or an odd layout makes them raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: datasets cannot read it as parquet in the Hub's layout ({reason}); "
            "expected files such as train-00000-of-00001.parquet; fetch or write them again"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars of `datasets` away; ours is enough."""
    import datasets

    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()
