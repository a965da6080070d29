"""A folder of parquet files as on the Hugging Face Hub, read through `datasets`."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from draw.data.decode import Picture
from draw.data.errors import DataError
from draw.data.folder import Found, digest_files, printable, stamp_files

logger = logging.getLogger("draw")

ROWS_AT_ONCE = 64
IMAGE_COLUMNS = ("image", "img")
"""Which column is taken where several hold pictures."""
LABEL_COLUMNS = ("label", "labels")
DIGITS_COLUMN = "digits"
"""Boxes and labels of the digits in a picture, as SVHN has them (see `draw.data.svhn`)."""


def is_shard(file: Found) -> bool:
    """Whether a file is one of parquet."""
    return file.path.suffix.lower() == ".parquet"


def _is_of(file: Found, split: str) -> bool:
    return file.parts[0] == split or file.path.name.startswith((f"{split}-", f"{split}."))


@dataclass(frozen=True)
class ParquetFolder:
    """A source (see `draw.data.source.Source`): parquet shards named by split, in Hub layout.

    The column of pictures is found by its type, the labels by type or name. Shards are streamed:
    nothing is copied, and pictures are decoded here so that errors can name shard and row.
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
        """The folder."""
        return str(self.folder)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if the shards have them."""
        features = next(iter(self._streams.values())).features or {}
        names = getattr(features.get(self._label_column(features)), "names", None)
        return tuple(names) if names else None

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
        """None."""
        return ()

    @cached_property
    def _builder(self) -> Any:
        import datasets

        with _quiet(), _explained(self.folder), tempfile.TemporaryDirectory() as scratch:
            return datasets.load_dataset_builder(
                str(self.folder), data_files=self._shards_by_name(), cache_dir=scratch
            )

    def _shards_by_name(self) -> dict[str, list[str]] | None:
        shards = [file for file in self.files if is_shard(file)]
        found = {
            split: ["/".join(file.parts) for file in shards if _is_of(file, split)]
            for split in self.named
        }
        found = {split: names for split, names in found.items() if names}
        strays = len(shards) - sum(map(len, found.values()))
        if found and strays:
            logger.warning("%s: %s shards of other splits, not used", self.folder, strays)
        return found or None

    @cached_property
    def _streams(self) -> dict[str, Any]:
        with _quiet(), _explained(self.folder):
            return {str(name): s for name, s in self._builder.as_streaming_dataset().items()}

    def _pictures(self, split: str) -> Iterator[Picture]:
        from datasets import Image

        stream = self._streams[split]
        features = stream.features or {}
        image_column, label_column = self._image_column(features), self._label_column(features)
        stream = stream.cast_column(image_column, Image(decode=False)).with_format("arrow")
        shards = self._shard_names(split, stream.num_shards)
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
                        yield Picture(name, self._data(image, name), label, of_row)
                        row += 1

    def _data(self, image: dict[str, Any] | None, name: str) -> bytes | Path:
        if image and image["bytes"] is not None:
            return bytes(image["bytes"])
        if image and image["path"]:
            return self.folder / str(image["path"])
        raise DataError(f"{self.folder}: {name} has no picture; take the row out")

    def _shard_names(self, split: str, shards: int) -> list[str]:
        files = [Path(file) for file in self._builder.config.data_files[split]]
        if len(files) != shards:
            return [f"{split} (part {index + 1} of {shards})" for index in range(shards)]
        root = self.folder.resolve()
        return [printable(f.relative_to(root) if f.is_relative_to(root) else f) for f in files]

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
        from datasets import ClassLabel, Value

        for name, feature in features.items():
            if isinstance(feature, ClassLabel):
                return name
        for name in LABEL_COLUMNS:
            feature = features.get(name)
            if isinstance(feature, Value) and "int" in feature.dtype:
                return name
        return None


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
