"""Hook of the site: what is built is whole, and asks nothing of anybody else."""

import logging
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

log = logging.getLogger("mkdocs.hooks")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""Tags whose address the browser loads by itself."""


class Addresses(HTMLParser):
    """What a page links to, what it loads, and the names that others can link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of a tag."""
        values = {name: value for name, value in attrs if value}
        self.names |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        loaded = values.get(LOADED.get(tag, ""))
        if loaded and values.get("rel") != "canonical":
            self.loaded.append(loaded)


def faults(site: Path) -> list[str]:
    """Say which links of a built site lead nowhere, and what it loads from elsewhere."""
    pages = {path: Addresses(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        where = path.relative_to(site)
        if path.name == "404.html":  # its addresses begin at the root of the host
            continue
        found += [f"{where}: loads {one}" for one in page.loaded if urlsplit(one).netloc]
        for link in (*page.links, *page.loaded):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                found.append(f"{where}: {link} is not there")
            elif parts.fragment and target in pages:
                there = unquote(parts.fragment) in pages[target].names
                found += [] if there else [f"{where}: {link} has no such place"]
    return found


def on_post_build(config: Any) -> None:
    """Warn of every fault, which ends a strict build."""
    for fault in faults(Path(config.site_dir).resolve()):
        log.warning(fault)
