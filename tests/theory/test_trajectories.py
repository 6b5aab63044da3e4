import numpy as np
import pytest

from rlkit.envs.tabular.chains import chain, lock
from rlkit.envs.tabular.classics import boyan_chain
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.evaluation import policy_model
from rlkit.theory.learning.td_matrices import td_system
from rlkit.theory.planning.structure import stationary_law
from rlkit.theory.trajectories import (
    certainty_equivalence,
    lstd,
    monte_carlo_returns,
    next_features,
    offline_td,
    recursive_lstd,
    simulate,
    traces,
)

BOYAN = boyan_chain()
ONE = np.zeros(13, int)


def test_simulation_follows_the_model():
    mdp = garnet(6, 2, 3, seed=1)
    policy = np.full((6, 2), 0.5)
    data = simulate(mdp, policy, 60_000, seed=2)
    p, _ = policy_model(mdp, policy)
    visits = np.bincount(data.s, minlength=6) / 60_000
    np.testing.assert_allclose(visits, stationary_law(p), atol=0.01)
    np.testing.assert_array_equal(data.s[1:], data.s2[:-1])
    np.testing.assert_array_equal(data.r, mdp.r[data.row])
    assert not data.last.any()


def test_episodes_end_by_termination_or_length():
    data = simulate(lock(4, 2), np.full((5, 2), 0.5), 3000, max_length=7)
    lengths = np.diff(np.flatnonzero(np.r_[True, data.last]))
    assert lengths.max() == 7
    assert (data.s2[data.last & (data.r == 1.0)] == -1).all()
    truncated = data.last & (data.r == 0.0)
    assert (data.s2[truncated] >= 0).all()


def test_offline_td_one_is_every_visit_monte_carlo():
    data = simulate(BOYAN.mdp, ONE, 400)
    end = np.flatnonzero(data.last)[-1] + 1
    data = type(data)(*(x[:end] for x in data))
    theta = np.array([1.0, -2.0, 0.5, 3.0])
    moved = offline_td(data, BOYAN.features, theta, 0.95, 1.0, 0.1)
    x = BOYAN.features[data.s]
    gain = x.T @ (monte_carlo_returns(data, 0.95) - x @ theta)
    np.testing.assert_allclose(moved, theta + 0.1 * gain, rtol=1e-12)


def test_repeated_td_zero_is_lstd_is_certainty_equivalence():
    mdp, one_hot = chain(4), np.eye(4)
    data = simulate(mdp, np.ones(4, int), 500, seed=3)
    solved = lstd(data, one_hot, 0.8, ridge=0.0)
    theta = np.zeros(4)
    for _ in range(12_000):
        theta = offline_td(data, one_hot, theta, 0.8, 0.0, 0.004)
    np.testing.assert_allclose(theta, solved, atol=1e-10)
    np.testing.assert_allclose(certainty_equivalence(data, mdp, 0.8), solved, rtol=1e-10)


@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_sherman_morrison_equals_the_solve_and_both_near_the_fixed_point(lam):
    mdp = garnet(8, 1, 3, seed=4)
    features = np.random.default_rng(0).normal(size=(8, 3))
    data = simulate(mdp, np.zeros(8, int), 100_000, seed=5)
    direct = lstd(data, features, 0.9, lam, ridge=1e-3)
    np.testing.assert_allclose(
        recursive_lstd(data, features, 0.9, lam, ridge=1e-3), direct, rtol=1e-6
    )
    exact = td_system(mdp, features, np.zeros(8, int), 0.9, lam).fixed_point()
    np.testing.assert_allclose(direct, exact, atol=0.05 * np.abs(exact).max())


def test_boyan_is_solved_exactly_by_its_features():
    data = simulate(BOYAN.mdp, ONE, 20_000)
    np.testing.assert_allclose(lstd(data, BOYAN.features, 1.0), [-24, -16, -8, 0], atol=0.6)


def test_traces_and_next_features_respect_episode_ends():
    data = simulate(BOYAN.mdp, ONE, 200)
    z = traces(data, BOYAN.features, 0.7)
    starts = np.flatnonzero(np.r_[True, data.last[:-1]])
    np.testing.assert_array_equal(z[starts], BOYAN.features[data.s[starts]])
    assert (next_features(data, BOYAN.features)[data.s2 < 0] == 0).all()
