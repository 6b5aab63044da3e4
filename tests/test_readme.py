"""The Python in README.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


def test_the_blocks_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"README.md, block {number}", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("runs/sac-InvertedPendulum-v5-")
    action, exported = (float(printed[k].strip("[]")) for k in (1, 3))
    assert exported == pytest.approx(action, abs=1e-5)
    assert len(names["episodes"]) == 3  # type: ignore[arg-type]


def test_files_that_are_named_exist() -> None:
    root, text = README.parent, README.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:rlkit|tests|benchmarks)/(?:[\w/]+\.py)?)`", text))
    assert {"rlkit/algos/iql.py", "tests/test_readme.py", "benchmarks/"} <= named
    for name in named:
        assert (root / name).exists(), name
