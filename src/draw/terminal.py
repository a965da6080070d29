r"""Text that is safe to show to people, whatever the names of files and the words in them hold.

A control character in a name could move the cursor, hide a line, or change the terminal for good.
Everything that is printed, logged or laid out in a table goes through here; the characters that
would act are shown as Python writes them, such as \\x1b.
"""

import functools
import io
import logging
import re
import sys
import traceback
import warnings
from types import TracebackType
from typing import Any

_ACTING = r"\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff"
"""Control characters, those that turn the direction of writing, and those that are no text."""
_IN_A_LINE = re.compile(f"[{_ACTING}]")
_IN_LINES = re.compile(f"(?![\n\t])[{_ACTING}]")

_OF_ONE = {"are": "is", "have": "has"}


def visible(text: object) -> str:
    """Write out every character of a text that would act on the terminal."""
    return _IN_LINES.sub(_written, str(text))


def one_line(name: object) -> str:
    """Write out every character of a name that would act, line breaks too."""
    return _IN_A_LINE.sub(_written, str(name))


def _written(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape", "surrogatepass").decode()


def amount(number: int, noun: str) -> str:
    """Format how many of something there are: 1 picture, 1,200 pictures."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def agree(number: int, said: str) -> str:
    """Bring what is said of several, which begins with are or have, into the singular for one."""
    verb, space, rest = said.partition(" ")
    return _OF_ONE[verb] + space + rest if number == 1 else said


def say(text: object, *, error: bool = False) -> None:
    """Print text to standard output, or to standard error, at once."""
    print(visible(text), file=sys.stderr if error else sys.stdout, flush=True)


def flush() -> None:
    """Write out what is still held back, so that a full disk is reported now.

    Raises:
        OSError: if the output cannot be written.
    """
    sys.stdout.flush()


class LogFormatter(logging.Formatter):
    """Formatter of log messages: the message alone, with its traceback if it has one."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record as the library does, and make it `visible`."""
        return visible(super().format(record))


def guard() -> None:
    """Have log messages, warnings and tracebacks of this process shown as text alone.

    Characters that the terminal cannot show, in the C locale say, are written out too.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    warnings.formatwarning = _format_warning
    sys.excepthook = _show_exception


_FORMAT_WARNING = warnings.formatwarning


@functools.wraps(_FORMAT_WARNING)
def _format_warning(*arguments: Any, **options: Any) -> str:
    return visible(_FORMAT_WARNING(*arguments, **options))


def _show_exception(
    kind: type[BaseException], error: BaseException, at: TracebackType | None
) -> None:
    say("".join(traceback.format_exception(kind, error, at)).rstrip(), error=True)
