"""Ctrl-C and SIGTERM as requests, which are met when it is convenient."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def requests_to_stop(ask: Callable[[], None]) -> Iterator[None]:
    """Turn the first Ctrl-C, and SIGTERM, into a request while the context lasts.

    Python hands signals to the main thread alone: in another one nothing is asked.

    Args:
        ask: called at the first Ctrl-C, after which the second does what it always did; and at
            every SIGTERM, which supervisors repeat, and whose own way would save nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def take(number: int, frame: FrameType | None) -> None:
        ask()
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, take)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
