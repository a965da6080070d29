"""The commands that documents show, and what each of them needs to be run."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
PROGRAMS = ("draw", "torchrun", "accelerate")
LAUNCHED = ("-m", "draw")


def blocks(text: str) -> Iterator[str]:
    """The blocks of code of a document that are for a shell: indented ones, and fenced ones."""
    yield from re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    unfenced = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    for found in re.findall(r"(?:(?<=\n\n)|\A)((?: {4,}\S.*\n|\n(?= {4}))+)", unfenced):
        yield re.sub(r"^ {4}", "", found, flags=re.MULTILINE)


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of draw in a document's blocks, as the words after `draw`."""
    for block in blocks(text):
        for line in block.replace("\\\n", " ").splitlines():
            if line.split(" ")[0] in PROGRAMS:
                words = shlex.split(line.partition(" > ")[0], comments=True)
                yield words_after_draw(words)


def words_after_draw(words: list[str]) -> list[str]:
    """Leave out the program, or the launcher up to `-m draw`."""
    if words[0] == "draw":
        return words[1:]
    starts = range(len(words) - 1)
    place = next(n for n in starts if tuple(words[n : n + 2]) == LAUNCHED)
    return words[place + 2 :]
