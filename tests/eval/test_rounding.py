"""Scores that differ by rounding alone are equal to every comparison."""

import numpy as np
import pytest

from rlkit.eval.comparison import compare_means
from rlkit.eval.statistics import (
    average_score_profile,
    bootstrap_interval,
    difference_interval,
    mean,
    performance_profile,
    probability_of_improvement,
)

ALIKE = [  # what is the same number by two ways of counting
    (np.full((5, 1), 0.1), np.full((7, 1), 0.1)),
    (np.full((4, 1), 0.1 + 0.2), np.full((4, 1), 0.3)),
    (np.full((3, 2), sum([0.1] * 1000)), np.full((6, 2), 100.0)),
    (np.array([[0.3], [0.1 + 0.2], [0.3]]), np.array([[0.1 + 0.2], [0.3], [0.3]])),
    (np.full((5, 1), -1e9 / 3), np.full((4, 1), -1e9 / 3 * (1 + 3e-16))),
]


@pytest.mark.parametrize(("x", "y"), ALIKE)
def test_rounding_is_no_difference_of_means(x, y):
    for a, b in ((x, y), (y, x)):
        found = compare_means(a, b)
        assert not found.resolved
        assert found.difference.point == found.difference.low == found.difference.high == 0.0
        assert str(found).startswith("no difference")
        assert str(found).endswith("all runs alike")
    if len(x) == len(y):
        assert not compare_means(x, y, paired=True).resolved


@pytest.mark.parametrize(("x", "y"), ALIKE)
def test_rounding_is_a_tie(x, y):
    assert probability_of_improvement(x, y) == 0.5
    many = np.repeat(x, 100, axis=0), np.repeat(y, 100, axis=0)  # counted by sorting
    assert probability_of_improvement(*many) == 0.5
    found = difference_interval(x, y, mean, reps=200)
    assert (found.point, found.low, found.high) == (0.0, 0.0, 0.0)


def test_rounding_is_not_above_a_threshold():
    scores = np.array([[0.1 + 0.2], [0.3], [0.5]])
    assert performance_profile(scores, np.array([0.3])) == pytest.approx(1 / 3)
    assert average_score_profile(scores[:2], np.array([0.3])) == 0.0


def test_small_differences_that_are_no_rounding_are_found():
    x, y = np.full((5, 1), 1.0), np.full((5, 1), 1.0 + 1e-9)
    assert compare_means(x, y).resolved
    assert probability_of_improvement(y, x) == 1.0
    tiny = np.array([[1e-20], [2e-20], [3e-20]])  # rounding is measured by the scores themselves
    assert compare_means(tiny + 1e-18, tiny).resolved


def test_the_reason_for_no_interval_is_the_true_one():
    with pytest.warns(UserWarning, match="one run"):
        assert "no interval: one run" in str(bootstrap_interval(np.ones((1, 2)), mean, reps=10))

    def ratio(scores):
        with np.errstate(invalid="ignore"):
            return scores.mean((-2, -1)) / (scores.max((-2, -1)) - scores.min((-2, -1)))

    with np.errstate(invalid="ignore"):
        found = bootstrap_interval(np.zeros((3, 1)), ratio, reps=10)
    assert "the statistic is not a number" in str(found)
