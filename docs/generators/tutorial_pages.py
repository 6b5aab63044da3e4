"""Tutorials: Python files in cells (`# %%`), shown as pages with what they printed.

What the cells print is recorded by `python docs/generators/record_tutorials.py` into
`docs/tutorials/outputs/NAME.json`; the test suite runs the cells and holds the record to them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
_MARK = re.compile(r"^# %%(.*)$", re.M)


class Cell(NamedTuple):
    """A part of a tutorial: prose, or code."""

    code: bool
    text: str


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def cells(name: str) -> list[Cell]:
    """The parts of a tutorial, in order; what stands before the first mark is left out."""
    _, *parts = _MARK.split((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    found = []
    for mark, body in zip(parts[::2], parts[1::2], strict=True):
        code = "[markdown]" not in mark
        text = body if code else re.sub(r"^# ?", "", body, flags=re.M)
        found.append(Cell(code, text.strip("\n")))
    return found


def titles() -> dict[str, str]:
    """Tutorials by name -> what they are called: the heading of the first cell."""
    return {name: re.sub(r"^# ", "", cells(name)[0].text.partition("\n")[0]) for name in names()}


def outputs(name: str) -> list[str]:
    """What each cell of code printed when it was recorded."""
    path = FOLDER / "outputs" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def page(name: str) -> str:
    """The page of one tutorial."""
    printed = iter(outputs(name))
    lines = []
    for number, cell in enumerate(cells(name)):
        if not cell.code:
            where = f"\n\n*The file: `docs/tutorials/{name}.py`, to run as it stands.*\n\n## "
            lines += [cell.text.replace("\n\n## ", where, 1) if number == 0 else cell.text, ""]
            continue
        lines += ["```python", cell.text, "```", ""]
        if text := next(printed, "").rstrip():
            lines += ["```text", text, "```", ""]
    return "\n".join(lines)
