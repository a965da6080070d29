"""Hook of the site: the page that explains DRAW by DRAW, which `draw page` wrote, is part of it."""

from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

WRITTEN = Path(__file__).parents[2] / "build" / "interactive"
"""Where `make docs` has it written."""


def on_files(files: Files, config: Any) -> Files:
    """Add its files, below interactive/."""
    for path in sorted(WRITTEN.rglob("*.*")):
        name = f"interactive/{path.relative_to(WRITTEN)}"
        files.append(File.generated(config, name, abs_src_path=str(path)))
    return files
