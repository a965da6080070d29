"""Validation of dataclass fields and command-line options against their types.

A type such as `Annotated[int, Limits(least=1)]` says all that there is to say about one value; no
line of code about a single field is needed, and none can be forgotten.
"""

import dataclasses
import math
import operator
import os
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from draw.errors import DrawError


class Rule(ABC):
    """A rule for values beyond their kind; it stands in `Annotated`."""

    @abstractmethod
    def violation(self, kind: str, value: Any) -> str | None:
        """Say what was expected instead of a value of this kind; None if the value fits."""


@dataclass(frozen=True)
class Limits(Rule):
    """Limits between which a number must lie."""

    least: int | float = -math.inf
    above: int | float = -math.inf
    below: int | float = math.inf
    most: int | float = math.inf

    def violation(self, kind: str, value: Any) -> str | None:
        """Say what number was expected; None if the value is within the limits."""
        if value > self.most:
            return f"{kind} of at most {self.most}"
        if value >= self.least and self.above < value < self.below:
            return None
        return self.describe(kind)

    def describe(self, kind: str) -> str:
        """Describe a number within the limits in words; the least alone where there is one."""
        words = [
            f"of at least {self.least}" if self.least > -math.inf else "",
            f"above {self.above}" if self.above > -math.inf else "",
            f"and below {self.below}" if self.below < math.inf else "",
        ]
        return " ".join([kind, *filter(None, words)])


class Table:
    """Marks a Literal whose names are those of a table of parts: the table itself is asked.

    The Literal lists what comes with the package, for `--help`; whoever adds a part of their own to
    the table may name it. See `part_of`.
    """


TABLE = Table()
Count = Annotated[int, Limits(least=1, most=2**31 - 1)]
"""A number of at least one."""
Natural = Annotated[int, Limits(least=0, most=2**31 - 1)]
"""A number of at least zero."""
Seed = Annotated[int, Limits(least=0, most=2**63 - 1)]
"""A seed of random numbers."""
AnySeed = Annotated[int, Limits(least=0)]
"""A seed that is no part of a config, which has no limit."""
Positive = Annotated[float, Limits(above=0)]
"""A number above 0."""

Violation = str | None
Part = TypeVar("Part")


def check(name: str, hint: Any, value: object) -> None:
    """Refuse a value that does not fit its type.

    Args:
        name: name of the value, for the message.
        hint: type of the value: int, float, str, bool, Literal, a union, tuple[X, ...], dict[str,
            X], a class, or one of these in `Annotated` with rules.
        value: any value.

    Raises:
        DrawError: if the value does not fit: "expected NAME to be ..., got ...".
    """
    expected = _expected(hint, value)
    if expected is not None:
        refuse(name, expected, value)


def whole(name: str, hint: Any, value: Any) -> int:
    """Check a whole number, of Python, NumPy or torch, and return it as Python's own.

    Args:
        name: name of the value, for the message.
        hint: type of the value, such as `Count`.
        value: any value.

    Raises:
        DrawError: if it is no whole number, or does not fit.
    """
    number = value
    if not isinstance(value, bool):
        try:
            number = operator.index(value)
        except (TypeError, ValueError, RuntimeError):  # each library has its own
            number = value
    check(name, hint, number)
    return int(number)


def is_not_negative(value: Any) -> bool:
    """Whether a value of Python, NumPy or torch is one finite number of at least 0."""
    try:
        return not isinstance(value, str) and 0 <= float(value) < math.inf
    except (TypeError, ValueError, RuntimeError):  # each library has its own
        return False


def refuse(name: str, expected: str, got: object) -> None:
    """Raise the error that every value of a wrong kind gets."""
    advice = "; pass it with .item()" if hasattr(got, "item") else ""
    raise DrawError(f"expected {name} to be {expected}, got {excerpt(got)}{advice}")


def excerpt(value: object) -> str:
    """Show a value in a message, cut where it is long."""
    try:
        text = repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
    except (ValueError, RecursionError):  # thousands of digits, or of levels
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 100 else f"{text[:100]}..."


def check_fields(prefix: str, instance: Any) -> None:
    """Refuse a dataclass any of whose fields does not fit its type.

    Args:
        prefix: text before the names of the fields, such as "model.".
        instance: instance of a dataclass.

    Raises:
        DrawError: for the first field that does not fit.
    """
    hints = _hints(type(instance))
    for field in dataclasses.fields(instance):
        check(prefix + field.name, hints[field.name], getattr(instance, field.name))


def part_of(table: Mapping[str, Part], field: str, name: str, section: str = "model") -> Part:
    """Look up in a table the part that a config names.

    Args:
        table: parts by name.
        field: field of the config, for the message.
        name: value of the field.
        section: section of a run's config.

    Raises:
        DrawError: if the table does not have it.
    """
    if name not in table:
        raise DrawError(
            f"expected {section}.{field} to be {either([repr(one) for one in table])}, got "
            f"{excerpt(name)}; one of your own is known to the script that adds it to the table"
        )
    return table[name]


def from_plain(kind: type[Any], name: str, values: object) -> Any:
    """Make a dataclass from the plain values of JSON, whose lists become tuples.

    Args:
        kind: class of the dataclass, which checks itself.
        name: name of the whole, for the message.
        values: names with values; those left out have their defaults.

    Raises:
        DrawError: if a field is unknown, missing, or has a value that does not fit.
    """
    given = names_and_values(name, values)
    fields = dataclasses.fields(kind)
    known = [field.name for field in fields]
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise DrawError(
            f"{name}: unknown {kind.__name__} field {', '.join(unknown)}; the known ones are "
            f"{', '.join(known)}. It may come from a newer version of draw"
        )
    needed = {
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }
    missing = sorted(needed - set(given))
    if missing:
        raise DrawError(f"expected {name} to have {', '.join(missing)}, got {sorted(given)}")
    hints = _hints(kind)
    return kind(
        **{
            key: tuple(value) if isinstance(value, list) and _takes_tuples(hints[key]) else value
            for key, value in given.items()
        }
    )


def names_and_values(name: str, values: object) -> dict[str, Any]:
    """Return a value that must be an object of JSON, or refuse it.

    Raises:
        DrawError: if the value is anything else.
    """
    if not isinstance(values, dict):
        refuse(name, "an object of names and values", values)
    return values  # type: ignore[return-value]


def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _takes_tuples(hint: Any) -> bool:
    return get_origin(hint) is tuple or any(map(_takes_tuples, get_args(hint)))


def _expected(hint: Any, value: object) -> Violation:
    """What was expected instead of a value; None if it fits."""
    origin = get_origin(hint)
    if hint is Any:
        return None
    if origin is Annotated:
        return _expected_by_rules(hint, value)
    if origin in (Union, types.UnionType):
        return _expected_of_several(get_args(hint), value)
    if origin is Literal:
        choices = get_args(hint)
        fits = any(type(one) is type(value) and one == value for one in choices)
        return None if fits else either([repr(one) for one in choices])
    if origin is tuple:
        parts = get_args(hint)
        if not isinstance(value, tuple):
            return _describe(hint)
        if parts[-1] is Ellipsis:
            parts = parts[:1] * len(value)
        fits = len(parts) == len(value) and all(
            _expected(part, one) is None for part, one in zip(parts, value, strict=True)
        )
        return None if fits else _describe(hint)
    if origin is dict:
        part = get_args(hint)[1]
        fits = isinstance(value, dict) and all(
            isinstance(key, str) and _expected(part, one) is None for key, one in value.items()
        )
        return None if fits else f"names with values, each {_describe(part)}"
    return None if _is(hint, value) else _describe(hint)


def _expected_by_rules(hint: Any, value: object) -> Violation:
    kind, *rules = get_args(hint)
    if TABLE in rules:
        return _expected(str, value)
    if value is None and _expected(kind, None) is None:
        return None
    if _expected(kind, value) is not None:
        return _describe(hint)
    for rule in rules:
        if isinstance(rule, Rule):
            expected: Violation = rule.violation(_describe(kind), value)
            if expected is not None:
                return expected
    return None


def _expected_of_several(hints: tuple[Any, ...], value: object) -> Violation:
    each = [_expected(hint, value) for hint in _none_first(hints)]
    return None if None in each else either([one for one in each if one is not None])


def _is(kind: Any, value: object) -> bool:
    return _KINDS[kind][1](value) if kind in _KINDS else isinstance(value, kind)


def _describe(hint: Any) -> str:
    if get_origin(hint) is Annotated:
        kind, *rules = get_args(hint)
        limits = [rule for rule in rules if isinstance(rule, Limits)]
        return limits[0].describe(_describe(kind)) if limits else _describe(kind)
    if get_args(hint) and get_origin(hint) in (Union, types.UnionType):
        return either([_describe(one) for one in _none_first(get_args(hint))])
    if get_origin(hint) is tuple:
        part, *more = get_args(hint)
        count = "several" if Ellipsis in more else f"{1 + len(more)} values"
        return f"{count}, each {_describe(part)}"
    return _KINDS[hint][0] if hint in _KINDS else f"a {hint.__name__}"


def _none_first(hints: tuple[Any, ...]) -> list[Any]:
    return sorted(hints, key=lambda hint: hint is not types.NoneType)


def either(words: Sequence[str]) -> str:
    """Join several words of which one is right."""
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or value == "" or "\0" in value:
        return False
    try:
        value.encode(errors="surrogateescape")  # how Python spells a path that is not UTF-8
    except UnicodeEncodeError:
        return False
    return True


_KINDS: dict[Any, tuple[str, Callable[[object], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", _is_whole),
    float: ("a number", _is_number),
    str: ("text that is not empty", _is_text),
    types.NoneType: ("None", lambda value: value is None),
}
