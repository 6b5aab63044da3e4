"""No page may need the network to be read: what a built page loads must lie in the site."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

_LOADS = {  # tag -> attributes whose target is loaded with the page
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "object": ("data",),
    "embed": ("src",),
}
_NAMES_ONLY = {"canonical", "next", "prev", "alternate", "author", "license", "edit"}  # of a link
_IN_CSS = re.compile(r"(?:url\(\s*|@import\s+)[\"']?([^\"')\s;]+)")


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.style = tag == "style"
        if tag == "link" and _NAMES_ONLY & set(given.get("rel", "").split()):
            return
        for name in _LOADS.get(tag, ()):
            if given.get(name):
                self.loaded += [one.split()[0] for one in given[name].split(", ")]
        self.loaded += _IN_CSS.findall(given.get("style", ""))

    def handle_endtag(self, tag: str) -> None:
        self.style = self.style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self.style:
            self.loaded += _IN_CSS.findall(data)


def loaded(text: str) -> list[str]:
    """What a page of HTML loads: scripts, style sheets, fonts, pictures."""
    page = _Page()
    page.feed(text)
    return page.loaded


def faults(site: Path) -> list[str]:
    """What pages and style sheets of a built site load from outside of it, or in vain."""
    found = []
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        text = path.read_text(encoding="utf-8")
        for target in _IN_CSS.findall(text) if path.suffix == ".css" else loaded(text):
            parts = urlsplit(target)
            if parts.scheme == "data" or target.startswith("#"):
                continue
            if parts.scheme or parts.netloc:
                found.append(f"{path.relative_to(site)} loads {target}")
                continue
            base = site if parts.path.startswith("/") else path.parent
            # a site may be served from a folder: pages beside 404.html name it by an absolute path
            if path.name != "404.html" and not (base / unquote(parts.path).lstrip("/")).exists():
                found.append(f"{path.relative_to(site)} loads {target}, which is not there")
    return found
