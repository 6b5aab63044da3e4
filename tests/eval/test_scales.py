"""Each comparison of scores is at the scale of what it compares."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from rlkit.eval.comparison import compare_means
from rlkit.eval.statistics import (
    average_score_profile,
    difference_interval,
    mean,
    performance_profile,
    probability_of_improvement,
)


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


@pytest.mark.parametrize("outlier", [-1e13, 1e17, -1e300])
def test_a_run_that_diverged_does_not_hide_what_the_others_differ_in(outlier: float) -> None:
    x, y = column(1, 2, 3, outlier), column(4, 5, 6)
    wins = 3 if outlier > 0 else 0
    assert probability_of_improvement(x, y) == pytest.approx(wins / 12)
    assert probability_of_improvement(y, x) == pytest.approx(1 - wins / 12)
    many = np.tile(x, (400, 1)), np.tile(y, (400, 1))  # by sorting
    assert probability_of_improvement(*many) == pytest.approx(wins / 12)
    profile = performance_profile(x, np.array([0.0, 2.5]))
    assert profile == pytest.approx([0.75 + (outlier > 0) / 4, 0.25 + (outlier > 0) / 4])


def test_a_task_of_large_scores_does_not_hide_a_task_of_small_ones() -> None:
    x, y = np.array([[1e15, 1.0], [1e15, 1.01]]), np.array([[1e15, 3.0], [1e15, 3.01]])
    assert probability_of_improvement(x, y) == pytest.approx(0.25)
    found = compare_means(np.array([[1, 1e13]] * 3), np.array([[5, 1e13]] * 3))
    assert found.difference.point == pytest.approx(-2)
    assert found.resolved
    taus = np.array([2.0])
    assert average_score_profile(x, taus) == pytest.approx([0.5])


@pytest.mark.parametrize("kinds", [(np.float32, np.float64), (np.float16, np.float32)])
@pytest.mark.parametrize("paired", [False, True])
def test_a_score_is_equal_to_itself_in_fewer_digits(kinds: tuple[type, type], paired: bool) -> None:
    x, y = (np.full((5, 1), 0.1, kind) for kind in kinds)
    found = compare_means(x, y, paired=paired)
    assert not found.resolved
    assert "all runs alike" in str(found)
    interval = difference_interval(x, y, mean, paired=paired, reps=100)
    assert (interval.low, interval.high) == (0, 0)


def test_scores_near_the_largest_number_compare_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        same = compare_means(np.full((5, 1), 1e300), np.full((7, 1), 1e300))
        other = compare_means(np.full((5, 1), 1e300), np.full((7, 1), 2e300))
    assert "all runs alike" in str(same)
    assert other.resolved


def test_text_is_not_a_score() -> None:
    with pytest.raises(ValueError, match="x is not a table of numbers: it holds text"):
        compare_means(np.array([["1"], ["2"]]), np.array([[1.0], [2.0]]))
