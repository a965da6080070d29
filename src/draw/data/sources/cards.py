"""The header of a data set's card, which says what files it consists of: those of its folder."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from draw.errors import DataError
from draw.files import read_text
from draw.terminal import one_line

CARDS = "README.md", ".huggingface.yaml"
"""Names of the files in which `datasets` looks for a card."""
INFOS = "dataset_infos.json"
"""Name of the file in which older versions of it wrote what is in a card now."""


def refuse_leading_out(folder: Path) -> None:
    """Refuse a folder whose cards name something outside of it, before `datasets` follows them.

    Raises:
        DataError: if a card names an address, a full path, or a folder above.
        ValueError: if a card's header is none.
    """
    for card, configs in _headers(folder):
        for named in _texts(configs):
            if "://" in named or os.path.isabs(named) or ".." in Path(named).parts:
                raise DataError(
                    f"{card}: expected files of its own folder, got {one_line(named)}, which is "
                    "not read; put the files into the folder, and mend this header"
                )


def configurations(folder: Path) -> dict[str, bool]:
    """Names of the sets that the cards of a folder list, and whether one is taken unasked.

    Raises:
        ValueError: if a card's header is none.
    """
    found = dict[str, bool]()
    for _, configs in _headers(folder):
        for entry in configs if isinstance(configs, list) else []:
            if isinstance(entry, Mapping):
                name = one_line(entry.get("config_name", "default"))
                found[name] = name == "default" or bool(entry.get("default"))
    return found


def _headers(folder: Path) -> Iterator[tuple[Path, Any]]:
    """What each card of a folder says of configurations."""
    from huggingface_hub import DatasetCard

    for card in (folder / name for name in CARDS):
        if os.path.lexists(card):
            text = read_text(card)
            header = text if card.suffix == ".md" else f"---\n{text}\n---\n"
            yield card, DatasetCard(header).data.get("configs")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)
