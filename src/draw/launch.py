"""The environment of a launcher of several processes (torchrun, accelerate launch)."""

import os

from draw.fields import Limits, refuse

LEAST = {"WORLD_SIZE": 1, "RANK": 0, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
"""Environment variables that launchers set, and the least value of each."""


def launched_processes() -> int:
    """Number of processes that work together: WORLD_SIZE, or 1 without a launcher.

    Raises:
        DrawError: if that variable, or another one of launchers, is no such number.
    """
    for name, least in LEAST.items():
        text = os.environ.get(name, str(least))
        if not (text.isascii() and text.isdigit() and least <= int(text[:10])):
            expected = Limits(least=least).describe("a whole number")
            refuse(f"{name} (environment)", expected, text)
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process is the one that writes files and speaks: RANK 0, or the only one."""
    return os.environ.get("RANK", "0") == "0"
