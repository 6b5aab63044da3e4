"""Pictures of models show the values and the moves that they were given."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.eval import tabular_plots

MOVES = np.array([[0, -1], [1, 0], [0, 1], [-1, 0]])


def test_a_grid_shows_the_value_of_each_cell_and_walls_without_one() -> None:
    figure = tabular_plots.grid_plot(
        np.array([1.0, 2.0, 5.0, 3.0]), np.array([2, 1, 0, 3]), np.array([0, 1, 1, 3]), (2, 2),
        moves=MOVES, letters=("S.", "#."),
    )  # fmt: skip
    axes = figure.axes[0]
    table = axes.images[0].get_array()
    assert table.tolist() == [[1.0, 5.0], [None, 3.0]]  # the best of two states in a cell
    (arrows,) = [c for c in axes.collections if hasattr(c, "U")]
    assert arrows.U.size == 3  # none in the start's cell, which has a letter
    assert (arrows.X.tolist(), arrows.Y.tolist()) == ([1, 1, 1], [0, 0, 1])
    assert (arrows.U.tolist(), arrows.V.tolist()) == ([0, -1, 0], [1, 0, -1])
    assert "S" in [text.get_text() for text in axes.texts]


def test_a_grid_whose_values_are_all_the_same_is_drawn() -> None:
    figure = tabular_plots.grid_plot(np.zeros(2), np.zeros(2, int), np.arange(2), (1, 2))
    assert figure.axes[0].images[0].norm.vmin < figure.axes[0].images[0].norm.vmax


def test_a_chain_lies_in_a_row_and_arrows_follow_the_policy() -> None:
    led = np.array([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75], [0.0, 0.0, 1.0]])
    figure = tabular_plots.graph_plot(np.arange(3.0), np.array([1, 0, 1]), np.arange(3), led)
    axes = figure.axes[0]
    places = axes.collections[0].get_offsets()
    assert_allclose(places, [[0, 0], [1, 0], [2, 0]])
    drawn = {
        (tuple(text.xyann), tuple(text.xy)): text.arrow_patch.get_linewidth()
        for text in axes.texts
        if getattr(text, "arrow_patch", None) is not None
    }
    ends = {(tuple(places[s]), tuple(places[t])) for s, t in [(0, 1), (1, 0), (1, 2)]}
    assert drawn.keys() == ends  # and none from a state to itself
    assert drawn[tuple(places[1]), tuple(places[2])] > drawn[tuple(places[1]), tuple(places[0])]
    assert "2\na1" in [text.get_text() for text in axes.texts]


def test_a_wide_layer_lies_on_a_circle() -> None:
    count = 12
    steps = np.array([0] + [1] * (count - 1))
    figure = tabular_plots.graph_plot(
        np.arange(float(count)), np.zeros(count, int), steps, np.eye(count)
    )
    radius = np.hypot(*figure.axes[0].collections[0].get_offsets().T)
    assert_allclose(radius, count / (2 * np.pi))


@pytest.mark.parametrize("actions", [3, 12])
def test_dots_lie_at_their_steps_in_the_colour_of_their_action(actions: int) -> None:
    steps = np.array([0, 1, 1, 2, -1] * 6)
    value, policy = np.arange(30.0), np.arange(30) % actions
    figure = tabular_plots.distance_plot(value, policy, steps)
    axes = figure.axes[0]
    dots = np.concatenate([c.get_offsets() for c in axes.collections])
    assert sorted(dots[:, 1]) == sorted(value[steps >= 0])
    at = {y: x for x, y in dots}
    for v, step in zip(value[steps >= 0], steps[steps >= 0], strict=True):
        assert abs(at[v] - step) <= 0.3
    assert len({tuple(c.get_facecolor()[0]) for c in axes.collections}) == min(actions, 7)
    assert "6 are never reached" in axes.texts[0].get_text()
