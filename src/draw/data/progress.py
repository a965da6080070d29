"""A progress bar on a terminal, a log line now and then elsewhere."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

logger = logging.getLogger("draw")

SECONDS_BETWEEN_LINES = 10.0

Item = TypeVar("Item")


def track(
    items: Iterable[Item], description: str, *, total: int | None = None, show: bool = True
) -> Iterator[Item]:
    """Yields the items, and shows how many are done on standard error.

    Args:
        items: what to go through.
        description: what is being done, such as "decoding mnist".
        total: how many items there are, if that is known.
        show: whether to show anything.
    """
    if not show:
        yield from items
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield from _with_lines(items, description, total)
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        yield from progress.track(items, total=total, description=description)


def _with_lines(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    last = time.monotonic()
    for done, item in enumerate(items):
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            logger.info("%s: %s", description, f"{done:,}" + (f" of {total:,}" if total else ""))
        yield item
