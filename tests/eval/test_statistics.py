"""Estimates against hand values and scipy, intervals against simulation and exact facts."""

import itertools
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from rlkit.eval import statistics as st
from rlkit.eval.tables import TooFewRunsWarning

RNG = np.random.default_rng(20_240_607)
SCORES = RNG.gamma(2.0, 0.4, size=(10, 7))
OTHER = RNG.gamma(2.0, 0.5, size=(6, 7))


# --- estimates ------------------------------------------------------------------------------------


def test_iqm_of_one_to_eight_drops_two_on_each_side():
    assert st.iqm(np.arange(1.0, 9.0)[:, None]) == 4.5
    assert st.iqm(RNG.permutation(np.arange(1.0, 9.0)).reshape(4, 2)) == 4.5
    outlier = np.array([[1.0], [2.0], [3.0], [1e9]])
    assert st.iqm(outlier) == 2.5


def test_published_definitions_on_a_table_worked_out_by_hand():
    """Agarwal et al. (2021) and their rliable, three runs of two tasks against two runs.

    Means of tasks 0.5 and 1.2. All scores in order: 0, .5, .6, 1, 1, 2; a quarter of six is one
    (rounded down), so that the IQM is (.5 + .6 + 1 + 1) / 4. Below 1 they fall short by 1, .5, .4.
    """
    x = np.array([[0.0, 1.0], [0.5, 2.0], [1.0, 0.6]])
    y = np.array([[0.5, 1.0], [0.0, 0.6]])
    assert_allclose(st.mean(x), 0.85)
    assert_allclose(st.median(x), 0.85)
    assert_allclose(st.median(np.c_[x, [9.0, 9.0, 9.0]]), 1.2)  # not 3.57, the mean of means
    assert_allclose(st.iqm(x), 0.775)
    assert_allclose(st.optimality_gap(x), 1.9 / 6)
    assert_allclose(st.optimality_gap(x, 0.5), 0.5 / 6)
    taus = np.array([-1.0, 0.0, 0.5, 0.6, 1.0, 2.0])
    assert_allclose(st.performance_profile(x, taus), np.array([6, 5, 4, 3, 1, 0]) / 6)
    assert_allclose(st.average_score_profile(x, [0.4, 0.5, 1.1, 1.2]), [1, 0.5, 0.5, 0])
    # Task 1: 0 loses and ties, 0.5 ties and wins, 1 wins twice: U = 4 of 6. Task 2: 1 ties and
    # wins, 2 wins twice, 0.6 loses and ties: U = 4 of 6.
    assert_allclose(st.probability_of_improvement(x, y), 4 / 6)
    assert_allclose(st.probability_of_improvement(y, x), 2 / 6)


def test_stratified_bootstrap_has_the_law_of_all_its_draws():
    """Two runs of two tasks can be drawn in 16 ways, each as likely: every value, every share."""
    table = np.array([[0.0, 10.0], [1.0, 40.0]])
    every = [
        np.array([[table[a, 0], table[c, 1]], [table[b, 0], table[d, 1]]])
        for a, b, c, d in itertools.product((0, 1), repeat=4)
    ]
    for estimate in (st.mean, st.median, st.iqm, st.optimality_gap):
        values, counts = np.unique([estimate(one).round(9) for one in every], return_counts=True)
        drawn = st._replicates(estimate, [table], 40_000, 3).round(9)
        found, times = np.unique(drawn, return_counts=True)
        assert_allclose(found, values)
        assert_allclose(times / 40_000, counts / 16, atol=0.01)


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (10, 7), (5, 3), (4, 25)])
def test_estimates_agree_with_the_published_definitions(shape):
    x = np.random.default_rng(3).normal(0.6, 0.5, size=shape)
    assert_allclose(st.iqm(x), stats.trim_mean(x, 0.25, axis=None))
    assert_allclose(st.mean(x), np.mean([x[:, m].mean() for m in range(shape[1])]))
    assert_allclose(st.median(x), np.median([x[:, m].mean() for m in range(shape[1])]))
    assert_allclose(st.optimality_gap(x), 1.0 - np.mean([min(v, 1.0) for v in x.ravel()]))
    assert_allclose(st.optimality_gap(x, 0.3), 0.3 - np.mean([min(v, 0.3) for v in x.ravel()]))


@pytest.mark.parametrize("shapes", [((10, 7), (6, 7)), ((120, 2), (90, 2))])
def test_probability_of_improvement_is_mann_whitney_with_half_ties(shapes):
    rng = np.random.default_rng(4)
    x, y = (rng.integers(0, 5, size=shape).astype(float) for shape in shapes)  # many ties
    u = [
        stats.mannwhitneyu(x[:, m], y[:, m]).statistic / (len(x) * len(y))
        for m in range(x.shape[1])
    ]
    assert_allclose(st.probability_of_improvement(x, y), np.mean(u))
    assert_allclose(st.probability_of_improvement(x, y) + st.probability_of_improvement(y, x), 1.0)
    assert st.probability_of_improvement(x, x) == 0.5
    assert st.probability_of_improvement(x + 9, y) == 1.0


def test_performance_profile_counts_strictly_above():
    x = np.array([[0.0, 1.0], [0.5, 1.0]])
    assert_allclose(
        st.performance_profile(x, [-np.inf, 0.0, 0.5, 0.9, 1.0]), [1, 0.75, 0.5, 0.5, 0]
    )
    assert_allclose(st.average_score_profile(x, [0.2, 0.25, 0.9, 1.0]), [1, 0.5, 0.5, 0])


def test_profile_falls_and_its_area_is_the_mean():
    x = RNG.beta(2, 3, size=(9, 6))
    taus = np.linspace(0, 1, 20_001)
    profile = st.performance_profile(x, taus)
    assert (np.diff(profile) <= 0).all()
    assert_allclose(profile[:-1].mean(), st.mean(x), atol=1e-4)
    assert_allclose(st.mean(x), 1 - st.optimality_gap(x))


@pytest.mark.parametrize(
    "estimate",
    [
        st.mean,
        st.median,
        st.iqm,
        st.optimality_gap,
        lambda x: st.performance_profile(x, [0.1, 0.9]),
    ],
)
def test_estimates_take_leading_axes(estimate):
    batch = RNG.normal(size=(2, 3, 5, 4))
    one_by_one = [[estimate(batch[i, j]) for j in range(3)] for i in range(2)]
    assert_allclose(estimate(batch), one_by_one)


@pytest.mark.parametrize("runs", [5, 100])
def test_probability_of_improvement_takes_leading_axes(runs):
    x, y = RNG.normal(size=(2, 3, runs, 2)), RNG.normal(size=(2, 3, runs + 1, 2))
    one_by_one = [
        [st.probability_of_improvement(x[i, j], y[i, j]) for j in range(3)] for i in range(2)
    ]
    assert_allclose(st.probability_of_improvement(x, y), one_by_one)


def test_time_average_weighs_uneven_steps():
    assert_allclose(st.time_average(np.array([0.0, 1.0, 1.0]), np.array([0, 1, 4])), 3.5 / 4)
    assert st.time_average(np.array([[3.0]]), np.array([7])) == 3.0


# --- bootstrap ------------------------------------------------------------------------------------


def test_interval_equals_a_plain_loop():
    """The stratified bootstrap of the definition, one run a task at a time."""
    rng = np.random.default_rng(1)
    reps = 4_000
    draws = np.empty(reps)
    for i in range(reps):
        columns = [rng.choice(SCORES[:, m], len(SCORES)) for m in range(SCORES.shape[1])]
        draws[i] = stats.trim_mean(np.array(columns), 0.25, axis=None)
    interval = st.bootstrap_interval(SCORES, st.iqm, rng=2)
    # Two quantiles of 4,000 draws stray by about 0.04 standard deviations.
    assert_allclose([interval.low, interval.high], np.quantile(draws, [0.025, 0.975]), atol=0.02)
    assert interval.low < interval.point < interval.high


def test_several_statistics_share_their_draws():
    """And are what each would be alone."""
    estimates = {"iqm": st.iqm, "median": st.median, "gap": st.optimality_gap}
    together = st.bootstrap_intervals(SCORES, estimates, level=0.9, reps=9_000, rng=4)
    for name, estimate in estimates.items():
        alone = st.bootstrap_interval(SCORES, estimate, level=0.9, reps=9_000, rng=4)
        assert together[name] == alone
    with pytest.warns(TooFewRunsWarning):
        one = st.bootstrap_intervals(SCORES[:1], estimates)
    assert one["iqm"].point == st.iqm(SCORES[:1])
    assert np.isnan([one["gap"].low, one["gap"].high]).all()


def test_mean_of_one_task_of_two_runs_has_exactly_three_values():
    """Replicates of runs (0, 1): 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4."""
    table = np.array([[0.0], [1.0]])
    draws = st._replicates(st.mean, [table], 40_000, 5)
    values, counts = np.unique(draws, return_counts=True)
    assert_allclose(values, [0, 0.5, 1])
    assert_allclose(counts / 40_000, [0.25, 0.5, 0.25], atol=0.01)


def test_tasks_are_strata_of_their_own():
    """Tasks that differ widely, runs that do not: no spread, until tasks are drawn too."""
    table = np.tile(np.array([0.0, 10.0, 20.0]), (8, 1))
    fixed = st.bootstrap_interval(table, st.mean, reps=2_000)
    assert (fixed.low, fixed.high) == (10.0, 10.0)
    drawn = st.bootstrap_interval(table, st.mean, reps=2_000, task_bootstrap=True)
    assert drawn.low < 4
    assert drawn.high > 16


def test_runs_of_different_tasks_are_drawn_apart():
    """Four tasks alike: their mean varies as over 4 N runs, not as over N."""
    one = RNG.normal(size=(9, 1))
    alone = st.bootstrap_interval(one, st.mean)
    four = st.bootstrap_interval(np.tile(one, 4), st.mean)
    assert_allclose((alone.high - alone.low) / (four.high - four.low), 2.0, rtol=0.05)


def test_coverage_of_the_mean():
    """95 % intervals of 500 Gaussian tables [10, 5] cover the truth 88 to 96 times in 100."""
    rng = np.random.default_rng(7)
    hits = 0
    for _ in range(500):
        interval = st.bootstrap_interval(rng.normal(size=(10, 5)), st.mean, reps=1_000, rng=rng)
        hits += interval.low <= 0 <= interval.high
    assert 0.88 <= hits / 500 <= 0.96


def test_same_seed_gives_the_same_interval_and_no_global_generator_is_used():
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = st.bootstrap_interval(SCORES, rng=11)
    again = st.bootstrap_interval(SCORES, rng=np.random.default_rng(11))
    assert first == again
    assert st.bootstrap_interval(SCORES, rng=12) != first
    assert (np.random.get_state()[1] == state).all()  # noqa: NPY002


def test_level_sets_the_quantiles():
    wide, narrow = (st.bootstrap_interval(SCORES, level=level) for level in (0.99, 0.5))
    assert wide.low < narrow.low < narrow.point < narrow.high < wide.high
    draws = st._replicates(st.iqm, [SCORES], 50_000, 0)
    assert_allclose([narrow.low, narrow.high], np.quantile(draws, [0.25, 0.75]))


def test_large_tables_are_drawn_in_bounded_chunks():
    seen = []

    def watched(x):
        seen.append(x.size)
        return st.mean(x)

    st.bootstrap_interval(RNG.normal(size=(100, 50)), watched, reps=500)
    assert max(seen) <= st.CHUNK
    assert sum(seen) == 100 * 50 * 501  # replicates and the point


def test_one_run_warns_and_has_no_interval():
    with pytest.warns(TooFewRunsWarning, match="one run"):
        interval = st.bootstrap_interval(np.array([[1.0, 2.0]]))
    assert interval.point == 1.5
    assert np.isnan([interval.low, interval.high]).all()
    assert str(interval) == "1.5 [no interval: one run]"
    with pytest.warns(TooFewRunsWarning):
        assert np.isnan(st.curve_band(np.ones((1, 1, 4))).low).all()
    with pytest.warns(TooFewRunsWarning):
        two = st.bootstrap_two_sample(SCORES, OTHER[:1])
    assert np.isnan(two.low)


def test_one_run_of_many_tasks_has_a_task_interval():
    interval = st.bootstrap_interval(SCORES[:1], task_bootstrap=True, reps=500)
    assert interval.low < interval.point < interval.high


def test_two_sample_of_equals_contains_one_half():
    interval = st.bootstrap_two_sample(SCORES, SCORES, reps=5_000)
    assert interval.point == 0.5
    assert_allclose(0.5 * (interval.low + interval.high), 0.5, atol=0.01)
    assert interval.high - interval.low > 0.1


def test_two_sample_interval_covers():
    """Bernoulli scores with P(X>Y) = 0.5 + (0.7 - 0.5) / 2 = 0.6."""
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(300):
        x, y = (rng.random((12, 4)) < p for p in (0.7, 0.5))
        interval = st.bootstrap_two_sample(x, y, reps=500, rng=rng)
        hits += interval.low <= 0.6 <= interval.high
    assert 0.88 <= hits / 300 <= 0.98


def test_paired_difference_cancels_the_noise_of_the_seed():
    noise = RNG.normal(scale=10, size=(8, 3))
    x, y = noise + 1.0, noise + RNG.normal(scale=0.1, size=(8, 3))
    paired = st.difference_interval(x, y, st.mean, paired=True, reps=2_000)
    apart = st.difference_interval(x, y, st.mean, reps=2_000)
    assert paired.point == apart.point
    assert paired.high - paired.low < 0.2
    assert paired.low > 0.5
    assert apart.high - apart.low > 5
    # For the mean, drawing pairs is drawing differences.
    differences = st.bootstrap_interval(x - y, st.mean, reps=2_000)
    assert_allclose([paired.low, paired.high], [differences.low, differences.high])


def test_profile_band_holds_the_profile():
    taus = np.linspace(0, 2, 21)
    band = st.profile_band(SCORES, taus)
    assert_allclose(band.point, st.performance_profile(SCORES, taus))
    assert (band.low <= band.point).all()
    assert (band.point <= band.high).all()
    assert (band.high - band.low).max() > 0.1
    pointwise = st.bootstrap_interval(
        SCORES, lambda x: st.performance_profile(x, taus[5:6])[..., 0], reps=20_000
    )
    assert_allclose([band.low[5], band.high[5]], [pointwise.low, pointwise.high], atol=0.03)
    average = st.profile_band(SCORES, taus, st.average_score_profile)
    assert_allclose(average.point, st.average_score_profile(SCORES, taus))


# --- curves ---------------------------------------------------------------------------------------


def test_area_of_correlated_curves_keeps_the_spread_of_runs():
    """50 copies of one time point: the area varies as one point does, not 1/sqrt(50) of it."""
    scores = RNG.normal(size=(10, 3))
    curves = np.repeat(scores[:, :, None], 50, axis=2)
    time = np.arange(50)
    area = st.curve_interval(curves, lambda c: st.time_average(c, time), st.mean)
    point = st.bootstrap_interval(scores, st.mean, reps=2_000)
    assert_allclose([area.low, area.high], [point.low, point.high], rtol=1e-9)
    # Drawing a new run at every time would give the width of a mean over 50 times the runs.
    independent = st.bootstrap_interval(curves.transpose(0, 2, 1).reshape(500, 3), st.mean)
    ratio = (area.high - area.low) / (independent.high - independent.low)
    assert_allclose(ratio, np.sqrt(50), rtol=0.15)


@pytest.mark.parametrize("statistic", [st.mean, st.median, st.iqm])
def test_curve_band_is_the_interval_at_every_time(statistic):
    curves = RNG.normal(size=(6, 3, 4)).cumsum(2)
    band = st.curve_band(curves, statistic, reps=1_500, rng=9)
    assert len(band) == 4
    for t in range(4):
        alone = st.bootstrap_interval(curves[:, :, t], statistic, reps=1_500, rng=9)
        assert_allclose(band.point[t], alone.point)
        assert_allclose([band.low[t], band.high[t]], [alone.low, alone.high], atol=0.15)
        assert band[t] == st.Interval(float(band.point[t]), band.low[t], band.high[t])
    assert str(band).count("\n") == 3


def test_curve_of_one_time_is_a_table():
    band = st.curve_band(SCORES[:, :, None], st.iqm, reps=3_000, rng=4)
    table = st.bootstrap_interval(SCORES, st.iqm, reps=3_000, rng=4)
    assert band[0] == table


# --- bad input ------------------------------------------------------------------------------------


def nan_at(shape, *where):
    table = np.zeros(shape)
    table[where] = np.nan
    return table


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: st.bootstrap_interval(np.ones(5)),
            r"\['run', 'task'\] array, got \(5,\); for one",
        ),
        (lambda: st.bootstrap_interval(np.ones((2, 2, 2))), r"got \(2, 2, 2\)"),
        (lambda: st.bootstrap_interval(np.ones((0, 3))), "non-empty"),
        (lambda: st.bootstrap_interval(nan_at((4, 3), 2, 1)), "scores has nan at run 2, task 1"),
        (lambda: st.curve_band(nan_at((4, 3, 5), 2, 1, 4)), "curves has nan at run 2, task 1, ti"),
        (lambda: st.bootstrap_interval([[1.0, 2.0], [3.0]]), "scores is not a table of numbers"),
        (lambda: st.bootstrap_interval([["a"], ["b"]]), "scores is not a table of numbers"),
        (lambda: st.bootstrap_two_sample(SCORES, OTHER[:, :3]), "x has 7 tasks but y has 3"),
        (
            lambda: st.bootstrap_two_sample(SCORES, nan_at((4, 7), 0, 6)),
            "y has nan at run 0, task 6",
        ),
        (lambda: st.difference_interval(SCORES, OTHER, paired=True), "x has 10 runs but y has 6"),
        (lambda: st.bootstrap_interval(SCORES, level=95), "level"),
        (lambda: st.bootstrap_interval(SCORES, reps=0), "reps"),
        (
            lambda: st.bootstrap_interval(SCORES, lambda x: x.mean()),
            "reduce the last two axes only",
        ),
        (lambda: st.profile_band(SCORES, np.array([0.0, np.nan])), "taus"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_interval_reads_well():
    assert str(st.Interval(1234.567, 1001.2, 1300.99)) == "1235 [1001, 1301]"


def test_import_needs_numpy_only():
    code = (
        "import sys, rlkit.eval.statistics, rlkit.eval.records, rlkit.eval.comparison;"
        "heavy = {'torch', 'gymnasium', 'matplotlib', 'pandas', 'scipy.stats'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ)


def test_no_warning_on_a_plain_table():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        st.bootstrap_interval(SCORES, reps=10)
