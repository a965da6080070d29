"""The file run.json, which says what a run is: its values, sealed with a checksum.

People may change it by hand, and it counts then as it is; but that is logged, and noted.
"""

import hashlib
import json
import logging
from functools import lru_cache
from pathlib import Path
from typing import Any

from draw.fields import Natural, check, names_and_values
from draw.json_files import read_json_object, to_json

logger = logging.getLogger("draw")

PROVENANCE_FIELDS: dict[str, Any] = {
    "command": str,
    "commit": str | None,
    "hardware": str,
    "versions": dict[str, str],
    "compute": dict[str, str],
    "launch": dict[str, str],
    "images": dict[str, str],
    "classes": dict[str, str],
}
"""Fields of how a run came about, which cards show, and its launches, with their types."""


def seal(config: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Make the values of a run's file, with a SHA-256 over them.

    Args:
        config: the run's config as plain values.
        made: provenance of the run.
    """
    values = json.loads(to_json({"config": config, "made": made}))
    return {**values, "sha256": _digest(values)}


def read_values(path: Path) -> tuple[Any, dict[str, Any], bool]:
    """Read the values that `seal` made, as they are now; log it, once, where somebody changed them.

    Returns:
        The config as plain values; the provenance of the run; whether the file was changed by
        hand.

    Raises:
        DrawError: if the file is missing, damaged, or holds what cannot be.
    """
    values = read_json_object(path)
    made = names_and_values("made", values.get("made", {}))
    _check_made("made", made)
    resumed = made.get("resumed", [])
    if not isinstance(resumed, list):
        check("made.resumed", tuple[dict[str, Any], ...], resumed)
    for index, again in enumerate(resumed):
        name = f"made.resumed[{index}]"
        _check_made(name, names_and_values(name, again))
        check(f"{name}.step", Natural, again.get("step"))
        changes = names_and_values(f"{name}.changes", again.get("changes"))
        for field, pair in changes.items():
            two = tuple(pair) if isinstance(pair, list) and len(pair) == 2 else pair
            check(f"{name}.changes.{field}", tuple[Any, Any], two)
    seal = values.get("sha256")
    changed = seal is not None and seal != _digest(values)
    if changed:
        _say_changed(path, str(seal))
    return values.get("config"), made, changed


def _check_made(name: str, values: dict[str, Any]) -> None:
    for field, hint in PROVENANCE_FIELDS.items():
        if field in values:
            check(f"{name}.{field}", hint, values[field])


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps([values.get("config"), values.get("made")], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache
def _say_changed(path: Path, seal: str) -> None:
    logger.warning(
        "%s was changed by hand since draw wrote it (its checksum is another); it counts as it is "
        "now",
        path,
    )
