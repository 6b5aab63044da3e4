"""What differs by the rounding of floats alone does not differ: in no table, verdict or picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlkit.eval.rounding import alike, differ, tied
from rlkit.reports.compare import changes, move_sheet
from rlkit.reports.curves import profile_picture
from rlkit.reports.findings import Findings, findings
from rlkit.reports.formats import charts
from rlkit.reports.notices import notices
from rlkit.reports.results import read
from rlkit.reports.sheets import Links, difference_sheet

from .run_folders import run_folder

SUM, TENTH = 0.1 + 0.2, 0.3  # 0.30000000000000004 and 0.3


@pytest.mark.parametrize("size", [1e-300, 1e-9, 1.0, 1e17])
def test_rounding_is_no_difference_at_any_size(size: float) -> None:
    assert not differ(SUM * size, TENTH * size)
    assert differ(size, size * (1 + 1e-9))
    assert alike([SUM * size, TENTH * size])
    a, b = tied(np.array([[SUM * size], [2 * size]]), np.array([[TENTH * size]]))
    assert a[0, 0] == b[0, 0] < a[1, 0]


def test_what_is_not_finite() -> None:
    nan, inf = float("nan"), float("inf")
    assert not differ(inf, inf)
    assert differ(inf, 1.0)
    assert differ(-inf, inf)
    assert not differ(nan, 1.0)


@pytest.fixture
def found(tmp_path: Path) -> Findings:
    """Two systems that are alike on two tasks: from other sums, over other numbers of seeds."""
    for task in ("hopper", "ant"):
        reference = [0.0, SUM]
        run_folder(tmp_path, "a", task, {k: [TENTH, TENTH] for k in range(5)}, reference=reference)
        run_folder(tmp_path, "b", task, {k: [SUM, SUM] for k in range(7)}, reference=[0.0, TENTH],
                   episodes=3)  # fmt: skip
    return findings(read(tmp_path))


def test_no_system_is_best_and_none_improves(found: Findings) -> None:
    assert len(found.totals) == 2, "references alike up to rounding are the same references"
    assert not any(row.best for table in found.tables for row in table.rows)
    assert not any(total.best for total in found.totals)
    for one in found.improvement.values():
        assert not one.resolved
        assert one.interval.point == 0.5


def test_verdicts_are_alike(found: Findings, tmp_path: Path) -> None:
    assert not any(one.comparison.resolved for one in found.differences)
    sheet = difference_sheet(found, Links(found.results, tmp_path))
    assert {row[4].text for row in sheet.rows} == {"alike"}
    assert {row[5].text for row in sheet.rows} == {""}


def test_two_sweeps_that_differ_by_rounding_have_not_moved(tmp_path: Path) -> None:
    for side, value in (("x", TENTH), ("y", SUM)):
        run_folder(tmp_path / side, "a", "t", {k: [value] for k in range(5)})
    moved = changes(read(tmp_path / "x"), read(tmp_path / "y"))
    assert not moved.moved
    (row,) = move_sheet(moved).rows
    assert row[6].text == "alike"


def test_pictures_of_values_alike_have_a_scale(found: Findings) -> None:
    picture = profile_picture(found.results, found.drawn)
    assert picture is not None
    assert np.ptp(picture.lines[0].x) > 0.01
    rows = [(t.system.label, t.estimates["mean"], k) for k, t in enumerate(found.totals)]
    assert charts.intervals("Mean", rows).count('class="g"') >= 2
    assert not any("disagree" in text for text in notices(found.results))
