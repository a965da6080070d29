"""The end of a studio: in order, whichever signal ends it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


@contextmanager
def end_in_order() -> Iterator[None]:
    """Make SIGTERM and SIGHUP leave the block as Ctrl-C does, by an exception.

    Raises:
        SystemExit: with 128 and the signal's number as status, when such a signal comes.
    """
    before: dict[signal.Signals, Any] = {}

    def end(number: int, _: FrameType | None) -> None:
        for each in before:  # another does not interrupt the cleaning up
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(128 + number)

    def hang_up(*_: object) -> None:
        signal.raise_signal(signal.SIGTERM)  # which the server ends by as well, in its own way

    for each, action in ((signal.SIGTERM, end), (signal.SIGHUP, hang_up)):
        if signal.getsignal(each) is not signal.SIG_IGN:  # as nohup has it
            before[each] = signal.signal(each, action)
    try:
        yield
    finally:
        for each, action in before.items():
            signal.signal(each, action)
