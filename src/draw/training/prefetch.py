"""Values for the next steps, made in a thread during the present one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Prefetch(Generic[Value]):
    """A function of whole numbers, called for the next of them in a thread.

    A number's value, or error, reaches whoever asks for that number, and nobody before.
    As long as it is not entered, as a context, there is no thread: the function is called by
    whoever asks. On leaving, what has begun is finished, and the thread ends.

    Args:
        make: function of its argument alone.
        end: first number that is never asked for.
        depth: number of values that are made ahead, and kept in memory.
    """

    def __init__(self, make: Callable[[int], Value], end: int, depth: int = 2) -> None:
        self.make, self.end, self.depth = make, end, depth
        self._thread: ThreadPoolExecutor | None = None
        self._due: dict[int, Future[Value]] = {}

    def __call__(self, number: int) -> Value:
        """Return the function's value for a number, and begin with the numbers after it."""
        if self._thread is None:
            return self.make(number)
        for later in range(number, min(number + 1 + self.depth, self.end)):
            if later not in self._due:
                self._due[later] = self._thread.submit(self.make, later)
        return self._due.pop(number).result()

    def __enter__(self) -> "Prefetch[Value]":
        self._thread = ThreadPoolExecutor(1, "draw-prefetch")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        thread, self._thread, self._due = self._thread, None, {}
        if thread is not None:
            thread.shutdown(cancel_futures=True)
