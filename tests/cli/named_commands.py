"""Commands that documents, docstrings and messages name, found in their text."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_DOCUMENTS = ("*.md", "docs/**/*.md", "Makefile", "benchmarks/**/*.toml", "examples/**/*.toml")
_CODE = ("rlkit/**/*.py", "benchmarks/**/*.py", "examples/**/*.py")
_OLD = "CHANGELOG.md"  # tells what was
_FENCE = re.compile(r"^ *```.*?\n(.*?)^ *```", re.M | re.S)
_BEHIND = re.compile(r" {3,}.*| +#.*")  # a remark behind a command line
_PROSE = re.compile(r"[`;\n\"]|[.:]( |$)| and not |\) ")  # ends what a message says of a command


class Text(NamedTuple):
    where: str  # file, from the root of the repository on
    text: str
    is_string: bool  # of Python, with X for what an f-string fills in


class Line(NamedTuple):
    where: str
    words: str  # from the program's name on
    whole: bool  # a command line and nothing else; else prose goes on behind it


def texts() -> Iterator[Text]:
    """All that users read: documents, and the strings of Python files."""
    for pattern in _DOCUMENTS:
        for path in sorted(ROOT.glob(pattern)):
            if path.name != _OLD:
                yield Text(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"), False)
    for pattern in _CODE:
        for path in sorted(ROOT.glob(pattern)):
            for text in strings(path.read_text(encoding="utf-8")):
                yield Text(str(path.relative_to(ROOT)), text, True)


def strings(source: str) -> Iterator[str]:
    """The strings of Python source, without the indentation of the code around them."""
    inside: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            inside |= {id(part) for part in node.values}
            parts = (str(p.value) if isinstance(p, ast.Constant) else "X" for p in node.values)
            yield inspect.cleandoc("".join(parts))
        elif id(node) not in inside and isinstance(getattr(node, "value", None), str):
            yield inspect.cleandoc(node.value)  # type: ignore[attr-defined]


def lines(program: str, found: Text) -> Iterator[Line]:
    """The commands of `program`, a regular expression, in a text: those on lines of their own in
    blocks of code, those in backticks, and the beginnings of those within prose."""
    text = re.sub(r"\s*\\\n\s*", " ", found.text)  # continued lines
    seen: set[int] = set()

    def taken(pattern: str, within: str, at: int = 0) -> Iterator[Line]:
        for match in re.finditer(pattern, within, re.M):
            seen.add(at + match.start("line"))
            said = _BEHIND.sub("", match["line"]) if "`" not in pattern else match["line"]
            yield Line(found.where, " ".join(said.split()), True)

    yield from taken(rf"`(?:\$ )?(?P<line>{program}[^`]*)`", text)
    for fence in _FENCE.finditer(text):
        yield from taken(rf"^ *(?:\$ )?(?P<line>{program}.*)$", fence[1], fence.start(1))
    own = r"(?:#? {2,}|\t)" if found.is_string or not found.where.endswith(".md") else " {4,}"
    yield from taken(rf"^{own}(?:@?\$\(BIN\)/|\$ )?(?P<line>{program}.*)$", text)
    for match in re.finditer(program, text):
        if match.start() not in seen and text[: match.start()][-1:] != "`":
            rest = text[match.start() :]
            stop = _PROSE.search(rest, match.end() - match.start())
            words = _BEHIND.sub("", rest[: stop.start()] if stop else rest)
            yield Line(found.where, " ".join(words.split()), False)
