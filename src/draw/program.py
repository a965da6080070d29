"""The program whose command line this is, for the commands that it says: draw, or a script.

A script of somebody's own that adds a part to a table and then calls `draw.cli.main()` hands its
arguments on, and its part is known to it alone.
"""

import shlex
from pathlib import Path

_words: tuple[str, ...] = ("draw",)


def note_program(path: str) -> None:
    """Note what the command line was started by.

    Args:
        path: the file that was started, as `sys.argv[0]` has it.
    """
    global _words
    _words = _typed(Path(path))


def program() -> str:
    """Get the words before a verb, as in a shell: draw, or python own.py."""
    return shlex.join(_words)


def _typed(path: Path) -> tuple[str, ...]:
    if path.name in ("", "-c", "draw", "draw.exe") or path.parts[-2:] == ("draw", "__main__.py"):
        return ("draw",)
    if path.name == "__main__.py":
        return ("python", "-m", path.parent.name)
    return ("python", str(path)) if path.suffix == ".py" else (str(path),)
