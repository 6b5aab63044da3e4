"""Arms played, as shares of the rounds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.eval.heat_table import heat_table
from rlkit.eval.plots import _figure
from rlkit.eval.pulls_plot import pulls_plot


def test_shares_are_means_over_runs_and_written_into_their_cells() -> None:
    figure = pulls_plot({"a": np.array([[8, 2], [6, 4]]), "b": np.array([[1, 398, 1]])})
    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    assert_allclose(shown.filled(-1), [[0.7, 0.3, -1], [0.0025, 0.995, 0.0025]])
    assert [text.get_text() for text in axes.texts[:6]] == ["70%", "30%", "", "<1%", "100%", "<1%"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_many_arms_have_colours_alone() -> None:
    figure = pulls_plot({"a": np.ones((3, 50))})
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == [
        "share of the rounds each arm was played, mean over runs"
    ]
    assert len(axes.get_xticks()) == 25


@pytest.mark.parametrize("pulls", [{}, {"a": np.ones(3)}, {"a": np.ones((0, 3))}])
def test_what_is_no_table_of_pulls_is_refused(pulls: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="pulls"):
        pulls_plot(pulls)


def test_text_is_light_on_dark_cells() -> None:
    _, axes = _figure(4, 2)
    heat_table(axes, np.array([[0.0, 1.0]]), ["r"], ["x", "y"], text=[["low", "high"]])
    low, high = axes.texts
    assert (low.get_color(), high.get_color()) == ("#333333", "white")


def test_a_table_of_another_shape_is_refused() -> None:
    _, axes = _figure(4, 2)
    with pytest.raises(ValueError, match=r"values \(1, 2\) are not \[1, 1\]"):
        heat_table(axes, np.zeros((1, 2)), ["r"], ["x"])
