"""Hook of the site: documents that stand at the root of the project are pages too."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCUMENTS = "CONTRIBUTING.md", "CHANGELOG.md"
ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: Any) -> Files:
    """Add the documents, from where they stand."""
    for name in DOCUMENTS:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links between the root and docs/ to the pages of the site."""
    if page.file.src_uri in DOCUMENTS:
        return re.sub(r"(?<=\]\()docs/", "", markdown)
    names = "|".join(map(re.escape, DOCUMENTS))
    return re.sub(rf"(?<=\]\()((?:\.\./)*)\.\./(?=(?:{names})\b)", r"\1", markdown)
