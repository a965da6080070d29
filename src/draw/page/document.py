"""The page as files: a folder for any static host, or one HTML file with everything in it."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from draw.errors import DrawError
from draw.files import write_atomically, write_folder_atomically
from draw.page.portable import PortableModel

HERE = Path(__file__).parent
SCRIPT = HERE / "built" / "page.js"
"""The page's code as one file, which `make page` builds of `script/`."""
STUDIO_SCRIPT = HERE / "built" / "studio.js"
"""File of the same parts for the studio."""
STYLE = HERE / "style.css"
TITLE = "DRAW: a network that draws"
DESCRIPTION = (
    "DRAW (Gregor et al. 2015) explained by DRAW: a network that looks and writes through small "
    "windows, running in your browser."
)


@dataclass(frozen=True)
class Links:
    """Where the page says that there is more: addresses, of the web or relative to the page.

    Raises:
        DrawError: if one is neither.
    """

    documents: str | None = None
    code: str | None = None

    def __post_init__(self) -> None:
        for name, address in vars(self).items():
            if urlsplit(address or "").scheme not in ("", "http", "https"):
                raise DrawError(
                    f"expected --{name} of an address that begins with https:// or http://, or is "
                    f"relative to the page, got {address}"
                )

    @property
    def elements(self) -> str:
        """For the head of the document, from where its script shows them."""
        return "".join(
            f'<link rel="related" data-link="{name}" href="{html.escape(address)}">\n'
            for name, address in vars(self).items()
            if address
        )


NO_LINKS = Links()


def write_file(path: Path, models: Sequence[PortableModel], links: Links = NO_LINKS) -> int:
    """Write the page as one file, which works from a disk, offline.

    Args:
        path: the HTML file.
        models: models that it carries.
        links: what its foot leads to.

    Returns:
        Its size in bytes.

    Raises:
        DrawError: if the file cannot be written.
    """
    script, style = SCRIPT.read_text(), STYLE.read_text()
    weights = "\n".join(
        f'<script type="text/plain" id="weights-{html.escape(model.name)}">'
        f"{base64.b64encode(model.weights).decode()}</script>"
        for model in models
    )
    policy = (
        f"default-src 'none'; script-src '{_source_hash(script)}'; "
        f"style-src '{_source_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    text = _document(
        models,
        policy,
        head=f"{links.elements}<style>{style}</style>",
        foot=f"{weights}\n<script>{script}</script>",
    )
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return len(text.encode())


def write_folder(folder: Path, models: Sequence[PortableModel], links: Links = NO_LINKS) -> int:
    """Write the page as a folder whose weights are fetched when they are needed.

    Args:
        folder: a new folder.
        models: models that it carries.
        links: what its foot leads to.

    Returns:
        Its size in bytes.

    Raises:
        DrawError: if the folder cannot be written.
    """
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
    text = _document(
        models,
        policy,
        head=f'{links.elements}<link rel="stylesheet" href="style.css">',
        foot='<script src="page.js"></script>',
    )
    files = {"index.html": text.encode(), "page.js": SCRIPT.read_bytes()}
    files["style.css"] = STYLE.read_bytes()
    files |= {f"weights/{model.name}.safetensors": model.weights for model in models}
    with write_folder_atomically(folder) as temporary:
        for name, content in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_bytes(content)
    return sum(map(len, files.values()))


def _document(models: Sequence[PortableModel], policy: str, *, head: str, foot: str) -> str:
    entries = [{"name": model.name, "config": model.config} for model in models]
    # In a script element "<" could end it.
    listed = json.dumps(entries).replace("<", "\\u003c")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="{DESCRIPTION}">
<title>{TITLE}</title>
{head}
</head>
<body>
<noscript><h1>{TITLE}</h1><p>{DESCRIPTION} It needs JavaScript.</p></noscript>
<script type="application/json" id="models">{listed}</script>
{foot}
</body>
</html>
"""


def _source_hash(text: str) -> str:
    """Hash of an inline script or style as a content security policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
