"""A dataset at a glance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rlkit.eval.dataset_plot import dataset_plot, directions

RNG = np.random.default_rng(5)


def counted(axes) -> float:
    return sum(patch.get_height() for patch in axes.patches)


def test_episodes_are_all_counted_and_returns_marked() -> None:
    returns, lengths = RNG.normal(size=90), RNG.integers(3, 9, 90)
    obs, action = RNG.normal(size=(500, 4)), RNG.uniform(-1, 1, (500, 2))
    figure = dataset_plot(returns, lengths, obs, action, references={"random": -1.0}, title="d")
    first, second, third, fourth = figure.axes
    assert counted(first) == counted(second) == 90
    assert first.lines[0].get_xdata()[0] == -1.0
    assert [patch.get_height() for patch in second.patches[:6]] == [
        (lengths == k).sum() for k in range(3, 9)
    ]
    assert third.collections[0].get_array().sum() == 500
    assert len(fourth.patches) == 2
    for steps in fourth.patches:
        assert_allclose(steps.get_data().values.sum(), 1.0)


def test_the_first_direction_is_that_of_what_varies_together() -> None:
    common = RNG.normal(size=4000)
    obs = np.c_[common, 100 * common, -common, 0.001 * RNG.normal(size=4000), np.ones(4000)]
    places, shares = directions(obs)
    assert_allclose(shares, [0.75, 0.25], atol=0.02)
    assert abs(np.corrcoef(places[:, 0], common)[0, 1]) > 0.999
    assert abs(np.corrcoef(places[:, 1], obs[:, 3])[0, 1]) > 0.99


@pytest.mark.parametrize("obs", [np.ones((30, 3)), np.zeros((30, 1)), np.zeros((30, 64, 64, 3))])
def test_what_has_no_directions_is_said(obs: np.ndarray) -> None:
    figure = dataset_plot(np.ones(5), np.full(5, 6), obs, np.arange(30) % 3)
    (text,) = figure.axes[2].texts
    assert "same" in text.get_text() or "no coverage" in text.get_text()


def test_one_number_is_drawn_against_nothing() -> None:
    places, shares = directions(np.arange(10.0)[:, None])
    assert_allclose(shares, [1.0, 0.0])
    assert_allclose(places[:, 1], 0.0)


def test_discrete_actions_are_shares_and_unknown_ones_left_out() -> None:
    obs = RNG.normal(size=(40, 2))
    figure = dataset_plot(np.ones(4), np.full(4, 10), obs, np.repeat([0, 2], [30, 10]))
    bars = {p.get_x() + p.get_width() / 2: p.get_height() for p in figure.axes[3].patches}
    assert bars == pytest.approx({0: 0.75, 2: 0.25})
    unknown = np.full((40, 1), np.nan)
    figure = dataset_plot(np.ones(4), np.full(4, 10), obs, unknown)
    assert figure.axes[3].texts[0].get_text() == "no action is known"


def test_episodes_of_one_length_are_one_bar_among_whole_numbers() -> None:
    figure = dataset_plot(
        RNG.normal(size=9), np.full(9, 300), RNG.normal(size=(50, 2)), np.ones(50)
    )
    second = figure.axes[1]
    low, high = second.get_xlim()
    assert high - low == 9
    (bar,) = second.patches
    assert bar.get_x() + bar.get_width() / 2 == 300
    ticks = second.get_xticks()
    assert (ticks == ticks.round()).all()


def test_a_place_with_one_observation_is_seen_and_no_length_is_negative() -> None:
    obs = np.array([[0.0, 0.0], [1.0, 0.2], [0.3, 1.0], [2.0, 2.0]])
    figure = dataset_plot(np.array([1.0, 2.5]), np.array([2, 2]), obs, np.ones((4, 1)))
    figure.canvas.draw()
    _, second, third, _ = figure.axes
    low, high = second.get_xlim()
    assert (low, high) == (-0.5, 8.5)
    alone = third.collections[0].to_rgba([1.0])[0]
    assert alone[:3].min() < 0.75  # white is 1
