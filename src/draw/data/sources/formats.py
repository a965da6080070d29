"""The formats that images on disk may have. To add one, write an `Opener` and add a line."""

from draw.data.sources.amat import Amat
from draw.data.sources.arrays import Arrays
from draw.data.sources.csv_table import Csv
from draw.data.sources.folder import open_pictures
from draw.data.sources.foreign import foreign_error
from draw.data.sources.idx import Idx
from draw.data.sources.parquet import open_parquet
from draw.data.sources.source import Opener, Place, Source
from draw.data.sources.stacks import stacks_of

SOURCES: dict[str, Opener] = {
    "parquet": open_parquet,
    "IDX": stacks_of(Idx()),
    "amat": stacks_of(Amat()),
    "pictures": open_pictures,
    "NumPy": stacks_of(Arrays()),
    "CSV": stacks_of(Csv()),
}
"""By name; the first that finds pictures reads them. What can be something else beside pictures
(tables, arrays) comes after them."""


def open_place(place: Place) -> Source:
    """The images of a folder or a file, in whichever format they are.

    Raises:
        DataError: they are in none that is known; it says how to convert them where that is.
    """
    for opener in SOURCES.values():
        source = opener(place)
        if source is not None:
            return source
    raise foreign_error(place)
