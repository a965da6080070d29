"""The verb page: DRAW explained by DRAW, as a folder or a file that needs no server."""

import os
from pathlib import Path
from typing import Annotated

from tyro.conf import UseAppendAction

from draw.errors import DrawError
from draw.terminal import say


def page(
    to: Path,
    single: bool = False,
    models: Annotated[tuple[str, ...], UseAppendAction] = (),
    documents: str | None = None,
    code: str | None = None,
) -> None:
    """Write the page that explains DRAW, on which models draw.

    They draw in the browser, without a server.

    Without --single it is a folder for any static host, which fetches the weights of a model when
    they are needed. With --single it is one HTML file that works from a disk, offline. Neither asks
    anything of any other address.

    Args:
        to: a new folder; with --single a file that ends in .html.
        single: write one file instead of a folder.
        models: a model that the page carries, once for each; mnist, on which most of the page
            stands, is always among them. By default all that it can show.
        documents: address of the documents, to which the foot of the page then leads; relative ones
            are from where the page will be.
        code: address of the code, likewise.
    """
    from draw.page.document import Links, write_file, write_folder
    from draw.page.portable import ENCODES, page_models, portable

    chosen = models or page_models()
    unknown = sorted({*chosen} - {*page_models()})
    if unknown:
        raise DrawError(
            f"expected --models of {', '.join(page_models())}, got {', '.join(unknown)}; the page "
            "has a part for each of them and for no other"
        )
    names = [name for name in page_models() if name in chosen or name == "mnist"]
    if single and to.suffix.lower() not in (".html", ".htm"):
        raise DrawError(f"expected --to of a file that ends in .html with --single, got {to}")
    if not single and os.path.lexists(to) and (not to.is_dir() or any(to.iterdir())):
        raise DrawError(f"{to} exists already and is left as it is; name another folder with --to")
    links = Links(documents, code)
    carried = [portable(name, encodes=ENCODES[name]) for name in names]
    size = (write_file if single else write_folder)(to, carried, links)
    say(f"{to}: {size / 1e6:.1f} MB with {', '.join(names)}")
