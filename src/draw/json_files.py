"""JSON as the standard has it, in files that are whole or not there; numbers are finite."""

import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from draw.errors import DrawError
from draw.files import read_text, write_atomically


def null_if_not_finite(value: Any, name: str = "") -> tuple[Any, tuple[str, ...]]:
    """Replace each number that is NaN or infinite by null for JSON, and list their names.

    Args:
        value: plain values in dictionaries, lists and tuples.
        name: name of the whole, of which the names of its parts are made.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return None, (name,)
    if isinstance(value, dict):
        parts = {
            key: null_if_not_finite(part, f"{name}.{key}" if name else str(key))
            for key, part in value.items()
        }
        whole: Any = {key: part for key, (part, _) in parts.items()}
        return whole, tuple(bad for _, names in parts.values() for bad in names)
    if isinstance(value, list | tuple):
        items = [null_if_not_finite(part, f"{name}[{at}]") for at, part in enumerate(value)]
        return [part for part, _ in items], tuple(bad for _, names in items for bad in names)
    return value, ()


def to_json(value: Any) -> str:
    """Format a value as JSON for people, paths as text; refuse numbers that are not finite."""
    return json.dumps(value, indent=2, allow_nan=False, default=os.fspath)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, paths as text; refuse numbers that are not finite."""
    with write_atomically(path) as temporary:
        temporary.write_text(to_json(value) + "\n", encoding="utf-8")


def parse_json(text: str) -> Any:
    """Parse JSON as the standard has it: finite numbers, each name once, bounded depth.

    Raises:
        ValueError: if the text is not JSON, or has a number of thousands of digits or thousands of
            levels.
    """
    try:
        return json.loads(
            text,
            parse_constant=_finite,
            parse_float=_finite,
            object_pairs_hook=_named_once,
        )
    except RecursionError as error:
        raise ValueError("too many levels of lists or objects within each other") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {text}")
    return value


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = [name for name, count in counts.items() if count > 1]
        raise ValueError(f"expected each name once, got more of {', '.join(twice)}")
    return values


def read_json(path: Path) -> Any:
    """Read a JSON file; see `parse_json`.

    Raises:
        DrawError: if the file is missing, no regular file, or not JSON.
    """
    text = read_text(path)
    try:
        return parse_json(text)
    except ValueError as error:
        raise DrawError(f"{path} is damaged: expected JSON, {error}") from error


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object, names with values.

    Raises:
        DrawError: if the file is missing, no regular file, or holds anything else.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise DrawError(f"{path} is damaged: expected a JSON object, got {type(values).__name__}")
    return values
