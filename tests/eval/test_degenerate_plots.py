"""Pictures of little: one point, no spread, no value above zero, numbers that are none."""

import io

import numpy as np
import pytest

from rlkit.eval.plots import interval_plot, learning_curve, profile_plot
from rlkit.eval.regret_plot import regret_plot
from rlkit.eval.statistics import Interval

NAN, INF = np.nan, np.inf
CURVES = {  # x, values of every run
    "one point": ([5], [[0.0], [0.0]]),
    "one point, one run": ([1], [[3.0]]),
    "zeros": ([1, 10, 100], np.zeros((3, 3))),
    "all equal": ([1, 10], np.ones((2, 2))),
    "below zero": ([1, 10], -np.ones((2, 2))),
    "zero, then not": ([1, 10], [[0.0, 2.0], [0.0, 3.0]]),
    "nan": ([1, 10], np.full((2, 2), NAN)),
    "nan in one run": ([1, 10, 20], [[0, 1, NAN], [0, 1, 2]]),
    "infinite": ([1, 10], [[0, INF], [0, 1]]),
    "tiny": ([1, 10], np.full((2, 2), 1e-300)),
    "huge": ([1, 10], np.full((2, 2), 1e300)),
}
INTERVALS = {
    "nan": Interval(NAN, NAN, NAN),
    "no interval": Interval(1.0, NAN, NAN),
    "a point": Interval(1.0, 1.0, 1.0),
    "infinite": Interval(1.0, -INF, INF),
}


def drawn(figure):
    figure.savefig(io.BytesIO(), format="svg")
    return figure


@pytest.mark.parametrize("name", CURVES)
def test_curves_of_little_are_drawn(name):
    x, values = (np.asarray(part, float) for part in CURVES[name])
    drawn(learning_curve({name: (x, values)}, references={"a": Interval(1.0, NAN, NAN)}))
    figure = drawn(regret_plot({name: (x, values)}))
    plain, log = figure.axes
    whole = np.isfinite(values).all(0)
    shown = plain.lines[0].get_ydata()
    np.testing.assert_allclose(shown[whole], values.mean(0)[whole])
    assert np.isnan(shown[~whole]).all()
    above = (values[:, whole].mean(0) > 0).any()
    assert bool(log.lines) == log.axison == above
    if not above:
        assert "no regret above zero" in log.texts[-1].get_text()


def test_a_curve_without_values_above_zero_leaves_the_others_on_log_axes():
    x = np.array([1.0, 10.0])
    figure = drawn(regret_plot({"a": (x, np.zeros((2, 2))), "b": (x, np.ones((2, 2)))}))
    assert len(figure.axes[0].lines) == 2
    assert len(figure.axes[1].lines) == 1


@pytest.mark.parametrize("scores", [np.ones((1, 1)), np.zeros((3, 2)), np.full((2, 1), 1e20)])
def test_profiles_of_little_are_drawn(scores):
    figure = drawn(profile_plot({"a": scores, "b": scores}, reps=20))
    note = figure.axes[0].texts[0].get_text()
    assert ("no intervals" in note) == (len(scores) == 1)


@pytest.mark.parametrize("name", INTERVALS)
def test_intervals_of_little_are_drawn(name):
    drawn(interval_plot({"mean": {"a": INTERVALS[name], "b": INTERVALS["a point"]}}))
    drawn(interval_plot({"mean": {"a": INTERVALS[name]}}))
