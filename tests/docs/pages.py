"""The pages of the documents as the site has them, those that are made included."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import algorithm_pages
import family_pages
import reference_pages
import sources
import tutorial_pages

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(
    r"^(?P<pad> *)```(?P<kind>\w+)(?P<rest>[^\n]*)\n(?P<body>.*?)^(?P=pad)```", re.M | re.S
)


class Block(NamedTuple):
    """A block of code on a page."""

    kind: str  # python, toml, bash, text
    title: str  # the file it is, or nothing
    text: str


@cache
def written() -> dict[str, str]:
    """Pages that are written by hand -> their text; names are relative to `docs`."""
    found = {}
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(DOCS).as_posix()
        if not name.startswith("algorithms/"):
            found[name] = path.read_text(encoding="utf-8")
    return found


@cache
def pages() -> dict[str, str]:
    """Every page of the site."""
    made = {"algorithms/index.md": algorithm_pages.index()}
    made |= {f"algorithms/{name}.md": algorithm_pages.page(name) for name in sources.algorithms()}
    made |= {family_pages.BANDITS: family_pages.bandits()}
    made |= {family_pages.TABULAR: family_pages.tabular()}
    made |= {"reference/index.md": reference_pages.index()}
    made |= {reference_pages.file_of(p): reference_pages.page(p) for p in reference_pages.PACKAGES}
    made |= {"reference/options.md": reference_pages.options()}
    made |= {f"tutorials/{name}.md": tutorial_pages.page(name) for name in tutorial_pages.titles()}
    made |= {"changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")}
    return written() | made


def blocks(text: str) -> list[Block]:
    """The blocks of code of a page, in order."""
    found = []
    for match in _FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', match["rest"])
        found.append(Block(match["kind"], title[1] if title else "", match["body"]))
    return found


def anchors(text: str) -> set[str]:
    """The headings of a page as addresses within it."""
    outside_code = _FENCE.sub("", text)
    found = set()
    for heading in re.findall(r"^#+ (.+)$", outside_code, re.M):
        plain = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        found.add(re.sub(r"[-\s]+", "-", plain))
    return found


def links(name: str, text: str) -> list[tuple[str, str]]:
    """The links of a page to others of the site: (page, heading or nothing)."""
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        whole = (Path("/") / Path(name).parent / path).as_posix() if path else f"/{name}"
        parts: list[str] = []
        for part in whole.strip("/").split("/"):
            parts = parts[:-1] if part == ".." else [*parts, part]
        found.append(("/".join(parts), heading))
    return found
