"""The one exception of this package."""

from draw.errors import DrawError


class DataError(DrawError):
    """Images cannot be had as asked: says what was expected, what came and what to do about it."""


def listing(bad: list[str], most: int = 10) -> str:
    """The first few of many messages, one a line, and how many more there are."""
    more = [f"... and {len(bad) - most:,} more"] if len(bad) > most else []
    return "".join(f"\n  {line}" for line in bad[:most] + more)
