"""Run the tutorials and record what their cells print, for the pages that show it.

python docs/generators/record_tutorials.py [NAME...]
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
from pathlib import Path

import tutorial_pages


def run(name: str) -> list[str]:
    """What each cell of code of a tutorial prints, run in order in the current folder."""
    names: dict[str, object] = {"__name__": "__main__"}
    printed = []
    for number, cell in enumerate(tutorial_pages.cells(name)):
        if not cell.code:
            continue
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(cell.text, f"{name}.py, cell {number}", "exec"), names)
        printed.append(said.getvalue())
    return printed


def main() -> None:
    asked = sys.argv[1:] or tutorial_pages.names()
    sys.argv = sys.argv[:1]
    outputs = tutorial_pages.FOLDER / "outputs"
    outputs.mkdir(exist_ok=True)
    for name in asked:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["MINARI_DATASETS_PATH"] = str(Path(folder, "datasets"))
            with contextlib.chdir(folder):
                printed = run(name)
        text = json.dumps(printed, indent=1, ensure_ascii=False) + "\n"
        (outputs / f"{name}.json").write_text(text, encoding="utf-8")
        print(f"recorded {name}: {len(printed)} cells")


if __name__ == "__main__":
    main()
