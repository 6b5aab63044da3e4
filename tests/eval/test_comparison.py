"""The verdict on two sets of seeds, against scipy's t-tests and simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

import rlkit
from rlkit.eval.comparison import compare_means
from rlkit.eval.tables import TooFewRunsWarning

RNG = np.random.default_rng(5)


def test_one_task_is_welch_and_paired_t():
    x, y = RNG.normal(size=(7, 1)), RNG.normal(1, 2, size=(7, 1))
    welch = stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False).confidence_interval()
    found = compare_means(x, y).difference
    assert_allclose([found.low, found.high], [welch.low, welch.high])
    paired = stats.ttest_rel(x[:, 0], y[:, 0]).confidence_interval()
    found = compare_means(x, y, paired=True).difference
    assert_allclose([found.low, found.high], [paired.low, paired.high])


def test_unequal_numbers_of_seeds_are_welch_too():
    x, y = RNG.normal(size=(4, 1)), RNG.normal(size=(11, 1))
    welch = stats.ttest_ind(x[:, 0], y[:, 0], equal_var=False).confidence_interval(0.9)
    found = compare_means(x, y, level=0.9)
    assert_allclose([found.difference.low, found.difference.high], [welch.low, welch.high])
    assert found.seeds == 4


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_level_holds_at_few_seeds(seeds):
    """No difference is called one in about 5 of 100, where percentile intervals fail."""
    rng = np.random.default_rng(seeds)
    false = sum(
        compare_means(rng.normal(size=(seeds, 4)), rng.normal(size=(seeds, 4))).resolved
        for _ in range(1_500)
    )
    assert false / 1_500 < 0.07


@pytest.mark.parametrize("paired", [True, False])
def test_the_seeds_named_find_the_effect_with_the_power_named(paired):
    """Plan from a large pilot, then simulate: a share of 0.8 of such experiments resolves."""
    rng = np.random.default_rng(6)

    def experiment(n):
        noise = rng.normal(size=(n, 2))
        x = 0.6 + noise + rng.normal(size=(n, 2))
        return x, (noise if paired else rng.normal(size=(n, 2))) + rng.normal(size=(n, 2))

    plan = compare_means(*experiment(20_000), paired=paired, effect=0.6)
    # Variance of one seed's mean difference over two tasks: 1 paired, 2 not; z-values 1.96 + 0.84.
    about = (1.0 if paired else 2.0) * (2.8 / 0.6) ** 2
    assert about <= plan.seeds_needed <= about + 4
    found = np.mean(
        [compare_means(*experiment(plan.seeds_needed), paired=paired).resolved for _ in range(600)]
    )
    assert 0.74 < found < 0.87


def test_verdicts_read_plainly():
    spread = np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]])
    assert str(compare_means(spread + 5, spread)).startswith("resolved: difference 5 [")
    close = compare_means(spread + 0.5, spread)
    assert not close.resolved
    assert close.seeds_needed > 5
    assert str(close) == (
        f"too few seeds to tell: difference {close.difference} with 5 seeds a side; "
        f"about {close.seeds_needed} would do if it is as large as it looks"
    )
    planned = compare_means(spread + 0.5, spread, effect=0.1)
    assert str(planned).endswith("would do to find a difference of 0.1")
    assert planned.seeds_needed > close.seeds_needed
    assert "even 1000 would not do" in str(compare_means(spread + 1e-6, spread))
    assert compare_means(spread + 1e-6, spread).seeds_needed is None
    assert "no difference as large as 9" in str(compare_means(spread, spread, effect=9.0))
    suffice = compare_means(spread + 0.9, spread, effect=1.75)
    assert suffice.seeds_needed <= 5
    assert str(suffice).startswith("not resolved, though the seeds suffice to find 1.75")


def test_runs_that_never_vary():
    same = compare_means(np.ones((3, 2)), np.ones((3, 2)))
    assert not same.resolved
    assert str(same).startswith("no difference: ")
    assert compare_means(np.ones((3, 2)), np.zeros((3, 2))).resolved


def test_one_seed_cannot_tell():
    with pytest.warns(TooFewRunsWarning):
        verdict = compare_means(np.array([[3.0]]), np.array([[1.0]]), paired=True)
    assert not verdict.resolved
    assert np.isnan(verdict.difference.low)
    assert verdict.seeds_needed is None
    assert str(verdict) == (
        "too few seeds to tell: difference 2 [no interval: one run] with 1 paired seed; "
        "run at least 3"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"effect": 0.0}, "effect"),
        ({"effect": np.nan}, "effect"),
        ({"level": 1.0}, "level"),
        ({"power": 80}, "power"),
        ({"paired": True}, "x has 4 runs but y has 3"),
    ],
)
def test_bad_input_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        compare_means(np.ones((4, 2)), np.ones((3, 2)), **arguments)


@pytest.mark.parametrize(
    "scores",
    [["1", "2"], [b"1", b"2"], np.array(["1", 2.0], object), [1.0, "2"], np.array(["1", "2"])],
    ids=str,
)
def test_texts_are_no_scores(scores):
    for pair in ((scores, [0.3] * 7), ([0.3] * 7, scores)):
        with pytest.raises(ValueError, match="not a table of numbers: it holds text"):
            rlkit.compare(*pair)
