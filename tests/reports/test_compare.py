"""What moved between two sweeps: by pairs, with intervals, and nothing said that is not so."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.core.errors import RunError
from rlkit.eval.comparison import compare_means
from rlkit.reports.compare import Changes, as_markdown, as_text, changes, write_comparison
from rlkit.reports.results import read

from .run_folders import run_folder

RNG = np.random.default_rng(9)
BEFORE = RNG.normal(100.0, 30.0, 5).round(2)  # [seed]
SHIFT = RNG.normal(8.0, 0.5, 5).round(2)


@pytest.fixture
def both(tmp_path: Path) -> Changes:
    """A system that is better, one that has not changed, one that cannot be told; and holes."""
    for side in "ab":
        root = tmp_path / side
        moved = BEFORE + SHIFT if side == "b" else BEFORE
        run_folder(root, "up", "x", {k: [1.0, float(moved[k])] for k in range(5)})
        run_folder(root, "same", "x", {k: [1.0, float(BEFORE[k])] for k in range(5)})
        noise = RNG.normal(50.0, 20.0, 5)
        run_folder(root, "noise", "x", {k: [1.0, float(noise[k])] for k in range(5)})
        run_folder(root, f"only {side}", "x", {0: [1.0]})
        seeds = (0, 1) if side == "a" else (1, 2, 3)
        run_folder(root, "more", "y", {k: [k + 10.0 * (side == "b")] for k in seeds})
    return changes(read(tmp_path / "a"), read(tmp_path / "b"))


def test_moves_are_differences_over_pairs(both: Changes) -> None:
    moves = {move.system.name: move for move in both.moves}
    assert set(moves) == {"up", "same", "noise", "more"}
    up = moves["up"].comparison
    assert up is not None
    assert up.paired
    assert up.resolved
    expected = compare_means((BEFORE + SHIFT)[:, None], BEFORE[:, None], paired=True).difference
    assert_allclose(
        [up.difference.point, up.difference.low, up.difference.high],
        [expected.point, expected.low, expected.high],
    )
    assert_allclose(moves["up"].means, [BEFORE.mean(), (BEFORE + SHIFT).mean()])
    assert moves["same"].identical
    assert not moves["up"].identical
    assert moves["noise"].comparison is not None
    assert not moves["noise"].comparison.resolved
    assert moves["more"].comparison is not None
    assert moves["more"].comparison.seeds == 1  # seed 1 alone is on both sides
    assert [move.system.name for move in both.moved] == ["up"]
    assert both.moves[0].system.name == "up"
    assert both.moves[-1].identical


def test_what_one_side_alone_has_is_listed(both: Changes) -> None:
    assert both.only == (
        ["more on y: seed 0", "only a on x: seed 0"],
        ["more on y: seeds 2, 3", "only b on x: seed 0"],
    )


def test_a_change_of_an_evaluation_on_the_way_is_a_change(tmp_path: Path) -> None:
    for side, early in (("a", 1.0), ("b", 1.5)):
        run_folder(tmp_path / side, "iql", "x", {0: [early, 2.0], 1: [early, 3.0]})
    found = changes(read(tmp_path / "a"), read(tmp_path / "b"))
    assert not found.moves[0].identical
    assert found.moves[0].comparison is not None
    assert found.moves[0].comparison.difference.point == 0.0
    assert "alike" in as_text(found)


def test_without_a_common_seed_the_sides_are_compared_unpaired(tmp_path: Path) -> None:
    run_folder(tmp_path / "a", "iql", "x", {0: [1.0], 1: [2.0], 2: [3.0]})
    run_folder(tmp_path / "b", "iql", "x", {5: [11.0], 6: [12.0], 7: [13.0]})
    found = changes(read(tmp_path / "a"), read(tmp_path / "b"))
    c = found.moves[0].comparison
    assert c is not None
    assert not c.paired
    assert c.resolved
    assert c.difference.point == 10.0
    assert "compared unpaired" in as_text(found)


def test_a_side_that_diverges_is_said_first(tmp_path: Path) -> None:
    for side in "ab":
        last = float("nan") if side == "b" else 3.0
        run_folder(tmp_path / side, "bad", "x", {0: [1.0], 1: [2.0], 2: [last]})
        run_folder(tmp_path / side, "gone", "x", {0: [last], 1: [last]})
        moved = {k: [float(k) + (side == "b") * 50] for k in range(3)}
        run_folder(tmp_path / side, "up", "x", moved)
    found = changes(read(tmp_path / "a"), read(tmp_path / "b"))
    assert [move.system.name for move in found.moves] == ["gone", "bad", "up"]
    text = as_text(found)
    assert "diverged: 0 in A, 2 in B" in text
    assert "diverged: 0 in A, 1 in B" in text
    assert "nan" not in text
    assert "nan" not in as_markdown(found)


def test_options_and_versions_that_differ(tmp_path: Path) -> None:
    for side, gamma in (("a", 0.99), ("b", 0.995)):
        for task in "xy":
            config = {"gamma": gamma, "tau": 0.9 if (side, task) == ("b", "y") else 0.7}
            run_folder(
                tmp_path / side,
                "iql",
                task,
                {0: [1.0], 1: [2.0]},
                options={"config": config},
                versions={"commit": side * 4},
            )
    found = changes(read(tmp_path / "a"), read(tmp_path / "b"))
    assert found.options == [
        ("iql", "all its tasks", "config.gamma", "0.99", "0.995"),
        ("iql", "y", "config.tau", "0.7", "0.9"),
    ]
    assert found.versions == [("commit", "aaaa", "bbbb")]
    text = as_text(found)
    assert "iql, all its tasks: config.gamma 0.99 → 0.995" in text
    assert "commit aaaa → bbbb" in text
    assert "Identical to the last digit of every evaluation: 2." in text


def test_sweeps_that_share_nothing(tmp_path: Path) -> None:
    run_folder(tmp_path / "a", "iql", "x", {0: [1.0]})
    run_folder(tmp_path / "b", "iql", "x", {0: [1.0]}, configuration={"beta": 3})
    with pytest.raises(RunError, match=r"share no system on a task: iql against iql \(beta=3\)"):
        changes(read(tmp_path / "a"), read(tmp_path / "b"))


def test_text_says_how_many_moved(both: Changes) -> None:
    text = as_text(both)
    assert "1 of 4 moved, resolved at 95 %." in text
    assert "every evaluation: 1." in text
    assert "Of 3 that were nothing but chance, about 1 would still look resolved." in text
    row = next(line for line in text.splitlines() if line.startswith("up "))
    assert "better" in row
    assert f"+{SHIFT.mean():.1f}" in row
    assert not any(line.startswith("same ") for line in text.splitlines())


def test_files(both: Changes, tmp_path: Path) -> None:
    text, table = write_comparison(both, tmp_path / "out")
    assert text.read_text().startswith("# What moved")
    with table.open() as file:
        rows = {row["system"]: row for row in csv.DictReader(file)}
    assert rows["same"]["identical"] == "1"
    assert rows["up"]["resolved"] == "1"
    assert_allclose(float(rows["up"]["difference"]), SHIFT.mean())
    assert_allclose(float(rows["up"]["b"]), (BEFORE + SHIFT).mean())
    assert not list((tmp_path / "out").glob("*.tmp"))
