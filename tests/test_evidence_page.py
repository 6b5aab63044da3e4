"""The chapter of evidence says of every record which claims stand, and on which numbers."""

from __future__ import annotations

import importlib.util
import json
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import rlkit

HERE = Path(rlkit.__file__).parents[1] / "benchmarks" / "evidence"
CLAIMS = {
    "a-b": {
        "text": "A is above B",
        "sweep": "s",
        "task": "t",
        "better": "a",
        "than": ["b", "data"],
    },
    "b-a": {"text": "B is above A", "sweep": "s", "task": "t", "better": "b", "than": ["a"]},
    "c": {"text": "C is above A", "sweep": "s", "task": "t", "better": "c", "than": ["a"]},
}


@pytest.fixture(scope="module")
def table() -> ModuleType:
    spec = importlib.util.spec_from_file_location("evidence_table", HERE / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def record(**systems: list[float]) -> dict:
    made = {"rlkit": "0.2.0", "commit": "abc", "cores": 2}
    return {
        "command": "rlkit sweep s.toml",
        "sweep": "s",
        "budget": "short",
        "score": "mean return",
        "data": {"t": 2.0},
        "systems": [
            {"system": name, "task": "t", "scores": dict(enumerate(x)), "versions": made}
            for name, x in systems.items()
        ],
    }


def test_a_claim_has_its_state_and_every_difference(table: ModuleType) -> None:
    text = table.section(json.loads(json.dumps(record(a=[9, 10, 11], b=[1, 2, 3]))), CLAIMS)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    (shown,) = [row for row in rows if row[0] == "| A is above B"]
    assert shown[1:4] == ["**shown**", "a 10", "b 2<br>data 2"]
    assert shown[4].startswith("8 [8, 8]<br>8 [")
    (other,) = [row for row in rows if row[0] == "| B is above A"]
    assert other[1:4] == ["not shown", "b 2", "a 10"]
    (waits,) = [row for row in rows if row[0] == "| C is above A"]
    assert waits[1] == "waiting"
    assert "not recorded: c" in " | ".join(waits)
    assert "3 claims: 1 shown, 1 not shown, 1 waiting." in text
    assert "| a | 10 [7.52, 12.5] |" in text
    assert "| data | 2 |" in text
    assert "Recorded with rlkit 0.2.0, commit abc." in text


def test_the_cause_of_a_claim_that_does_not_stand_is_told(table: ModuleType) -> None:
    claims = {"b-a": CLAIMS["b-a"] | {"cause": "it is small"}}
    values = json.loads(json.dumps(record(a=[9, 10, 11], b=[1, 2, 3])))
    assert "| B is above A; it is small | not shown |" in table.section(values, claims)


def test_every_record_of_the_repository_is_told_with_all_its_claims(
    table: ModuleType, tmp_path: Path
) -> None:
    records = HERE.parent / "results" / "evidence"
    text = table.chapter(records)
    claims = tomllib.loads((HERE / "claims.toml").read_text(encoding="utf-8"))
    told = [json.loads(path.read_text()) for path in records.glob("*.json")]
    for one in told:
        assert f"### {one['sweep']}, budget {one['budget']}" in text
    for claim in claims.values():
        times = sum(one["sweep"] == claim["sweep"] for one in told)
        assert text.count(f"| {claim['text']} |") + text.count(f"| {claim['text']}; ") == times
    page = (HERE.parents[1] / "docs" / "results.md").read_text(encoding="utf-8")
    assert text in page
    assert table.chapter(tmp_path) == ""
