"""The page of systems says what the records say, of files that are there."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
ROW = '[[system]]\nname = "S"\nfile = "f.py"\nclaim = "c"\n'


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("systems", ROOT / "benchmarks/systems_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_records_say(made: ModuleType) -> None:
    found = made.rows()
    assert (ROOT / "docs/systems.md").read_text(encoding="utf-8") == made.page(found)
    names = [row["name"] for row in found]
    assert len(set(names)) == len(names)
    for row in found:
        assert (ROOT / row["file"]).exists(), row["file"]


def test_numbers_are_the_records_own_and_withdrawals_are_told(
    made: ModuleType, tmp_path: Path
) -> None:
    record = {
        "systems": [{"system": "a", "task": "t", "scores": {"0": 1.0, "1": 4.0}}],
        "data": {"t": 7.4},
        "withdrawn": "unequal terms.",
    }
    (tmp_path / "r.json").write_text(json.dumps(record))
    row = {
        "name": "S", "file": "f.py", "claim": "c", "record": "r.json", "showed": "{x} beside {y}",
        "values": {"x": ["systems", "a", "t"], "y": ["data", "t"]},
    }  # fmt: skip
    last = made.page([row], tmp_path).splitlines()[-1]
    assert last.endswith("| 2 beside 7 Withdrawn: unequal terms. |")
    with pytest.raises(KeyError):
        made.page([row | {"values": {"x": ["systems", "b", "t"], "y": ["data", "t"]}}], tmp_path)
    plain = {"name": "S", "file": "room/f.py", "claim": "c"}
    assert (
        made.page([plain], tmp_path).splitlines()[-1] == "| **S**<br>`f.py` | c | no run yet |  |"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROW + "more = 1\n", "unknown entry 'more'"),
        (ROW.replace("claim", "record"), "no claim"),
        (ROW + 'showed = "x"\n', "needs a record"),
        (ROW + 'record = "r.json"\n', "a record a word"),
    ],
)
def test_a_row_that_is_not_whole_is_refused(
    made: ModuleType, text: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        made.rows(path)
