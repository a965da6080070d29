"""Progress of long work: a live bar in a terminal, plain lines now and then anywhere else."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from draw.console import VisibleConsole
from draw.terminal import visible

SECONDS_BETWEEN_LINES = 10.0
WIDE = 100
"""Characters of a terminal that has room for a long bar."""

Item = TypeVar("Item")

Update = Callable[[int, str], None]
"""A function update(how many are done, text beside the bar)."""


class Bar:
    """What `progress` yields: called with a count and a text it shows both."""

    def __init__(
        self, update: Update, note: Callable[[str], None], expect: Callable[[int], None]
    ) -> None:
        self._update, self._note, self._expect = update, note, expect

    def __call__(self, done: int, text: str) -> None:
        """Show how many are done, and a text beside it."""
        self._update(done, text)

    def note(self, line: str) -> None:
        """Leave a line of its own above the bar, or among the lines."""
        self._note(line)

    def expect(self, total: int) -> None:
        """Take another count for the one at the end."""
        self._expect(total)


class _TextThatFits(ProgressColumn):
    """The caller's text, cut where the terminal ends: what stands before it keeps its place."""

    def render(self, task: Task) -> Text:
        return Text(task.fields["text"], no_wrap=True, overflow="ellipsis")


class _Rate(ProgressColumn):
    def __init__(self, unit: str, units_per_item: int, column: Column) -> None:
        super().__init__(column)
        self.unit, self.units_per_item = unit, units_per_item

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed * self.units_per_item:.0f} {self.unit}/s")


@contextmanager
def progress(
    what: str,
    total: int | None,
    *,
    done: int = 0,
    unit: str = "images",
    units_per_item: int = 1,
    enabled: bool = True,
    brief: bool = False,
) -> Iterator[Bar]:
    """Show on standard error how far some work is: rate, time left, and a text of the caller's.

    Args:
        what: name of the work, a word or two.
        total: the count at the end; None if it is not known.
        done: the count at the start, for work that is resumed.
        unit: unit of the rate.
        units_per_item: number of units that one count stands for.
        enabled: whether to show anything; False on all but one of several processes.
        brief: whether to leave nothing behind when all is done.
    """
    console = VisibleConsole(stderr=True)
    if not enabled:
        yield Bar(lambda done, text: None, lambda line: None, lambda total: None)
    elif console.is_terminal:
        fixed = Column(no_wrap=True)
        columns = (
            TextColumn("{task.description}", markup=False, table_column=fixed),
            BarColumn(bar_width=20 if console.width >= WIDE else 8, table_column=fixed),
            MofNCompleteColumn(table_column=fixed),
            _Rate(unit, units_per_item, fixed),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True, table_column=fixed),
            _TextThatFits(),
        )
        with Progress(*columns, console=console, transient=brief) as bars:
            task = bars.add_task(visible(what), total=total, completed=done, text="")
            yield Bar(
                lambda done, text: bars.update(task, completed=done, text=visible(text)),
                lambda line: bars.console.print(line, soft_wrap=True),
                lambda total: bars.update(task, total=total),
            )
    else:
        lines = _PlainLines(console, what, total, done, unit, units_per_item, brief)
        yield Bar(lines, lambda line: console.print(line, soft_wrap=True), lines.expect)


def track(
    items: Iterable[Item], what: str, *, total: int | None = None, enabled: bool = True
) -> Iterator[Item]:
    """Yield items, and show how many are done; see `progress`."""
    with progress(what, total, enabled=enabled, brief=True) as update:
        for done, item in enumerate(items, 1):
            yield item
            update(done, "")


class _PlainLines:
    """A line now and then, and one at the end unless little is to be said."""

    def __init__(
        self,
        console: VisibleConsole,
        what: str,
        total: int | None,
        start: int,
        unit: str,
        units_per_item: int,
        brief: bool,
    ) -> None:
        self.console, self.what, self.total, self.start = console, what, total, start
        self.unit, self.units_per_item, self.brief = unit, units_per_item, brief
        self.began = self.said = time.monotonic()
        self.said_last = False

    def expect(self, total: int) -> None:
        self.total = total

    def __call__(self, done: int, text: str) -> None:
        now = time.monotonic()
        at_last = done == self.total and not self.brief and not self.said_last
        if now - self.said < SECONDS_BETWEEN_LINES and not at_last:
            return
        self.said, self.said_last = now, self.said_last or at_last
        speed = (done - self.start) / max(now - self.began, 1e-9)
        rate = f"{speed * self.units_per_item:.0f} {self.unit}/s"
        if self.total is None:
            line = f"{self.what} {done}  {rate}  {text}"
        else:
            left = str(timedelta(seconds=round((self.total - done) / speed))) if speed else "?"
            line = f"{self.what} {done}/{self.total}  {rate}  {left} left  {text}"
        self.console.print(line.rstrip(), soft_wrap=True)
