"""The table of generalisation gaps of a sweep."""

from __future__ import annotations

from pathlib import Path

import pytest

from rlkit.eval.records import Episode, append_episodes
from rlkit.reports.gaps import gap_sheet
from rlkit.reports.report import assemble
from rlkit.reports.results import read

from .run_folders import run_folder


def test_systems_with_a_pool_have_a_row(tmp_path: Path) -> None:
    run_folder(tmp_path, "plain", "maze", {0: [1.0], 1: [2.0]})
    pooled = run_folder(tmp_path, "pooled", "maze", {0: [1.0], 1: [2.0], 2: [3.0]})
    trained = {0: 2.0, 1: 3.5, 2: 3.5}
    rows = [Episode(k, k, 10, e, x, 7, True) for k, x in trained.items() for e in range(2)]
    append_episodes(pooled / "trained_levels.csv", rows)
    parts = assemble(read(tmp_path), tmp_path / "report")
    sheet = gap_sheet(parts.found, parts.links)
    assert sheet == parts.gaps
    (row,) = sheet.rows
    assert [entry.text for entry in row] == ["pooled", "maze", "3.00", "2.00", "1.00", "3"]
    low, high = (float(x.replace("−", "-")) for x in row[4].aside.strip("[]").split(","))
    assert (low + high) / 2 == pytest.approx(1.0, abs=0.01)
    assert high - low == pytest.approx(2 * 4.3027 * 0.5 / 3**0.5, abs=0.02)


def test_without_a_pool_there_is_no_table(tmp_path: Path) -> None:
    run_folder(tmp_path, "plain", "maze", {0: [1.0], 1: [2.0]})
    assert not assemble(read(tmp_path), tmp_path / "report").gaps.rows
