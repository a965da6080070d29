"""Names of the classes of a model, as its file has them, beside their numbers."""

import re
from collections.abc import Callable
from pathlib import Path

from draw.errors import DrawError
from draw.models.storage import exported_config
from draw.runs.fingerprints import classes_of
from draw.runs.paths import RUN_FILE
from draw.studio.models import Shelf
from draw.terminal import one_line

LONGEST = 40
"""Most characters of a name that are shown."""
_MARKS = re.compile(r"[\\`*_{}\[\]()<>#+.!|~&$-]")


def class_words(shelf: Shelf, name: str | None) -> Callable[[int], str]:
    """What the classes of a model are called: 3 dog, or 3 where its name is not known.

    Args:
        shelf: where the model is.
        name: what it is called.
    """
    names = _names(shelf, name)

    def words(number: int) -> str:
        of_class = names.get(number, "")
        if of_class in ("", str(number)):
            return str(number)
        short = of_class if len(of_class) <= LONGEST else f"{of_class[:LONGEST]}…"
        return f"{number} {one_line(short)}"

    return words


def in_markdown(words: str) -> str:
    """Words in which no character acts, as one of a folder's name might."""
    return _MARKS.sub(r"\\\g<0>", words)


def _names(shelf: Shelf, name: str | None) -> dict[int, str]:
    try:
        folder = Path(shelf.catalogue[name].source)
        return classes_of(folder) if (folder / RUN_FILE).exists() else exported_config(folder)[2]
    except (DrawError, OSError):
        return {}
