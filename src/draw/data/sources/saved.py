"""Folders that `datasets` wrote with `save_to_disk`: Arrow files, and JSON that lists them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from draw.data.sources.columns import Columns
from draw.data.sources.parquet import explain_errors, quiet
from draw.data.sources.source import Place, Source
from draw.data.sources.tree import digest_files, stamp_files
from draw.data.store.decode import Picture
from draw.errors import DataError, DrawError
from draw.json_files import read_json_object
from draw.terminal import one_line

logger = logging.getLogger("draw")

SPLITS_FILE, STATE_FILE = "dataset_dict.json", "state.json"


def open_saved_folder(place: Place) -> Source | None:
    """A folder that `save_to_disk` wrote (see `Opener`)."""
    names = {file.parts for file in place.files}
    if (SPLITS_FILE,) not in names and (STATE_FILE,) not in names:
        return None
    place.refuse_config()
    return SavedFolder(place)


@dataclass(frozen=True)
class SavedFolder:
    """A source (see `Source`) of a data set, or several splits of one, as `datasets` saved it."""

    place: Place

    @cached_property
    def _streams(self) -> dict[str, Any]:
        """The rows of each split."""
        import datasets

        folder = self.place.folder
        states = [file.path for file in self.place.files if file.parts[-1] == STATE_FILE]
        for path in states:
            _refuse_leading_out(path)
        with quiet(), explain_errors(folder):
            found = datasets.load_from_disk(str(folder))
            splits = found if isinstance(found, dict) else {"all": found}
            return {str(name): one.to_iterable_dataset() for name, one in splits.items()}

    @cached_property
    def _columns(self) -> Columns:
        features = next(iter(self._streams.values())).features or {}
        return Columns(self.place.folder, features, self._streams.values)

    def location(self) -> str:
        """Full path of the folder."""
        return self.place.location()

    def description(self) -> str:
        """Describe the folder by its path."""
        return str(self.place.path)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the classes, if there are any; texts as labels are their own."""
        return self._columns.classes

    def stamp(self) -> str:
        """Stamp that changes with the names, sizes and times of the files."""
        return stamp_files(self.place.files)

    def fingerprint(self) -> str:
        """SHA-256 of the files' relative paths and bytes."""
        return digest_files(self.place.files)

    def splits(self) -> dict[str, Iterator[Picture]]:
        """Yield the pictures of each split, in stored order."""
        return {name: self._pictures(name) for name in self._streams}

    def remarks(self) -> tuple[str, ...]:
        """Remarks on columns of labels that are not used."""
        return self._columns.remarks()

    def _pictures(self, split: str) -> Iterator[Picture]:
        with explain_errors(self.place.folder):
            rows = self._columns.stored_pictures(self._streams[split])
            yield from self._columns.pictures(rows, one_line(split))


def _refuse_leading_out(state: Path) -> None:
    """See that the files that a split consists of lie in its own folder.

    Raises:
        DataError: if one does not, or the file that names them is none.
    """
    try:
        named = read_json_object(state).get("_data_files")
    except DrawError as error:
        raise DataError(str(error)) from error
    for entry in named if isinstance(named, list) else [None]:
        name = entry.get("filename") if isinstance(entry, dict) else None
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".arrow"):
            raise DataError(
                f"{one_line(state)}: expected the Arrow files of its own folder, got "
                f"{one_line(name)}, which is not read; save the data set again"
            )
