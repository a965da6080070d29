"""A folder of parquet files as on the Hugging Face Hub, read through `datasets`."""

import logging
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from draw.data.sources.cards import CARDS, refuse_leading_out
from draw.data.sources.labels import LABEL_COLUMNS
from draw.data.sources.source import Place, Source
from draw.data.sources.tree import Found, digest_files, kinds, stamp_files
from draw.data.store.decode import SUFFIXES, Picture
from draw.data.store.splits import split_by_name, split_of
from draw.errors import DataError
from draw.terminal import one_line

logger = logging.getLogger("draw")

ROWS_AT_ONCE = 64
IMAGE_COLUMNS = ("image", "img")
"""Which column is taken where several hold pictures."""
TEXTS = ("string", "large_string", "string_view")
DIGITS_COLUMN = "digits"
"""Boxes and labels of the digits in a picture, as SVHN has them (see `draw.data.sets.svhn`)."""


def is_shard(file: Found) -> bool:
    """Whether a file is one of parquet."""
    return file.path.suffix.lower() == ".parquet"


def open_parquet(place: Place) -> Source | None:
    """The pictures of a folder's parquet files (see `Opener`)."""
    if not any(map(is_shard, place.files)):
        return None
    place.refuse_config()
    return ParquetFolder(place.folder, place.files, place.named)


def _is_of(file: Found, split: str) -> bool:
    return file.parts[0] == split or file.path.name.startswith((f"{split}-", f"{split}."))


@dataclass(frozen=True)
class ParquetFolder:
    """A source (see `Source`): parquet shards named by split, in Hub layout.

    The column of pictures is found by its type, the labels by type or name. Shards are streamed:
    nothing is copied, and pictures are decoded here so that errors can name shard and row. What a
    row or a card names is read only where it lies in the folder.
    """

    folder: Path
    files: tuple[Found, ...]
    named: tuple[str, ...] = ()
    """Splits to be found by the names of shards and subfolders; by default, and where no shard has
    such a name, those that `datasets` finds, which knows train, validation and test alone."""

    def location(self) -> str:
        """The folder's full path."""
        return str(self.folder.resolve())

    def description(self) -> str:
        """The folder, and how many pictures beside the shards are passed over."""
        pictures = [file for file in self.files if file.path.suffix.lower() in SUFFIXES]
        return str(self.folder) + (f" (passed over: {kinds(pictures)})" if pictures else "")

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if the shards have them; texts as labels are their own."""
        column = self._label_column(self._features)
        names = getattr(self._features[column], "names", None) if column else None
        return tuple(names) if names else self._texts

    @property
    def _features(self) -> dict[str, Any]:
        return next(iter(self._streams.values())).features or {}

    @cached_property
    def _texts(self) -> tuple[str, ...] | None:
        """All different labels, sorted, where they are texts."""
        column = self._label_column(self._features)
        if column is None or getattr(self._features[column], "dtype", "") not in TEXTS:
            return None
        texts = set[str]()
        with _explained(self.folder):
            for stream in self._streams.values():
                for table in stream.select_columns([column]).with_format("arrow").iter(1000):
                    texts |= set(table[column].unique().to_pylist()) - {None}
        return tuple(sorted(texts))

    def stamp(self) -> str:
        """Changes with the names, sizes and times of the shards."""
        return stamp_files(self._that_matter)

    def fingerprint(self) -> str:
        """SHA-256 of the shards' relative paths and bytes."""
        return digest_files(self._that_matter)

    @property
    def _that_matter(self) -> tuple[Found, ...]:
        """Shards, and the README, whose header may say how they are split."""
        return tuple(f for f in self.files if is_shard(f) or f.parts == ("README.md",))

    def splits(self) -> dict[str, Iterator[Picture]]:
        """The pictures of each split, in stored order."""
        return {name: self._pictures(name) for name in self._streams}

    def remarks(self) -> tuple[str, ...]:
        """Columns of labels that are not used, and shards of no split."""
        used = self._label_column(self._features)
        others = ", ".join(
            f"{name} ({getattr(feature, 'dtype', None) or type(feature).__name__})"
            for name, feature in self._features.items()
            if name != used and (_holds_classes(feature) or name in LABEL_COLUMNS)
        )
        labels = f"labels are of column {used}" if used else "no labels, which are numbers or texts"
        return (*([f"{labels}, not {others}"] if others else []), *self._strays)

    @cached_property
    def _builder(self) -> Any:
        import datasets

        with _quiet(), _explained(self.folder), tempfile.TemporaryDirectory() as scratch:
            refuse_leading_out(self.folder)
            builder = datasets.load_dataset_builder(
                str(self.folder), data_files=self._shards_by_name(), cache_dir=scratch
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
        found = {
            split: ["/".join(file.parts) for file in shards if _is_of(file, split)]
            for split in self.named
        }
        found = {split: names for split, names in found.items() if names}
        return found or None

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
        with _quiet(), _explained(self.folder):
            for remark in self._strays:
                logger.warning("%s: %s", self.folder, remark)
            return {str(name): s for name, s in self._builder.as_streaming_dataset().items()}

    def _pictures(self, split: str) -> Iterator[Picture]:
        from datasets import Image

        stream = self._streams[split]
        features = stream.features or {}
        image_column, label_column = self._image_column(features), self._label_column(features)
        stream = stream.cast_column(image_column, Image(decode=False)).with_format("arrow")
        shards = self._shard_names(split, stream.num_shards)
        numbers: dict[Any, Any] = {text: at for at, text in enumerate(self._texts or ())}
        for index, shard in enumerate(shards):
            row = 0
            with _explained(self.folder / shard):
                part = stream.shard(num_shards=len(shards), index=index)
                for table in part.iter(batch_size=ROWS_AT_ONCE):
                    images = table[image_column].to_pylist()
                    labels = (
                        table[label_column].to_pylist() if label_column else [None] * len(images)
                    )
                    digits: list[Any] = [None] * len(images)
                    if DIGITS_COLUMN in features:
                        digits = [stored or () for stored in table[DIGITS_COLUMN].to_pylist()]
                    for image, label, of_row in zip(images, labels, digits, strict=True):
                        name = f"{shard}, row {row}"
                        yield Picture(
                            name, self._data(image, name), numbers.get(label, label), of_row
                        )
                        row += 1

    def _data(self, image: dict[str, Any] | None, name: str) -> bytes | Path:
        if image and image["bytes"] is not None:
            return bytes(image["bytes"])
        if image and image["path"]:
            return self._inside(str(image["path"]), name)
        raise DataError(f"{self.folder}: {name} has no picture; take the row out")

    def _inside(self, named: str, name: str) -> Path:
        """The picture that a row names by its path; it lies in the folder, also by links."""
        path = self.folder / named
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.folder))
        if not inside or (path.exists() and not path.is_file()):
            raise DataError(
                f"{self.folder}: expected {name} to hold a picture, or the path of one in this "
                f"folder, got {one_line(path)}, which is not read; put the picture into the row"
            )
        return path

    def _shard_names(self, split: str, shards: int) -> list[str]:
        files = [Path(file) for file in self._builder.config.data_files[split]]
        if len(files) != shards:
            return [f"{split} (part {index + 1} of {shards})" for index in range(shards)]
        root = self.folder.resolve()
        return [one_line(f.relative_to(root) if f.is_relative_to(root) else f) for f in files]

    def _image_column(self, features: dict[str, Any]) -> str:
        from datasets import Image

        columns = [name for name, feature in features.items() if isinstance(feature, Image)]
        chosen = [name for name in IMAGE_COLUMNS if name in columns] or columns
        if not chosen or (len(columns) > 1 and chosen == columns):
            raise DataError(
                f"expected one column of pictures in {self.folder}, got "
                f"{', '.join(f'{name} ({feature})' for name, feature in features.items())}; "
                "cast it to datasets.Image() and name it image"
            )
        return chosen[0]

    def _label_column(self, features: dict[str, Any]) -> str | None:
        named = [name for name, feature in features.items() if _holds_classes(feature)]
        usable = (name for name in LABEL_COLUMNS if _holds_labels(features.get(name)))
        return named[0] if named else next(usable, None)


def _holds_classes(feature: Any) -> bool:
    from datasets import ClassLabel

    return isinstance(feature, ClassLabel)


def _holds_labels(feature: Any) -> bool:
    """Whether a column is of whole numbers or texts."""
    dtype = str(getattr(feature, "dtype", ""))
    return re.fullmatch(r"u?int\d+", dtype) is not None or dtype in TEXTS


@contextmanager
def _explained(path: Path) -> Iterator[None]:
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
def _quiet() -> Iterator[None]:
    """Keeps the progress bars of `datasets` away; ours is enough."""
    import datasets

    disabled = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not disabled:
            datasets.enable_progress_bars()
