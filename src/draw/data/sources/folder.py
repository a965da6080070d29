"""A folder of pictures: which files count, which split and which class each belongs to."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from draw.data.sources.labels import METADATA_FILES, Labels, label_by_folder, read_labels
from draw.data.sources.source import Place, Source
from draw.data.sources.tree import FileEntry, digest_files, kinds, stamp_files
from draw.data.store.decode import SUFFIXES, Picture
from draw.data.store.splits import split_by_name, split_of
from draw.errors import DataError
from draw.terminal import one_line

logger = logging.getLogger("draw")


def open_pictures(place: Place) -> Source | None:
    """Open the pictures of a folder (see `Opener`)."""
    if not place.is_folder or not any(map(is_picture, place.files)):
        return None
    place.refuse_config()
    return PictureFolder(place.folder, place.files, place.split_names)


def is_picture(file: FileEntry) -> bool:
    """Whether a file is a picture by its name."""
    return file.path.suffix.lower() in SUFFIXES and file.stamp != "no file"


@dataclass(frozen=True)
class PictureFolder:
    """A source (see `Source`): a folder of pictures, at any depth.

    Splits are told by the names of folders at any depth (`split_by_name`), or else
    by those of all pictures, if these tell of two splits at least; without either, all pictures are
    one split. Labels are those of metadata.jsonl or metadata.csv; without such, the classes are the
    first folders, splits aside, that differ, if no picture lies outside them. Hidden files are
    passed over; so are files whose suffix is not a picture's, which are counted.
    """

    folder: Path
    files: tuple[FileEntry, ...]
    split_names: tuple[str, ...] = ()
    """Folders that are splits by these names, beside those of `split_by_name`."""

    @cached_property
    def _sorted_out(self) -> tuple[dict[str, tuple[FileEntry, ...]], tuple[FileEntry, ...]]:
        """The pictures of each split, and files that are passed over."""
        pictures, others = list[FileEntry](), list[FileEntry]()
        for file in self.files:
            (pictures if is_picture(file) else others).append(file)
        told = [self._told_by_folders(file) for file in pictures]
        if not any(told):
            told = self._told_by_names(pictures)
        if not any(told):
            return {"all": tuple(pictures)}, tuple(others)
        self._check_training(pictures, told)
        strays = [file for file, split in zip(pictures, told, strict=True) if split is None]
        if strays:
            logger.warning("%s: outside its splits, not used: %s", self.folder, kinds(strays))
        splits = {
            name: tuple(file for file, split in zip(pictures, told, strict=True) if split == name)
            for name in sorted(filter(None, set(told)))
        }
        return splits, (*others, *strays)

    def _told_by_folders(self, file: FileEntry) -> str | None:
        folders = file.parts[:-1]
        named = next((folder for folder in folders if folder in self.split_names), None)
        return split_of(folders, one_line(file.path)) or named

    def _told_by_names(self, pictures: list[FileEntry]) -> list[str | None]:
        """The split that each picture's own name tells of, where they tell of held-out ones too."""
        told = [split_by_name(file.path.stem) for file in pictures]
        if len(set(told) - {None}) < 2:  # a word alone may mean something else
            return [None] * len(told)
        if None in told:
            without = one_line(pictures[told.index(None)].path)
            named = Counter(split or "without" for split in told)
            counts = ", ".join(f"{count:,} {split}" for split, count in named.items())
            raise DataError(
                f"expected the names of all pictures in {self.folder} to tell of splits, or of "
                f"none, got {counts} ({without}); put each split into a folder of its own, or all "
                "into one that is called train, if the names mean something else"
            )
        return told

    def _check_training(self, pictures: list[FileEntry], told: list[str | None]) -> None:
        if "train" in told:
            return
        number = next(number for number, split in enumerate(told) if split is not None)
        raise DataError(
            f"expected training pictures in {self.folder}, but {one_line(pictures[number].path)} "
            f"is one of {told[number]} by the names on the way to it, and none is one of train; "
            "put training pictures into a folder train (and rename what is called so for another "
            "reason), or pass the folder to learn from as --data.path"
        )

    @property
    def _pictures(self) -> tuple[FileEntry, ...]:
        """Those of all splits."""
        return tuple(chain.from_iterable(self._sorted_out[0].values()))

    @property
    def _metadata(self) -> tuple[FileEntry, ...]:
        return tuple(file for file in self.files if _is_metadata(file))

    def location(self) -> str:
        """Full path of the folder."""
        return str(self.folder.resolve())

    def description(self) -> str:
        """The folder, and how many of its files were passed over."""
        others = [file for file in self._sorted_out[1] if not _is_metadata(file)]
        return str(self.folder) + (f" (passed over: {kinds(others)})" if others else "")

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, sorted."""
        return self._labels.classes

    @cached_property
    def _labels(self) -> Labels:
        """Those of metadata, or else by the names of folders."""
        pictures = [file.parts for file in self._pictures]
        read = read_labels({f.parts: f.path for f in self._metadata}, frozenset(pictures))
        labels = read
        if not read.of:
            labels = label_by_folder(pictures)
            labels = labels._replace(remarks=(*read.remarks, *labels.remarks))
        for remark in labels.remarks:
            logger.warning("%s: %s", self.folder, remark)
        return labels

    def stamp(self) -> str:
        """Stamp that changes with the names, sizes and times of the pictures and their metadata."""
        return stamp_files((*self._pictures, *self._metadata))

    def fingerprint(self) -> str:
        """SHA-256 of the relative paths and bytes of the pictures and their metadata."""
        return digest_files((*self._pictures, *self._metadata))

    def splits(self) -> dict[str, Iterator[Picture]]:
        """Yield the pictures of each split, sorted by relative path."""
        return {name: self._read(files) for name, files in self._sorted_out[0].items()}

    def remarks(self) -> tuple[str, ...]:
        """Remarks on labels that could not be used."""
        return self._labels.remarks

    def _read(self, files: tuple[FileEntry, ...]) -> Iterator[Picture]:
        for file in files:
            yield Picture(one_line(file.path), file.path, self._labels.of.get(file.parts))


def _is_metadata(file: FileEntry) -> bool:
    return file.parts[-1] in METADATA_FILES
