"""Weights of zero, constants at the ends of their range, costs that are no numbers."""

import numpy as np
import pytest

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import evaluate, tuning
from rlkit.algos.bandits.off_policy.estimators import ESTIMATORS
from rlkit.algos.bandits.off_policy.intervals import interval
from rlkit.algos.bandits.off_policy.logs.coverage import coverage
from rlkit.algos.bandits.off_policy.logs.decision_log import DecisionLog

N, K = 90, 3
ACTION = np.arange(N) % K
REWARD = (np.arange(N) % 2).astype(float)
LOG = DecisionLog(Feedback(ACTION, REWARD, prob=np.full(N, 1 / K)), K)
DETERMINISTIC = np.eye(K)[np.zeros(N, int)]  # always arm 0: two rows of three weigh nothing
WITH_CONSTANT = [name for name, kind in ESTIMATORS.items() if kind.constant]


@pytest.mark.parametrize("name", ["sub_ips", "sub_dr"])
def test_a_sub_gaussian_weight_of_zero_is_zero_at_every_constant(name):
    q = np.full((N, K), 0.25) if name == "sub_dr" else None
    near, at = (evaluate(LOG, DETERMINISTIC, name, q=q, constant=c) for c in (1 - 1e-12, 1.0))
    np.testing.assert_allclose(at.values, near.values, atol=1e-9)
    assert np.isfinite([at.value, at.interval.low, at.interval.high]).all()


@pytest.mark.parametrize("name", WITH_CONSTANT)
@pytest.mark.parametrize("rule", tuning.RULES)
def test_every_rule_chooses_finitely_for_a_deterministic_target(name, rule):
    q = np.full((N, K), 0.25) if ESTIMATORS[name].model else None
    found = evaluate(LOG, DETERMINISTIC, name, q=q, constant=rule)
    assert np.isfinite(found.values).all()
    assert np.isfinite([found.interval.low, found.interval.high]).all()


@pytest.mark.parametrize("name", WITH_CONSTANT)
def test_weights_are_finite_and_never_above_the_plain_ones_at_the_ends_of_the_range(name):
    w = np.array([0.0, 1e-300, 1.0, 3.0, 1e200])
    with np.errstate(over="ignore"):
        for c in (0.0, 1e-300, 1.0, np.inf):
            if c <= ESTIMATORS[name].constant[1]:
                weight = ESTIMATORS[name].weighting(w, c)
                assert np.isfinite(weight).all()
                assert weight[0] == 0.0


def test_a_cost_that_is_no_number_is_never_the_least():
    assert tuning.least([np.nan, 3.0, np.nan, 2.0]) == 3
    assert tuning.least([np.nan, np.inf]) == 1
    with pytest.raises(ValueError, match="every one of them is NaN"):
        tuning.least([np.nan, np.nan])
    good, bad = np.array([0.0, 1.0, 2.0]), np.array([0.0, np.nan, 1.0])
    assert tuning.slope([bad, good]) == 1
    assert tuning.mse([bad, good], [bad, good], bound=False) == 1
    with pytest.raises(ValueError, match="every one of them is NaN"):
        tuning.slope([bad, bad])


def test_no_constant_is_chosen_from_nothing():
    w = np.ones(4)
    with pytest.raises(ValueError, match=r"constants has shape \(0,\)"):
        tuning.choose("clipped_ips", "mse", w, w, None, None, [])
    with pytest.raises(ValueError, match="there is one row"):
        tuning.choose("clipped_ips", "mse", w[:1], w[:1], None, None)


def test_the_reason_for_no_interval_is_the_true_one():
    assert str(interval(np.array([0.5]))) == "0.5 [no interval: one row]"
    huge = np.array([1e200, -1e200, 1e200])
    with np.errstate(over="ignore"):
        assert "the spread of the values is not finite" in str(interval(huge))
    with pytest.raises(ValueError, match="value of row 1 is not a finite number"):
        interval(np.array([0.0, np.nan]))


def test_a_model_with_an_entry_that_is_no_number_is_refused_by_row():
    for bad in (np.nan, np.inf, -np.inf):
        q = np.full((N, K), 0.25)
        q[7, 2] = bad  # an arm that the target does not play
        with pytest.raises(ValueError, match="q of row 7 has NaN or infinite entries"):
            evaluate(LOG, DETERMINISTIC, "dr", q=q)


def test_targets_in_single_precision_are_read_as_they_are():
    target = np.random.default_rng(0).dirichlet(np.ones(K), N).astype(np.float32)
    single = evaluate(LOG, target, "ips").value
    assert single == evaluate(LOG, target.astype(np.float64), "ips").value


def test_coverage_needs_no_log():
    found = coverage(LOG.uniform(), ACTION, np.full(N, 1 / K), np.full(N, K))
    assert str(found) == str(LOG)
    assert found.effective == pytest.approx(N)


@pytest.mark.parametrize("name", WITH_CONSTANT)
@pytest.mark.parametrize("rule", tuning.RULES)
@pytest.mark.parametrize("row", [0, 41])
def test_folds_that_tell_nothing_of_a_constant_take_the_least_biased_one(name, rule, row):
    """The target takes the logged action in one row: the folds without it weigh nothing."""
    target = np.eye(K)[(ACTION + 1) % K]
    target[row] = np.eye(K)[ACTION[row]]
    q = np.full((N, K), 0.25) if ESTIMATORS[name].model else None
    found = evaluate(LOG, target, name, q=q, constant=rule)
    least = 0.0 if ESTIMATORS[name].constant[1] == 1.0 else np.inf
    assert least in found.constants
    plain = evaluate(LOG, target, "dr" if q is not None else "ips", q=q)
    np.testing.assert_allclose(found.values[row], plain.values[row])  # its fold is the one
    with pytest.raises(ValueError, match="all weights are zero"):
        evaluate(LOG, np.eye(K)[(ACTION + 1) % K], name, q=q, constant=rule)
