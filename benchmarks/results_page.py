"""The page of results, made from the records in `benchmarks/results`: one source of each number.

python benchmarks/results_page.py            # writes docs/results.md
python benchmarks/results_page.py --check    # says whether it stands as the records have it
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results", HERE.parent / "docs" / "results.md"
LEFT_OUT = {"options", "config", "curve", "by_seed", "seconds", "cpu_seconds", "starts_from"}
MOST = 40  # rows of one table; the record has all
CHAPTERS = {
    "learning": "What agents learn",
    "edge": "What agents learn",
    "beside": "What agents learn",
    "bandits": "Bandits",
    "tabular": "Tabular problems",
}
HEAD = """# Results

Every number here is copied from a record in `benchmarks/results` by
`python benchmarks/results_page.py`; each record has its settings and the versions of all packages.
Intervals are 95 % over seeds. A record that is withdrawn stays, with the reason.
"""


def page(folder: Path = RESULTS) -> str:
    """Markdown of all records, by chapter."""
    chapters: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        title = CHAPTERS.get(path.stem.split("-")[0], "Speed")
        chapters.setdefault(title, []).append(section(path.stem, record, folder))
    parts = [f"## {title}\n\n" + "\n".join(chapters[title]) for title in sorted(chapters)]
    return HEAD + "\n" + "\n".join(parts)


def section(name: str, record: dict[str, Any], folder: Path) -> str:
    """One record: claim, withdrawal, command, tables, picture, versions. What made a record that is
    withdrawn may be gone: its command is not told."""
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
    rows = list(flat(body))
    lines += ["| | |", "|---|---|", *(f"| {where} | {value} |" for where, value in rows[:MOST])]
    if len(rows) > MOST:
        lines.append(f"| ... | {len(rows) - MOST} more in the record |")
    lines += ["", *(f"- {pair}: {text}" for pair, text in (record.get("compared") or {}).items())]
    if (folder / f"{name}.png").exists():
        lines += ["", f"![{name}](../benchmarks/results/{name}.png)"]
    versions = record.get("versions", {})
    known = [f"{k} {v}" for k, v in versions.items() if k in ("rlkit", "torch", "commit")]
    if known:
        lines += ["", f"Recorded with {', '.join(known)}."]
    return "\n".join(lines) + "\n"


def flat(values: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """(where, value) of everything worth a row, spreads written as one number with its range."""
    if not isinstance(values, dict):
        yield where, shown(values)
        return
    if {"median", "min", "max"} <= values.keys():
        low, high = shown(values["min"]), shown(values["max"])
        yield where, f"{shown(values['median'])} [{low}, {high}]"
        return
    for key, value in values.items():
        if key not in LEFT_OUT:
            yield from flat(value, f"{where}: {key}" if where else str(key))


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
