import numpy as np
import pytest

from rlkit.envs.tabular.garnet import banded_garnet, garnet
from rlkit.envs.tabular.grids import maze
from rlkit.theory import solve
from rlkit.theory.planning.asynchronous import ORDERS, colouring, state_graph, state_order


def test_colours_separate_neighbours():
    mdp = banded_garnet(60, 2, 3, 4, seed=1)
    colours = colouring(mdp)
    s, t = state_graph(mdp).nonzero()
    other = s != t
    assert (colours[s[other]] != colours[t[other]]).all()
    assert colours.max() < 59


@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_permutations(order):
    mdp = garnet(30, 2, 3, seed=3)
    visiting, blocks = state_order(mdp, order)
    np.testing.assert_array_equal(np.sort(visiting), np.arange(30))
    assert blocks[0] == 0
    assert blocks[-1] == 30


def test_backward_order_solves_a_maze_in_few_sweeps():
    mdp = maze(6, seed=2, step_reward=0.0, goal_reward=1.0)
    backward = solve(mdp, 0.99, "gs", order="backward")
    forward = solve(mdp, 0.99, "gs", order="forward")
    assert backward.backups <= 4
    assert forward.backups > 3 * backward.backups


def test_a_wrong_order_is_refused():
    with pytest.raises(ValueError, match="permutation"):
        solve(maze(2), 0.9, "gs", order=np.zeros(7, int))
    with pytest.raises(ValueError, match="one of"):
        solve(maze(2), 0.9, "gs", order="random")


def test_prioritised_sweeping_spends_less_where_news_is_local():
    mdp = maze(10, seed=1, step_reward=0.0, goal_reward=1.0)
    assert solve(mdp, 0.99, "ps").backups < 0.2 * solve(mdp, 0.99, "vi").backups
