"""The slate simulator: geometry, clicks, moving tastes, and bad slates."""

import numpy as np
import pytest
import torch

from rlkit.envs.bandits.slates import SlateWorld, sphere
from rlkit.nets.sequences.gru import gru_cell


def test_items_lie_around_their_groups():
    world = SlateWorld(items=200, groups=10, dim=4, sharpness=5.0)
    away = np.linalg.norm(world.vectors - world.centres[world.group], axis=1)
    np.testing.assert_allclose(away, 0.1 * 5.0)
    length = np.linalg.norm(world.centres, axis=1) / 5.0
    assert length.min() >= 0.1
    assert length.max() <= 0.8
    np.testing.assert_array_equal(np.bincount(world.group), 20)
    np.testing.assert_allclose(np.linalg.norm(sphere(5, 3, np.random.default_rng(0)), axis=1), 1)


def test_click_probabilities_by_hand():
    world = SlateWorld(items=30, groups=3, dim=2, slots=3, bias=0.5)
    taste, slates = world.users(2, np.random.default_rng(0)), np.array([[0, 7, 12], [5, 4, 3]])
    p = world.probabilities(taste, slates)
    for user in range(2):
        near = [np.exp(-np.linalg.norm(taste[user] - world.vectors[i])) for i in slates[user]]
        weights = np.array([np.exp(0.5), *near])
        np.testing.assert_allclose(p[user], weights / weights.sum())


def test_clicks_follow_their_probabilities():
    world = SlateWorld(items=30, groups=3, slots=3)
    rng = np.random.default_rng(1)
    taste = np.repeat(world.users(1, rng), 20_000, axis=0)
    slates = np.tile([2, 11, 20], (20_000, 1))
    clicks, _ = world.click(taste, slates, rng)
    share = np.bincount(clicks, minlength=4) / 20_000
    np.testing.assert_allclose(share, world.probabilities(taste, slates)[0], atol=0.012)


@pytest.mark.parametrize("moves", ["linear", "gru"])
def test_tastes_move_with_clicks_only(moves):
    world = SlateWorld(items=40, groups=4, slots=5, moves=moves, bias=1.0)
    rng = np.random.default_rng(2)
    taste = world.users(400, rng)
    slates = np.argsort(rng.random((400, 40)), axis=1)[:, :5]
    clicks, moved = world.click(taste, slates, rng)
    none = clicks == 0
    assert 20 < none.sum() < 380
    np.testing.assert_array_equal(moved[none], taste[none])
    item = slates[~none, clicks[~none] - 1]
    if moves == "linear":
        expected = 0.8 * taste[~none] + 0.2 * world.vectors[item]
    else:
        reach = 0.8 * world.sharpness
        given = torch.from_numpy(world.vectors[item] / reach @ world.weights[0])
        state, back = torch.from_numpy(taste[~none] / reach), torch.from_numpy(world.weights[1])
        expected = reach * gru_cell(given, state, back).numpy()
    np.testing.assert_allclose(moved[~none], expected)


def test_showing_what_was_clicked_wins_clicks():
    """Items near the taste are clicked more than random ones, and the taste stays near them."""
    world, rng = SlateWorld(items=100, groups=5), np.random.default_rng(3)
    taste = world.users(300, rng)
    distance = np.linalg.norm(taste[:, None] - world.vectors, axis=2)
    near = np.argsort(distance, axis=1)[:, :8]
    anything = np.argsort(rng.random((300, 100)), axis=1)[:, :8]
    best, random = (1 - world.probabilities(taste, s)[:, 0].mean() for s in (near, anything))
    assert best > random + 0.2
    _, moved = world.click(taste, near, rng)
    assert np.linalg.norm(moved - taste, axis=1).max() < 0.5
    assert world.spread(near) < 0.5 * world.spread(anything)


def test_spread_by_hand():
    world = SlateWorld(items=10, groups=2, slots=3)
    v = world.vectors[[1, 4, 7]]
    pairs = [np.linalg.norm(v[i] - v[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert world.spread(np.array([[1, 4, 7]])) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize(
    ("slates", "message"),
    [
        ([[0, 1], [3, 10]], r"slate of row 1 is \[3, 10\]; there are items 0 to 9"),
        ([[0, 1], [-1, 2]], "slate of row 1"),
        ([[0, 1], [2, 2]], "slate of row 1 is .*: an item comes twice"),
    ],
)
def test_bad_slates_are_refused(slates, message):
    world = SlateWorld(items=10, groups=2, slots=2)
    with pytest.raises(ValueError, match=message):
        world.probabilities(np.zeros((2, 3)), np.array(slates))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"items": 5, "groups": 9}, "need 1 <= groups 9 <= items 5"),
        ({"items": 5, "groups": 2, "slots": 6}, "slots 6 <= items"),
        ({"moves": "jump"}, "moves is 'jump'"),
        ({"memory": 1.2}, "need memory in"),
    ],
)
def test_bad_worlds_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        SlateWorld(**options)
