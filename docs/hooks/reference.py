"""Hook of the site: a page of reference for each package, from its docstrings.

No list of modules stands anywhere: what is added to the package is in the reference.
"""

import ast
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

SOURCE = Path(__file__).parents[2] / "src" / "draw"
WITHOUT_API = "cli", "page", "studio", "weights"
"""Packages that are used by their commands and pages."""


def modules(package: Path) -> list[str]:
    """Dotted names of a package's modules that say what they are, itself first."""
    found = [package / "__init__.py", *sorted(package.rglob("*.py"))]
    names = [
        ".".join(["draw", *path.relative_to(SOURCE).with_suffix("").parts])
        for path in dict.fromkeys(found)
        if ast.get_docstring(ast.parse(path.read_text()))
    ]
    return [name.removesuffix(".__init__") for name in names]


def page_of(package: Path) -> str:
    """Write the page of a package, with what mkdocstrings puts in its place."""
    entries = "\n\n".join(f"::: {name}" for name in modules(package))
    return f"# draw.{package.name}\n\n{entries}\n"


def packages() -> list[Path]:
    """Find the packages with an interface in Python."""
    found = sorted(path.parent for path in SOURCE.glob("*/__init__.py"))
    return [path for path in found if path.name not in WITHOUT_API]


def on_files(files: Files, config: Any) -> Files:
    """Add a page for each package, and one for the modules beside them."""
    for package in packages():
        text = page_of(package)
        files.append(File.generated(config, f"reference/{package.name}.md", content=text))
    beside = sorted(SOURCE.glob("[a-z]*.py"))
    entries = "\n\n".join(f"::: draw.{path.stem}" for path in beside)
    text = f"# Below all packages\n\n{entries}\n"
    files.append(File.generated(config, "reference/below.md", content=text))
    return files


def on_nav(nav: Any, config: Any, files: Files) -> Any:
    """Leave the navigation as it is: `on_config` wrote it."""
    return nav


def on_config(config: Any) -> Any:
    """Name the pages in the navigation, in the place of `reference/`."""
    pages = [f"reference/{package.name}.md" for package in packages()]
    wanted = ["reference/index.md", *pages, "reference/below.md"]
    config.nav = [
        {"Reference": wanted} if entry == {"Reference": "reference/"} else entry
        for entry in config.nav
    ]
    return config
