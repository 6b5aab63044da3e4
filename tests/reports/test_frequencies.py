"""The table of scores over frequencies of a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rlkit.eval.frequency import LENGTHS, write
from rlkit.eval.records import Episode
from rlkit.reports.formats.markdown import markdown
from rlkit.reports.formats.page import page
from rlkit.reports.frequencies import frequency_sheet
from rlkit.reports.report import assemble
from rlkit.reports.results import read

from .run_folders import run_folder


def test_systems_that_were_evaluated_so_have_a_row(tmp_path: Path) -> None:
    run_folder(tmp_path, "plain", "Hopper-v5", {0: [1.0], 1: [2.0]})
    held = run_folder(tmp_path, "held", "Hopper-v5", {0: [1.0], 1: [2.0], 2: [3.0]})
    level = {0: 1800.0, 1: 3600.0, 2: 3600.0}
    episodes = {
        every: [Episode(k, k, 10, e, x, 7, True) for k, x in level.items() for e in range(2)]
        for every in LENGTHS
    }
    write(held / "frequencies.csv", episodes)
    parts = assemble(read(tmp_path), tmp_path / "report")
    sheet = frequency_sheet(parts.found, parts.links)
    assert sheet == parts.frequencies
    (row,) = sheet.rows
    assert [row[0].text, row[1].text, row[4].text] == ["held", "Hopper-v5", "3"]
    assert float(row[2].text.replace(",", "")) == pytest.approx(3000.0)
    expected = np.mean([0.5, 1.0, 1.0]) * 29 / 30
    assert float(row[3].text) == pytest.approx(expected, abs=0.01)
    assert "Scores over frequencies" in page(parts)
    assert "## Scores over frequencies" in markdown(parts, {})


def test_a_task_without_a_scale_has_the_mean_alone(tmp_path: Path) -> None:
    held = run_folder(tmp_path, "held", "maze", {0: [1.0], 1: [2.0]})
    episodes = {n: [Episode(k, k, 10, 0, 4.0, 7, True) for k in (0, 1)] for n in LENGTHS}
    write(held / "frequencies.csv", episodes)
    (row,) = assemble(read(tmp_path), tmp_path / "report").frequencies.rows
    assert row[3].text == "-"
    assert float(row[2].text) == 4.0


def test_without_such_runs_there_is_no_table(tmp_path: Path) -> None:
    run_folder(tmp_path, "plain", "maze", {0: [1.0], 1: [2.0]})
    assert not assemble(read(tmp_path), tmp_path / "report").frequencies.rows
