"""The Python in README.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_blocks_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README.md, block {number}", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("runs/sac-InvertedPendulum-v5-")
    action, exported = (float(printed[k].strip("[]")) for k in (1, 2))
    assert exported == pytest.approx(action, abs=1e-5)
    assert printed[3].startswith("resolved: difference -0.8 ")
    assert printed[4].startswith("tensor([")


def test_the_page_of_results_is_what_the_records_say() -> None:
    """And the README has no number of its own: those of a run are between marks, made by it."""
    root = README.parent
    code = (root / "benchmarks" / "results_page.py").read_text(encoding="utf-8")
    module: dict[str, object] = {"__file__": str(root / "benchmarks/results_page.py")}
    exec(compile(code, "results_page.py", "exec"), module)
    page = module["page"]()  # type: ignore[operator]
    assert (root / "docs/results.md").read_text(encoding="utf-8") == page
    text = re.sub(
        r"<!-- (\w+) -->.*?<!-- /\1 -->|```.*?```", "", README.read_text("utf-8"), flags=re.S
    )
    assert not re.findall(r"\d+ \[[\d.-]+, [\d.-]+\]|\d+(?:\.\d+)?x\b", text)


def test_files_that_are_named_exist() -> None:
    root, text = README.parent, README.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:rlkit|tests|benchmarks)/(?:[\w/]+\.py)?)`", text))
    named |= {path for path in re.findall(r"\]\(([^)#:]+)\)", text)}
    assert {"rlkit/algos/iql.py", "docs/results.md", "examples/"} <= named | {"examples/"}
    badge = {path for path in named if path.startswith("../../actions/")}  # pages of the forge
    assert {Path(path).name for path in badge} == {"ci.yml", "badge.svg"}
    assert (root / ".github/workflows/ci.yml").exists()
    for name in named - badge:
        assert (root / name).exists(), name
    assert len(text.splitlines()) <= 150


def test_tables_of_results_say_each_number_once() -> None:
    """What several rows have in common are columns; a spread is one cell; the rest is counted."""
    root = README.parent
    code = (root / "benchmarks" / "results_page.py").read_text(encoding="utf-8")
    module: dict[str, Any] = {
        "__file__": str(root / "benchmarks/results_page.py"),
        "__name__": "p",
    }
    exec(compile(code, "results_page.py", "exec"), module)
    spread = {"median": 2.0, "min": 1.0, "max": 3.0}
    body = {"iql": {"mean": spread, "minutes": 5}, "bc": {"mean": 1.5}, "steps": {"a": {"b": 4}}}
    found = list(module["tables"](body))
    assert module["printed"](found[:1])[:2] == ["**iql**", ""]
    del body["steps"]
    (table,) = module["tables"](body)
    assert table.columns == ["mean", "minutes"]
    assert table.rows == [["iql", "2 [1, 3]", "5"], ["bc", "1.5", ""]]
    long = {str(k): k for k in range(module["MOST"] + 3)}
    assert module["printed"](list(module["tables"](long)))[-1] == "3 more rows are in the record."
