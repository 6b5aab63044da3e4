"""Every number of a report against `eval.statistics` or by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.eval import statistics as st
from rlkit.eval.comparison import compare_means
from rlkit.reports.curves import profile_picture, task_pictures, total_picture
from rlkit.reports.findings import DRAWN, findings, mean_interval
from rlkit.reports.notices import notices
from rlkit.reports.results import Results, read

from .run_folders import run_folder

RNG = np.random.default_rng(5)
# [system, seed, task, time]: 0 and 1 close, 2 far above
CURVES = RNG.normal([[[[0.0]]], [[[0.3]]], [[[9.0]]]], 1.0, (3, 5, 2, 4)).round(3)
NAMES = "a", "b", "c"
REFERENCES = ([-2.0, 10.0], [1.0, 21.0])
LOW, SPAN = np.array([-2.0, 1.0]), np.array([12.0, 20.0])


@pytest.fixture
def sweep(tmp_path: Path) -> Results:
    for s, system in enumerate(NAMES):
        for t, task in enumerate(("x", "y")):
            returns = {seed: CURVES[s, seed, t].tolist() for seed in range(5)}
            run_folder(tmp_path, system, task, returns, reference=REFERENCES[t])
    return read(tmp_path)


def scored(system: int, time: int = -1) -> np.ndarray:
    return (CURVES[system, :, :, time] - LOW) / SPAN


def test_tables_by_task(sweep: Results) -> None:
    table = findings(sweep).tables[1]
    assert table.task == "y"
    for s, row in enumerate(table.rows):
        finals = CURVES[s, :, 1, -1]
        assert row.system.label == NAMES[s]
        assert (row.seeds, row.begun, row.diverged) == (5, 5, 0)
        t = compare_means(finals[:, None], np.zeros((5, 1)), paired=True).difference
        assert_allclose([row.mean.point, row.mean.low, row.mean.high], [t.point, t.low, t.high])
        assert row.median == np.median(finals)
        assert_allclose(row.iqm, np.sort(finals)[1:-1].mean())
        assert row.score is not None
        assert_allclose(row.score.point, (finals.mean() - 1) / 20)
        assert_allclose(row.score.high, (t.high - 1) / 20)
    assert [row.best for row in table.rows] == [False, False, True]


def test_no_best_where_the_difference_is_not_resolved(tmp_path: Path) -> None:
    for s, system in enumerate("ab"):
        returns = {seed: [float(CURVES[s, seed, 0, -1])] for seed in range(5)}
        run_folder(tmp_path, system, "x", returns)
    assert not any(row.best for row in findings(read(tmp_path)).tables[0].rows)


def test_estimates_over_tasks(sweep: Results) -> None:
    found = findings(sweep)
    for s, total in enumerate(found.totals):
        assert total.seeds == 5
        for name, estimate in (
            ("IQM", st.iqm),
            ("median", st.median),
            ("mean", st.mean),
            ("optimality gap", st.optimality_gap),
        ):
            expected = st.bootstrap_interval(scored(s), estimate, reps=found.reps)
            one = total.estimates[name]
            assert_allclose(
                [one.point, one.low, one.high], [expected.point, expected.low, expected.high]
            )
    assert found.totals[2].best == {"IQM", "median", "mean", "optimality gap"}
    assert not found.totals[0].best


def test_probability_of_improvement(sweep: Results) -> None:
    found = findings(sweep)
    a, b, c = sweep.systems
    assert_allclose(
        found.improvement[a, b].interval.point,
        st.probability_of_improvement(CURVES[0, :, :, -1], CURVES[1, :, :, -1]),
    )
    assert found.improvement[c, a].interval.point == 1.0
    assert found.improvement[c, a].resolved
    assert not found.improvement[a, b].resolved
    for (x, y), (p, resolved) in found.improvement.items():
        q, also = found.improvement[y, x]
        assert resolved == also
        assert_allclose([p.point + q.point, p.low + q.high, p.high + q.low], 1.0)


@pytest.mark.parametrize(
    ("runs", "tasks", "resolved"), [(2, 1, False), (3, 1, False), (4, 1, True), (3, 2, True)]
)
def test_runs_that_all_win_are_resolved_when_there_are_enough(
    tmp_path: Path, runs: int, tasks: int, resolved: bool
) -> None:
    """Exact chances of as much by luck: 1/3 of two runs a side, 1/10 of three, 1/35 of four."""
    for system in range(2):
        for task in range(tasks):
            returns = {k: [float(10 * system + k)] for k in range(runs)}
            run_folder(tmp_path, "ab"[system], "xy"[task], returns)
    results = read(tmp_path)
    one = findings(results).improvement[results.systems[1], results.systems[0]]
    assert (one.interval.low, one.interval.high) == (1.0, 1.0)
    assert one.resolved == resolved


def test_two_seeds_make_no_best_over_tasks(tmp_path: Path) -> None:
    """Though every replicate of one lies above every replicate of the other."""
    for system, seeds in (("a", (1.0, 3.0)), ("b", (3.5, 6.0))):
        returns = {k: [value] for k, value in enumerate(seeds)}
        run_folder(tmp_path, system, "x", returns, reference=[0.0, 10.0])
    a, b = findings(read(tmp_path)).totals
    assert a.estimates["mean"].high < b.estimates["mean"].low
    assert not a.best
    assert not b.best


def test_paired_differences(sweep: Results) -> None:
    found = findings(sweep, sweep.systems[1])
    by_place = {(d.system.label, d.task): d.comparison for d in found.differences}
    assert list(by_place) == [
        ("a", "x"),
        ("c", "x"),
        ("a", "y"),
        ("c", "y"),
        ("a", None),
        ("c", None),
    ]
    expected = compare_means(CURVES[0, :, :1, -1], CURVES[1, :, :1, -1], paired=True)
    assert by_place["a", "x"].paired
    assert_allclose(by_place["a", "x"].difference.low, expected.difference.low)
    assert by_place["a", "x"].seeds_needed == expected.seeds_needed
    whole = compare_means(scored(2), scored(1), paired=True)
    assert_allclose(by_place["c", None].difference.high, whole.difference.high)
    assert by_place["c", None].resolved


def test_differences_pair_the_seeds_both_have(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {0: [1.0], 1: [2.0], 2: [30.0]})
    run_folder(tmp_path, "b", "x", {1: [5.0], 2: [32.0], 3: [0.0]})
    run_folder(tmp_path, "c", "x", {7: [5.0], 8: [6.0]})
    b, c = (d.comparison for d in findings(read(tmp_path)).differences)
    assert b.paired
    assert b.seeds == 2
    assert b.difference.point == 2.5  # (5 - 2 + 32 - 30) / 2
    assert not c.paired
    assert c.difference.point == 5.5 - 11.0


def test_curves_are_bands_that_draw_whole_runs(sweep: Results) -> None:
    x, y = task_pictures(sweep, sweep.systems)
    assert (x.title, y.title, y.x_label) == ("x", "y", "Environment steps")
    assert y.marks == ((1.0, "score 0"), (21.0, "score 1"))
    for s, line in enumerate(y.lines):
        band = st.curve_band(CURVES[s, :, 1][:, None], st.mean, reps=2_000)
        assert_allclose(line.x, [10, 20, 30, 40])
        assert_allclose(line.y.point, CURVES[s, :, 1].mean(0))
        assert_allclose(line.y.low, band.low)
        assert_allclose(line.y.high, band.high)
    total = total_picture(sweep, sweep.systems)
    assert total is not None
    for s, line in enumerate(total.lines):
        assert_allclose(line.x, [10, 20, 30, 40])
        assert_allclose(line.y.point, [st.iqm(scored(s, k)) for k in range(4)])
        assert (line.y.low <= line.y.point).all()
    profile = profile_picture(sweep, sweep.systems)
    assert profile is not None
    for s, line in enumerate(profile.lines):
        assert_allclose(line.y.point, st.performance_profile(scored(s), line.x))


def test_curves_over_tasks_of_unlike_length_are_over_the_share_of_training(tmp_path: Path) -> None:
    straight = {seed: [1.0 + seed, 2.0 + seed] for seed in range(3)}
    run_folder(tmp_path, "a", "x", straight, reference=[0.0, 10.0])
    run_folder(tmp_path, "a", "y", straight, reference=[0.0, 10.0], every=1000)
    found = read(tmp_path)
    total = total_picture(found, found.systems)
    assert total is not None
    assert total.x_label == "Share of the training"
    line = total.lines[0]
    assert_allclose(line.x[[0, -1]], [0.5, 1.0])
    # IQM of 0.1, 0.2, 0.3 twice cuts one of six on each side; it rises straight by 0.1
    assert_allclose(line.y.point, 0.2 + 0.2 * (line.x - 0.5))


def test_a_seed_without_some_evaluation_is_compared_where_all_have_one(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {0: [1.0, 2.0, 3.0]}, steps=30, name="one")
    run_folder(tmp_path, "a", "x", {1: [5.0, 6.0]}, every=15, steps=30, name="two")
    run_folder(tmp_path, "b", "x", {0: [5.0]}, every=30, steps=30)
    found = read(tmp_path)
    assert not task_pictures(found, found.systems)  # step 30 alone is no curve
    run_folder(tmp_path, "c", "x", {0: [1.0, 2.0, 3.0]}, steps=30)
    found = read(tmp_path)
    (picture,) = task_pictures(found, found.systems)
    assert [line.system.label for line in picture.lines] == ["c"]
    assert np.isnan(picture.lines[0].y.low).all()
    assert len(picture.lines[0].y.low) == 3


def test_mean_interval_of_one_and_of_none() -> None:
    one = mean_interval(np.array([3.0]))
    assert one.point == 3.0
    assert np.isnan(one.low)
    assert str(one) == "3 [no interval: one run]"
    assert str(mean_interval(np.array([]))) == "nan [no interval: no run has finished]"
    diverged = mean_interval(np.array([1.0, np.inf]))
    assert str(diverged) == "nan [no interval: the last return of a run is not finite]"


# --- holes ----------------------------------------------------------------------------------------
def test_without_a_reference_nothing_is_averaged_over_tasks(tmp_path: Path) -> None:
    for system in "ab":
        run_folder(tmp_path, system, "x", {0: [1.0, 1.0], 1: [2.0, 2.0]}, reference=[0.0, 1.0])
        run_folder(tmp_path, system, "y", {0: [1.0, 1.0], 1: [2.0, 2.0]})
    results = read(tmp_path)
    found = findings(results)
    assert not found.totals
    assert total_picture(results, results.systems) is None
    assert profile_picture(results, results.systems) is None
    assert {d.task for d in found.differences} == {"x", "y"}
    assert [table.scored for table in found.tables] == [True, False]
    assert found.improvement[results.systems[0], results.systems[1]].interval.point == 0.5
    assert len(task_pictures(results, results.systems)) == 2
    (said,) = [text for text in notices(results) if "reference" in text]
    assert said.startswith("There are no reference returns for y:")


def test_runs_that_disagree_about_a_reference(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {0: [1.0]}, reference=[0.0, 1.0])
    run_folder(tmp_path, "b", "x", {0: [1.0]}, reference=[0.0, 2.0])
    results = read(tmp_path)
    assert not findings(results).totals
    assert any("disagree about the reference returns of x" in text for text in notices(results))


def test_a_system_that_has_not_finished_a_task_has_no_place_over_tasks(tmp_path: Path) -> None:
    for system in "ab":
        for task in "xy":
            short = (system, task) == ("b", "y")
            returns = {seed: [1.0] if short else [1.0, 2.0 + seed] for seed in range(3)}
            run_folder(tmp_path, system, task, returns, reference=[0.0, 10.0], steps=20)
    results = read(tmp_path)
    found = findings(results)
    assert [total.system.label for total in found.totals] == ["a"]
    assert [(row.seeds, row.begun) for row in found.tables[1].rows] == [(3, 3), (0, 3)]
    assert np.isnan(found.tables[1].rows[1].mean.point)
    assert [d.task for d in found.differences] == ["x"]
    text = " ".join(notices(results))
    assert "Unfinished and in no table or curve: 3 of 12 cells, of b on y." in text
    assert "no run here" not in text


def test_seeds_that_only_others_have_are_named(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {k: [1.0] for k in range(3)})
    run_folder(tmp_path, "b", "x", {k: [1.0] for k in (0, 2)})
    text = " ".join(notices(read(tmp_path)))
    assert "Seeds that others have and that have no run here: seed 1 of b on x." in text


def test_uneven_seeds_use_as_many_as_the_worst_task_has(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {k: [float(k)] for k in range(5)}, reference=[0.0, 1.0])
    run_folder(tmp_path, "a", "y", {k: [float(k)] for k in (1, 2, 4)}, reference=[0.0, 1.0])
    run_folder(tmp_path, "b", "x", {k: [float(k)] for k in (0, 1)}, reference=[0.0, 1.0])
    run_folder(tmp_path, "b", "y", {k: [float(k)] for k in (7, 8, 9)}, reference=[0.0, 1.0])
    results = read(tmp_path)
    a, b = findings(results).totals
    assert a.seeds == 3
    assert_allclose(a.estimates["mean"].point, 7 / 3)  # seeds 1, 2, 4 of both tasks
    assert b.seeds == 2
    assert_allclose(b.estimates["mean"].point, (0.5 + 7.5) / 2)  # the first two of each
    assert any("more seeds are finished than on others of a and b" in t for t in notices(results))


def test_a_diverged_seed_takes_the_mean_away(tmp_path: Path) -> None:
    for system in "ab":
        returns = {seed: [1.0 + seed] for seed in range(4)}
        if system == "b":
            returns[2] = [float("nan")]
        run_folder(tmp_path, system, "x", returns, reference=[0.0, 1.0])
    results = read(tmp_path)
    found = findings(results)
    a, b = found.tables[0].rows
    assert (b.diverged, b.seeds) == (1, 4)
    assert np.isnan([b.mean.point, b.median, b.iqm]).all()
    assert a.mean.point == 2.5
    assert [total.system.label for total in found.totals] == ["a"]
    assert any("is not finite of b on x, seed 2" in text for text in notices(results))


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        (1, "Every number rests on one seed"),
        (2, "hold the truth about 50 times in 100, not 95"),
        (3, "hold the truth about 76 times in 100, not 95"),
        (6, None),
    ],
)
def test_few_seeds_are_warned_of(tmp_path: Path, seeds: int, said: str | None) -> None:
    for system in "ab":
        returns = {k: [1.0 + k, 2.0 + k * k] for k in range(seeds)}
        run_folder(tmp_path, system, "x", returns, reference=[0.0, 1.0])
    results = read(tmp_path)
    found = findings(results)
    text = notices(results)
    assert text == [] if said is None else (len(text) == 1 and said in text[0])
    assert np.isnan(found.tables[0].rows[0].mean.low) == (seeds == 1)
    assert np.isnan(found.totals[0].estimates["IQM"].low) == (seeds == 1)
    p, _ = found.improvement[results.systems[0], results.systems[1]]
    assert np.isnan(p.low) == (seeds == 1)


def test_runs_made_differently_are_warned_of(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {k: [1.0] for k in range(6)})
    run_folder(
        tmp_path,
        "b",
        "x",
        {k: [1.0, 2.0] for k in range(6)},
        budget="smoke",
        measure="-regret",
        versions={"torch": "2.12.0", "processor": "b"},
    )
    text = " ".join(notices(read(tmp_path)))
    assert "different length are side by side: x (10 and 20) steps" in text
    assert "measured differently on x" in text
    assert "budgets full and smoke are mixed" in text
    assert "not all made with the same torch" in text
    assert "more than one processor" in text


def test_holes_in_the_table_are_named(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {k: [1.0] for k in range(6)})
    run_folder(tmp_path, "b", "y", {k: [1.0] for k in range(6)}, name="one")
    run_folder(tmp_path, "b", "y", {0: [1.0]}, name="two")
    (tmp_path / "runs" / "gone").mkdir()
    (tmp_path / "runs" / "gone" / "episodes.csv").touch()  # more than a start leaves
    text = " ".join(notices(read(tmp_path)))
    assert "1 run folder, gone (it has no cell.json)" in text
    assert "There is no run of a on y and b on x." in text
    assert "In more than one run folder: 1 cell;" in text


def test_many_systems_are_tabled_and_the_best_are_drawn(tmp_path: Path) -> None:
    count = DRAWN + 4
    for k in range(count):
        returns = {seed: [0.0, float(k + seed)] for seed in range(2)}
        run_folder(tmp_path, f"s{k:02d}", "x", returns)
    results = read(tmp_path)
    found = findings(results)
    assert len(found.tables[0].rows) == count
    assert len(found.differences) == count - 1
    names = [system.name for system in found.drawn]
    assert names == ["s00", *(f"s{k:02d}" for k in range(5, count))]
    assert len(found.improvement) == DRAWN * (DRAWN - 1)


def test_pairs_the_sweep_file_leaves_out_are_not_missed(tmp_path: Path) -> None:
    run_folder(tmp_path, "a", "x", {0: [1.0]})
    run_folder(tmp_path, "b", "y", {0: [1.0]})
    (tmp_path / "sweep.toml").write_text('systems.a.tasks = ["x"]\nsystems.b = {}\n')
    text = " ".join(notices(read(tmp_path)))
    assert "There is no run of b on x." in text
