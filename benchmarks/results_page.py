"""The page of results, made from the records in `benchmarks/results`: one source of each number.

python benchmarks/results_page.py            # writes docs/results.md
python benchmarks/results_page.py --check    # says whether it stands as the records have it
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "results.md"
LEFT_OUT = {
    "options",
    "config",
    "curve",
    "by_seed",
    "seconds",
    "cpu_seconds",
    "starts_from",
    "settings",
}
MOST = 40  # rows of one record's tables; the record has all
CHAPTERS = {
    "learning": "What agents learn",
    "edge": "What agents learn",
    "systems": "What agents learn",
    "presets": "What agents learn",
    "beside": "What agents learn",
    "behaviour": "What agents learn",
    "tabular": "Tabular problems",
    "bandits": "Bandits",
}
SPEED = "Speed"  # all else
HEAD = """# Results

Every number here is copied from a record in `benchmarks/results` by
`python benchmarks/results_page.py`; each record has its settings and the versions of all packages.
Intervals are 95 % over seeds. A record that is withdrawn stays, with the reason.
What recent papers claim, and what came of it here, is [a table of its own](systems.md).
"""


def page(folder: Path = RESULTS) -> str:
    """Markdown of all records, by chapter, those that are withdrawn last."""
    chapters: dict[str, list[str]] = {}
    read = {path: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    for path in sorted(read, key=lambda path: ("withdrawn" in read[path], path)):
        record = read[path]
        title = CHAPTERS.get(path.stem.split("-")[0], SPEED)
        chapters.setdefault(title, []).append(section(path.stem, record, folder))
    order = [*dict.fromkeys(CHAPTERS.values()), SPEED]
    found = [title for title in order if title in chapters]
    parts = [f"## {title}\n\n" + "\n".join(chapters[title]) for title in found]
    if claims := evidence(folder / "evidence"):
        parts.insert(0, claims)
    return HEAD + "\n" + "\n".join(parts)


def evidence(folder: Path) -> str:
    """The chapter of the claims, which `evidence/table.py` makes of their records."""
    spec = importlib.util.spec_from_file_location("evidence_table", HERE / "evidence" / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.chapter(folder)


def section(name: str, record: dict[str, Any], folder: Path) -> str:
    """One record: claim, withdrawal, command, tables, picture, versions. What made a record that is
    withdrawn may be gone: its command is not told, and what it claimed is not drawn."""
    lines = [f"### {name}", ""]
    if text := record.get("claim"):
        lines += [f"{text[0].upper()}{text[1:]}.", ""]
    if reason := record.get("withdrawn"):
        lines += [f"**Withdrawn:** {reason}", ""]
    if note := record.get("note"):
        lines += [note, ""]
    if (command := record.get("command")) and not reason:
        lines += [f"    {command}", ""]
    body = record.get("results") or {
        key: value
        for key, value in record.items()
        if key not in {"claim", "command", "versions", "withdrawn", "note", "processor"}
    }
    lines += printed(list(tables(body)))
    lines += [f"- {pair}: {text}" for pair, text in (record.get("compared") or {}).items()]
    if (folder / f"{name}.png").exists() and not reason:
        lines += ["", f"![{name}](../benchmarks/results/{name}.png)"]
    versions = record.get("versions", {})
    known = [f"{k} {v}" for k, v in versions.items() if k in ("rlkit", "torch", "commit")]
    if known:
        lines += ["", f"Recorded with {', '.join(known)}."]
    return "\n".join(lines) + "\n"


class Table(NamedTuple):
    """Rows below a title; without columns of their own, names and values."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def tables(values: Any, where: str = "") -> Iterator[Table]:
    """Everything worth a row: dicts that say the same of several are the rows of one table."""
    if not isinstance(values, dict) or is_leaf(values):
        values, where = {where or "result": values}, ""
    kept = {str(key): value for key, value in values.items() if key not in LEFT_OUT}
    if leaves := {key: value for key, value in kept.items() if is_leaf(value)}:
        yield Table(where, [], [[key, cell(value)] for key, value in leaves.items()])
    inner = {key: value for key, value in kept.items() if key not in leaves}
    if level := common_level(inner):
        inner = {key: value[level] for key, value in inner.items()}
        where = f"{where}: {level}" if where else level
    if columns := alike(inner):
        rows = [[key, *(cell(x[c]) if c in x else "" for c in columns)] for key, x in inner.items()]
        yield Table(where, columns, rows)
        return
    for key, value in inner.items():
        yield from tables(value, f"{where}: {key}" if where else key)


def common_level(inner: dict[str, Any]) -> str:
    """The one key that all dicts have, whose values are dicts: a level that tells nothing apart."""
    keys = {tuple(key for key in value if key not in LEFT_OUT) for value in inner.values()}
    one = keys.pop() if len(keys) == 1 else ()
    if len(one) != 1 or any(is_leaf(value[one[0]]) for value in inner.values()):
        return ""
    return str(one[0])


def printed(found: list[Table]) -> list[str]:
    """Markdown of the first rows of a record's tables; the record has all."""
    lines, left = [], MOST
    for table in found:
        if rows := table.rows[:left]:
            lines += [f"**{table.title}**", ""] if table.title else []
            count = len(table.columns) or 1
            lines += [f"| | {' | '.join(table.columns)} |".replace("|  |", "| |")]
            lines += ["|---" * (count + 1) + "|", *(f"| {' | '.join(row)} |" for row in rows), ""]
        left -= len(rows)
    more = sum(len(table.rows) for table in found) - MOST
    return [*lines, *([f"{more} more rows are in the record."] if more > 0 else [])]


def alike(inner: dict[str, Any]) -> list[str]:
    """What rows have in common to stand in one table; nothing where they would not fit one."""
    rows = [{key: x for key, x in row.items() if key not in LEFT_OUT} for row in inner.values()]
    if len(rows) < 2 or not all(is_leaf(x) for row in rows for x in row.values()):
        return []
    columns = list(dict.fromkeys(str(key) for row in rows for key in row))
    filled = sum(map(len, rows)) / (len(rows) * max(len(columns), 1))
    return columns if 0 < len(columns) <= 8 and filled > 0.6 else []


def is_leaf(value: Any) -> bool:
    """Whether a value is one cell: no dict, or the spread of a number."""
    return not isinstance(value, dict) or value.keys() >= {"median", "min", "max"}


def cell(value: Any) -> str:
    """A value, a spread as one number with its range."""
    if isinstance(value, dict):
        low, high = shown(value["min"]), shown(value["max"])
        return f"{shown(value['median'])} [{low}, {high}]"
    return shown(value)


def shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(shown(item) for item in value[:6]) + (", ..." if len(value) > 6 else "")
    return str(value).replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
