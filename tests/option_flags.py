"""The options of the command line, as the verbs and the classes of options have them."""

import dataclasses
from typing import Any, get_type_hints

from draw.cli.options import flag_of
from draw.config.data import DataConfig


def flags_of(holder: Any) -> list[tuple[str, Any]]:
    """The options of a verb or of a class of options: flag and type."""
    found: list[tuple[str, Any]] = []
    for name, hint in get_type_hints(
        getattr(holder, "__wrapped__", holder), None, None, True
    ).items():
        kind = getattr(hint, "__origin__", hint)
        if dataclasses.is_dataclass(kind):
            prefix = "" if kind is not DataConfig else "data."
            found += [(flag.replace("--", f"--{prefix}"), of) for flag, of in flags_of(kind)]
        elif name != "return":
            found.append((flag_of(name, hint), hint))
    return found


def flags_with_prefix(prefix: str, holder: Any) -> list[str]:
    """The flags of a class of options of a config, as the command line has them."""
    return [
        f"--{prefix}{flag.removeprefix('--')}".replace("_", "-") for flag, _ in flags_of(holder)
    ]
