"""The formats that images on disk may have. To add one, write an `Opener` and add a line."""

from draw.data.sources.amat import Amat
from draw.data.sources.archive import archives_of
from draw.data.sources.arrays import Arrays
from draw.data.sources.cifar import Cifar
from draw.data.sources.csv_table import Csv
from draw.data.sources.digit_struct import open_digit_struct
from draw.data.sources.folder import open_pictures
from draw.data.sources.foreign import foreign_error
from draw.data.sources.idx import Idx
from draw.data.sources.mat_stack import MatStack
from draw.data.sources.parquet import open_parquet
from draw.data.sources.saved import open_saved_folder
from draw.data.sources.source import Opener, Place, Source
from draw.data.sources.stacks import stacks_of


def open_place(place: Place) -> Source:
    """Open the images of a folder or a file, in whichever format they are.

    Raises:
        DataError: the images are in no format that is known; the message says how to convert them
            where it can be done.
    """
    return _open_by(SOURCES, place)


def _open_unpacked(place: Place) -> Source:
    """What was in an archive: of any format but an archive again."""
    return _open_by({name: one for name, one in SOURCES.items() if name != ARCHIVES}, place)


def _open_by(sources: dict[str, Opener], place: Place) -> Source:
    for opener in sources.values():
        source = opener(place)
        if source is not None:
            return source
    raise foreign_error(place)


ARCHIVES = "zip and tar"
SOURCES: dict[str, Opener] = {
    "save_to_disk": open_saved_folder,
    "parquet": open_parquet,
    "IDX": stacks_of(Idx()),
    "amat": stacks_of(Amat()),
    "_32x32.mat": stacks_of(MatStack()),
    "CIFAR": stacks_of(Cifar()),
    "digitStruct.mat": open_digit_struct,
    "pictures": open_pictures,
    "NumPy": stacks_of(Arrays()),
    "CSV": stacks_of(Csv()),
    ARCHIVES: archives_of(_open_unpacked),
}
"""By name; the first that finds pictures reads them. What can be something else beside pictures
(tables, arrays, archives) comes after them."""
