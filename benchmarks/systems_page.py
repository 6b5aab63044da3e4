"""The page of systems: each paper's claim in a line, our run, what it showed.

python benchmarks/systems_page.py            # writes docs/systems.md from benchmarks/systems.toml
python benchmarks/systems_page.py --check    # says whether it stands as the records have it
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS, RESULTS, PAGE = HERE / "systems.toml", HERE / "results", HERE.parent / "docs" / "systems.md"
HEAD = """---
hide: [toc]
---

# What recent systems showed here

A row a system: what its paper claims, in a line of ours, and what came of it in a run of this
repository. The numbers are copied from the record that is named, a file of `benchmarks/results`, by
`python benchmarks/systems_page.py`; a system without a record says so. All records are in
[the results](results.md).

| system | the paper's claim | our run | what it showed |
|---|---|---|---|
"""
_NAMES = {"name", "file", "claim", "record", "values", "showed"}


def rows(path: Path = ROWS) -> list[dict[str, Any]]:
    """The rows of the file. Raises ValueError naming the row that is not whole."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["system"]
    for row in found:
        if unknown := row.keys() - _NAMES:
            raise ValueError(f"{row.get('name')}: unknown entry {min(unknown)!r}")
        if missing := {"name", "file", "claim"} - row.keys():
            raise ValueError(f"{row.get('name')}: no {min(missing)}")
        if ("record" in row) != ("showed" in row):
            raise ValueError(f"{row['name']}: what was shown needs a record, and a record a word")
    return found


def page(found: list[dict[str, Any]], results: Path = RESULTS) -> str:
    """Markdown of the rows. Raises KeyError for a number that the record does not have."""
    lines = []
    for row in found:
        run, showed = "no run yet", ""
        if "record" in row:
            run = f"`{Path(row['record']).stem}`"
            record = json.loads((results / row["record"]).read_text(encoding="utf-8"))
            numbers = {name: value(record, where) for name, where in row.get("values", {}).items()}
            showed = row["showed"].format(**numbers)
            if reason := record.get("withdrawn"):
                showed += f" Withdrawn: {reason}"
        system = f"**{row['name']}**<br>`{Path(row['file']).name}`"
        lines.append(f"| {system} | {row['claim']} | {run} | {showed} |")
    return HEAD + "\n".join(lines) + "\n"


def value(record: Any, where: list[str]) -> str:
    """What stands in a record at a path, as text; of a sweep's evidence the mean over its seeds at
    ["systems", SYSTEM, TASK]."""
    if where[0] == "systems":
        _, system, task = where
        scores = {(s["system"], s["task"]): s["scores"] for s in record["systems"]}[system, task]
        return f"{sum(scores.values()) / len(scores):.0f}"
    for key in where:
        record = record[key]
    return f"{record:.0f}" if isinstance(record, float) else str(record)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page(rows())
    if parser.parse_args().check:
        return 0 if PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
