"""Copies of data sets as they are stored, in files that draw and others read: .npz or pictures."""

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from draw.data.images import ImageSet, Splits, class_names
from draw.data.sources import archive
from draw.data.store.decode import SUFFIXES
from draw.errors import DrawError
from draw.files import write_atomically, write_folder_atomically
from draw.progress import track

ARRAYS = ".npz"
"""Suffix of a file with arrays; anything else is a folder of pictures."""
OTHER_FILES = (*archive.SUFFIXES, *SUFFIXES, ".npy", ".csv", ".parquet", ".amat", ".mat", ".h5")
"""Suffixes of files that are not written, and of which a folder would be mistaken for one."""
_FOLDER = re.compile(r"\w([\w .-]{0,98}\w)?")
"""A class whose name can be that of a folder on every system."""
_MOST_NAMES = 30

logger = logging.getLogger("draw")


def write_copy(splits: Splits, to: Path) -> Path:
    """Write the stored images of a data set, with their splits and labels.

    A file that ends in .npz gets the arrays train_images [n, rows, columns] or
    [n, rows, columns, 3], train_labels [n], and those of validation and test; a folder gets
    train/CLASS/NUMBER.png and so on, without CLASS where there are no labels. What `load_splits`
    reads there is the same, but for names of classes that cannot be kept, which are logged: an .npz
    has numbers, and folders are numbered by their names in alphabetical order.

    Args:
        splits: the images.
        to: file or folder, which is not there yet.

    Raises:
        DrawError: if there is something already, the system refuses, or folders of classes would
            not be read as the labels that there are.
    """
    check_place(to)
    sets = splits.train, splits.validation, splits.test
    if to.suffix.lower() == ARRAYS:
        arrays: dict[str, Any] = {}
        for images in sets:
            arrays |= _arrays(images)
        with write_atomically(to) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        if splits.train.labels is not None:
            _tell_of_lost_names(splits.train, to, "; a folder keeps them")
    else:
        names = _folders_of_classes(sets, to)
        with write_folder_atomically(to) as folder:
            for images in sets:
                _write_pictures(images, folder / images.split, names)
    return to


def check_place(to: Path) -> None:
    """Refuse a place that `write_copy` would not write to, before there is anything to write.

    Args:
        to: file or folder.

    Raises:
        DrawError: if there is something already, or it is named like another kind of file.
    """
    if os.path.lexists(to):
        raise DrawError(f"{to} exists already and is left as it is; name another file or folder")
    if to.name.lower().endswith(OTHER_FILES):
        raise DrawError(
            f"expected a new {ARRAYS} file or a new folder, got {to}, which is named like a file; "
            "leave the suffix out"
        )


def _arrays(images: ImageSet) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {f"{images.split}_images": _channels_last(images.images)}
    if images.labels is not None:
        found[f"{images.split}_labels"] = images.labels
    return found


def _channels_last(
    images: UInt8[np.ndarray, "n channels rows columns"],
) -> np.ndarray:
    """Images as most programs keep them; grey ones have no dimension of channels."""
    return images[:, 0] if images.shape[1] == 1 else np.moveaxis(images, 1, -1)


def _tell_of_lost_names(images: ImageSet, to: Path, advice: str = "") -> None:
    if names := class_names(images.classes, _MOST_NAMES):
        logger.warning(f"{to} has the classes by number, without their names: {names}{advice}")


def _can_be_folders(names: Sequence[str]) -> bool:
    """Whether folders of these names are there on every system, and numbered as the names are."""
    different = len({name.casefold() for name in names}) == len(names)
    return different and list(names) == sorted(names) and all(map(_FOLDER.fullmatch, names))


def _folders_of_classes(sets: Sequence[ImageSet], to: Path) -> dict[int, str]:
    """Names of folders that are sorted as the numbers of the classes are."""
    found = {label for one in sets if one.labels is not None for label in one.labels.tolist()}
    without = [one.split for one in sets if one.labels is None]
    if found and without:
        raise DrawError(
            f"expected labels in every split or in none, since folders of classes in one alone are "
            f"not read as such, got none in {' and '.join(without)}; write {to}{ARRAYS} instead, "
            "which keeps labels"
        )
    if len(found) == 1:
        raise DrawError(
            f"expected images of two classes at least, since one folder alone is not read as a "
            f"class, got class {found.pop()} alone; write {to}{ARRAYS} instead, which keeps labels"
        )
    if found != {*range(len(found))}:
        raise DrawError(
            f"expected every class from 0 to {max(found)} to have an image, since those of folders "
            f"are numbered by their names; write {to}{ARRAYS} instead, which keeps labels"
        )
    names = sets[0].classes or ()
    if len(names) == len(found):
        if _can_be_folders(names):
            return dict(enumerate(names))
        _tell_of_lost_names(sets[0], to)
    width = len(str(len(found) - 1))
    return {label: f"{label:0{width}}" for label in found}


def _write_pictures(images: ImageSet, folder: Path, names: dict[int, str]) -> None:
    labels, pixels = images.labels, _channels_last(images.images)
    digits = len(str(images.count - 1))
    folder.mkdir()
    for number in track(range(images.count), f"write {images.split}", total=images.count):
        place = folder if labels is None else folder / names[int(labels[number])]
        place.mkdir(exist_ok=True)
        picture = Image.fromarray(np.ascontiguousarray(pixels[number]))
        picture.save(place / f"{number:0{digits}}.png")
