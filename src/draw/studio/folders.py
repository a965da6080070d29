"""Run folders, which are read and never written, and no file outside of the chosen folder."""

from collections.abc import Iterator
from pathlib import Path

from draw.errors import DrawError
from draw.runs.paths import RUN_FILE

DEEPEST = 3
"""Levels below the chosen folder at which runs are looked for."""
MOST_RUNS = 500


def run_folders(root: Path) -> dict[str, Path]:
    """Find the run folders below a folder by their names in it, newest first.

    A link in the folder itself counts as chosen with it, like one to a run on another disk. Links
    further down are not followed, and what cannot be read is left out.
    """
    found: list[tuple[float, str, Path]] = []
    for folder, parts in _folders(root, (), DEEPEST):
        try:
            made = inside(folder, RUN_FILE).stat().st_mtime
        except (DrawError, OSError):
            continue
        found.append((-made, "/".join((root.resolve().name, *parts)), folder))
    return {name: folder for _, name, folder in sorted(found)[:MOST_RUNS]}


def _folders(
    folder: Path, parts: tuple[str, ...], levels: int
) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """A folder and those below it, each with the names that lead to it."""
    yield folder, parts
    try:
        if not levels or (folder / RUN_FILE).exists():
            return
        for inner in sorted(folder.iterdir()):
            if inner.is_dir() and (not parts or not inner.is_symlink()):
                yield from _folders(inner, (*parts, inner.name), levels - 1)
    except OSError:
        return


def inside(folder: Path, *parts: str) -> Path:
    """Return a file of a folder.

    Raises:
        DrawError: if a link makes it a file that lies elsewhere, or it is not there.
    """
    try:
        path = folder.joinpath(*parts).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # the latter is a link that loops
        raise DrawError(f"{folder.name} has no {'/'.join(parts)}; was it deleted?") from error
    if not path.is_relative_to(folder.resolve()):
        raise DrawError(
            f"{'/'.join(parts)} of {folder.name} is a link that leads out of its folder"
        )
    return path
