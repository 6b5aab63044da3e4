"""Logs of several policies: exact variances by enumeration, and the best weights."""

import itertools

import numpy as np
import pytest

from rlkit.algos.bandits.off_policy import evaluate, from_table
from rlkit.algos.bandits.off_policy.loggers import balanced, weighted

# One context; two loggers that are nearly each other's opposite (Agarwal et al. 2017, section 3).
LOGGERS = np.array([[0.2, 0.8], [0.9, 0.1]])
TARGET = np.array([0.8, 0.2])
REWARD = np.array([10.0, 1.0])
VALUE = float(TARGET @ REWARD)


def log_of(actions, logger):
    actions, logger = np.asarray(actions), np.asarray(logger)
    table = {"action": actions, "reward": REWARD[actions], "prob": LOGGERS[logger, actions]}
    return from_table(table, arms=2), logger, LOGGERS[:, actions].T


def moments(estimate):
    """Mean and variance of an estimate over all logs of one row a logger."""
    mean = square = 0.0
    for actions in itertools.product(range(2), repeat=2):
        p = LOGGERS[0, actions[0]] * LOGGERS[1, actions[1]]
        value = estimate(*log_of(actions, [0, 1]))
        mean, square = mean + p * value, square + p * value**2
    return mean, square - mean**2


def test_naive_and_balanced_estimates_are_unbiased_and_balancing_varies_less():
    target = np.tile(TARGET, (2, 1))
    naive = moments(lambda log, *_: evaluate(log, target, "ips").value)
    mixed = moments(lambda *given: evaluate(balanced(*given), target, "ips").value)
    assert naive[0] == pytest.approx(VALUE)
    assert mixed[0] == pytest.approx(VALUE)
    w = TARGET / LOGGERS
    variances = (LOGGERS * (w * REWARD) ** 2).sum(1) - VALUE**2
    assert naive[1] == pytest.approx(variances.sum() / 4)
    assert mixed[1] < 0.2 * naive[1]


def test_one_logger_alone_changes_nothing():
    log, logger, probs = log_of([0, 1, 1, 0], [0, 0, 0, 0])
    np.testing.assert_allclose(balanced(log, logger, probs).table.prob, log.table.prob)
    target = np.tile(TARGET, (4, 1))
    plain, alone = evaluate(log, target, "ips"), weighted(log, target, logger, "ips")
    assert alone.value == pytest.approx(plain.value)
    assert alone.constants == (1.0,)


def test_weights_are_inverse_variances():
    rng = np.random.default_rng(0)
    n = np.array([400, 1600])
    logger = np.repeat([0, 1], n)
    actions = (rng.random(n.sum()) > LOGGERS[logger, 0]).astype(int)
    log, logger, _ = log_of(actions, logger)
    target = np.tile(TARGET, (len(logger), 1))
    found = weighted(log, target, logger, "ips")
    each = [evaluate(log.rows(logger == k), target[logger == k], "ips") for k in (0, 1)]
    precision = np.array([len(e.values) / e.values.var(ddof=1) for e in each])
    np.testing.assert_allclose(found.constants, precision / precision.sum())
    assert found.value == pytest.approx(np.dot(found.constants, [e.value for e in each]))
    half = 1.959964 / precision.sum() ** 0.5
    assert found.interval.high - found.value == pytest.approx(half, rel=1e-5)
    assert found.interval.low <= VALUE <= found.interval.high


def test_rows_that_contradict_the_log_are_refused():
    log, logger, probs = log_of([0, 1, 1], [0, 1, 1])
    wrong = probs.copy()
    wrong[2, 1] = 0.5
    with pytest.raises(ValueError, match=r"row 2: logger 1 takes the action with probability 0\.5"):
        balanced(log, logger, wrong)
    with pytest.raises(ValueError, match="logger must be whole numbers"):
        balanced(log, logger.astype(float), probs)
    with pytest.raises(ValueError, match="probs has shape"):
        balanced(log, logger, probs[:, :1])
    with pytest.raises(ValueError, match="logger 0 has one row"):
        weighted(log, np.tile(TARGET, (3, 1)), logger)


@pytest.mark.parametrize("target", [0.3, TARGET, np.tile(TARGET, (2, 1))])
def test_a_target_of_other_rows_is_refused(target):
    log, logger, _ = log_of([0, 1, 1, 0], [0, 1, 1, 0])
    with pytest.raises(ValueError, match=r"target has shape .*; the log has 4 rows"):
        weighted(log, target, logger)
