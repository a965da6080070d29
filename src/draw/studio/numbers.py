"""Numbers from a form, which may be missing, no numbers, or out of range."""

from typing import Any

from draw.errors import DrawError


def real(name: str, value: Any, least: float, most: float) -> float:
    """Check a number of a form against its bounds.

    Args:
        name: name of the number, for the message.
        value: value of the field.
        least: least number.
        most: greatest number.

    Raises:
        DrawError: if the value is something else, with what was expected.
    """
    expected = f"expected {name} to be a number from {least:g} to {most:g}"
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        got = "nothing" if value is None else f"{value!r:.40}"
        raise DrawError(f"{expected}, got {got}; type a number")
    if not least <= value <= most:
        raise DrawError(f"{expected}, got {_shown(value)}; type one in between")
    return float(value)


def whole(name: str, value: Any, least: int, most: int) -> int:
    """Check a whole number of a form against its bounds.

    Args:
        name: name of the number, for the message.
        value: value of the field.
        least: least number.
        most: greatest number.

    Raises:
        DrawError: if the value is something else, with what was expected.
    """
    number = real(name, value, float(least), float(most))
    if number != int(number):
        raise DrawError(f"expected {name} to be a whole number, got {number:g}; leave out the rest")
    return int(number)


def _shown(value: int | float) -> str:
    try:
        return f"{value:g}"
    except OverflowError:
        return f"one of {len(str(abs(value)))} digits"
