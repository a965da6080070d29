"""SVHN as it is published: pictures of houses, and `digitStruct.mat` with the boxes of digits.

That file is HDF5 (MATLAB's format 7.3): `digitStruct/name` and `digitStruct/bbox` have a reference
for each picture, to the characters of its name and to a group of `left`, `top`, `width`, `height`,
each one number or a list of references to such. h5py reads it, which is an extra of the package.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from draw.data.sources.folder import PictureFolder, is_picture
from draw.data.sources.source import Place, Source
from draw.data.sources.tree import FileEntry, digest_files, stamp_files
from draw.data.store.decode import Picture
from draw.errors import DataError, DrawError
from draw.extras import MissingPackageError, explain_missing
from draw.files import check_regular_file
from draw.terminal import one_line

logger = logging.getLogger("draw")

NAME = "digitStruct.mat"
MOST_DIGITS = 100
"""In a picture."""
LONGEST_NAME = 1000
EDGES = ("left", "top", "width", "height")

Boxes = dict[str, list[list[float]]]
"""Left, top, width, height of the digits of each picture, by its name."""


def open_digit_struct(place: Place) -> Source | None:
    """Open pictures with the boxes of their digits (see `Opener`)."""
    structs = tuple(file for file in place.files if file.path.name == NAME)
    if not structs or not place.is_folder or not any(map(is_picture, place.files)):
        return None
    place.refuse_config()
    others = tuple(file for file in place.files if file not in structs)
    return DigitStruct(PictureFolder(place.folder, others, place.split_names), structs, place.boxes)


@dataclass(frozen=True)
class DigitStruct:
    """A source (see `Source`) of the pictures of a folder, with the boxes beside them."""

    pictures: PictureFolder
    structs: tuple[FileEntry, ...]
    uses_boxes: bool
    """Whether the boxes are used."""

    @cached_property
    def _boxes(self) -> dict[Path, Boxes]:
        """By the folder of the pictures."""
        return {file.path.parent: read_boxes(file.path) for file in self.structs}

    def location(self) -> str:
        """Full path of the folder."""
        return f"{self.pictures.location()} with{'' if self.uses_boxes else 'out'} boxes"

    def description(self) -> str:
        """Describe the pictures of the folder."""
        return self.pictures.description()

    def classes(self) -> tuple[str, ...] | None:
        """Return None, no classes: a picture has several digits."""
        return None

    def stamp(self) -> str:
        """Stamp that changes with the pictures and with the boxes."""
        return f"{self.pictures.stamp()} {stamp_files(self.structs)}"

    def fingerprint(self) -> str:
        """SHA-256 of the pictures and of the boxes."""
        return f"{self.pictures.fingerprint()} {digest_files(self.structs)}"

    def splits(self) -> Mapping[str, Iterable[Picture]]:
        """Yield the pictures of each split."""
        splits = self.pictures.splits()
        return {s: self._with_boxes(of) for s, of in splits.items()} if self.uses_boxes else splits

    def remarks(self) -> tuple[str, ...]:
        """Remarks on the pictures, and whether the boxes are used."""
        unused = (
            () if self.uses_boxes else (f"boxes of {NAME} not used: --data.name svhn cuts out",)
        )
        return (*self.pictures.remarks(), *unused)

    def _with_boxes(self, pictures: Iterable[Picture]) -> Iterator[Picture]:
        for picture in pictures:
            path = picture.data
            boxes = self._boxes.get(path.parent, {}) if isinstance(path, Path) else {}
            digits = {"bbox": boxes.get(path.name, [])} if isinstance(path, Path) else None
            yield picture._replace(digits=digits, label=None)


def read_boxes(path: Path) -> Boxes:
    """Read the boxes in a digitStruct.mat.

    Raises:
        DataError: h5py is missing, or the file is not what its name says.
    """
    try:
        with explain_missing():
            import h5py
    except MissingPackageError as error:
        raise DataError(
            f"{one_line(path)} is HDF5, which h5py reads: {error}; or pass "
            "--data.path ufldl-stanford/svhn, the same pictures on the Hugging Face Hub"
        ) from error
    try:
        check_regular_file(path)
        with h5py.File(path, "r") as file:
            struct = _own(file, "digitStruct")
            names, boxes = _own(struct, "name"), _own(struct, "bbox")
            if names.shape != boxes.shape:
                raise DataError(f"has {names.shape} names and {boxes.shape} lists of boxes")
            found = Boxes()
            for name, of in zip(names[:].ravel(), boxes[:].ravel(), strict=True):
                characters = _plain(file[name], LONGEST_NAME)[:].ravel()
                found["".join(map(chr, characters))] = _boxes_of(file, file[of])
            return found
    except Exception as error:  # whatever a damaged file makes it raise
        reason = str(error) if isinstance(error, DrawError) else f"{type(error).__name__}: {error}"
        raise DataError(
            f"{one_line(path)}: expected the boxes of SVHN in MATLAB's format 7.3 ({reason}); "
            "fetch it again"
        ) from error


def _boxes_of(file: Any, group: Any) -> list[list[float]]:
    edges = []
    for edge in EDGES:
        values = _plain(_own(group, edge), MOST_DIGITS)[:].ravel()
        if values.dtype.kind == "O":
            values = [_plain(file[reference], 1)[:].ravel()[0] for reference in values]
        edges.append([float(value) for value in values])
    return [list(box) for box in zip(*edges, strict=True)]


def _own(group: Any, name: str) -> Any:
    """A member of a group that lies in the file itself: a link may lead to another file."""
    import h5py

    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise DataError(f"has no {name} of its own")
    return group[name]


def _plain(dataset: Any, most: int) -> Any:
    """A data set of few numbers that lie in the file itself."""
    if dataset.external or dataset.is_virtual or dataset.size > most:
        raise DataError(f"has {dataset.size} numbers, or such in other files, where at most {most} "
                        "of its own are expected")  # fmt: skip
    return dataset
