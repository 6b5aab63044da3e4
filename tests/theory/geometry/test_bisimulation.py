import numpy as np
import pytest

from rlkit.envs.tabular.classics import forest
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy, policy_model
from rlkit.theory.geometry.bisimulation import (
    aggregate,
    bisimulation_metric,
    cluster,
    mico_distance,
    policy_bisimulation,
)
from rlkit.theory.geometry.lipschitz import check_metric
from rlkit.theory.geometry.transport import wasserstein


def gaps(v):
    return np.abs(v[:, None] - v[None])


@pytest.mark.parametrize("seed", range(8))
def test_bounds_every_gap_of_the_optimal_value(seed):
    mdp = garnet(5, 2, 2, seed=seed)
    found = bisimulation_metric(mdp, 0.8, 1e-6)
    v = solve(mdp, 0.8, "pi").value
    assert (found.distance + found.error - gaps(v) >= 0).all()
    check_metric(found.distance, 5)
    assert found.error <= 1e-6
    assert found.sweeps <= 71  # log(1e-6 (1 - gamma)) / log gamma


def test_is_the_fixed_point():
    mdp = garnet(5, 2, 3, seed=1)
    d = bisimulation_metric(mdp, 0.8, 1e-9).distance
    p, r = mdp.dense()
    for s in range(5):
        for t in range(5):
            step = [abs(r[s, a] - r[t, a]) + 0.8 * wasserstein(p[s, a], p[t, a], d) for a in (0, 1)]
            assert d[s, t] == pytest.approx(max(step), abs=1e-8)


def test_deterministic_moves_reduce_to_differences_along_paths():
    """W1 of two points is their distance: d(s, t) = max over action strings of the sum of gaps."""
    rng = np.random.default_rng(0)
    move, r = rng.integers(6, size=(6, 2)), rng.random((6, 2))
    p = np.eye(6)[move]
    d = bisimulation_metric(FiniteMDP.from_dense(p, r), 0.7, 1e-10).distance
    direct = np.zeros((6, 6))
    for _ in range(80):
        direct = np.max(
            [gaps(r[:, a]) + 0.7 * direct[np.ix_(move[:, a], move[:, a])] for a in (0, 1)], 0
        )
    np.testing.assert_allclose(d, direct, atol=1e-9)


def twins():
    """States 1 and 3 (and 0 and 2) behave alike."""
    small = garnet(2, 2, 2, seed=5)
    p, r = small.dense()
    return FiniteMDP.from_dense(np.tile(p / 2, (2, 1, 2)), np.tile(r, (2, 1)))


def test_states_that_behave_alike_are_at_distance_zero():
    d = bisimulation_metric(twins(), 0.9).distance
    assert d[0, 2] < 1e-12
    assert d[1, 3] < 1e-12
    assert d[0, 1] > 0.01
    small = aggregate(twins(), cluster(d, 1e-9))
    assert small.num_states == 2
    np.testing.assert_allclose(
        solve(small, 0.9, "pi").value, solve(twins(), 0.9, "pi").value[:2], atol=1e-9
    )


def test_shared_successors_contract_faster_than_the_discount():
    found = bisimulation_metric(garnet(5, 2, 5, seed=0), 0.8, 1e-6)
    assert 12 <= found.sweeps <= 16
    value = solve(garnet(5, 2, 5, seed=0), 0.8, "pi").value
    assert (found.distance - gaps(value))[np.triu_indices(5, 1)].min() > 0.1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_aggregation_error_is_bounded(share):
    mdp = garnet(12, 2, 4, seed=2)
    d = bisimulation_metric(mdp, 0.8).distance
    eps = np.quantile(d[np.triu_indices(12, 1)], share)
    label = cluster(d, eps)
    small = aggregate(mdp, label)
    error = solve(small, 0.8, "pi").value[label] - solve(mdp, 0.8, "pi").value
    assert np.abs(error).max() <= 2 * eps / 0.2
    assert (small.num_states < 12) == (share > 0)
    assert (d[label[:, None] == label[None]] < 2 * eps).all()


def test_termination_is_an_absorbing_state_of_reward_zero():
    p = np.zeros((3, 1, 3))
    p[0, 0, 2] = 1.0  # ends in an explicit zero state
    p[2, 0, 2] = 1.0
    mdp = FiniteMDP.from_dense(p, np.array([[1.0], [1.0], [0.0]]), stop="deficit")  # 1: ends
    d = bisimulation_metric(mdp, 0.9).distance
    assert d[0, 1] < 1e-9
    assert d[0, 2] == pytest.approx(1.0)


def test_on_policy_distances_bound_gaps_and_are_ordered():
    mdp = garnet(6, 3, 3, seed=3)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 6)
    v = evaluate_policy(mdp, policy, 0.8)
    on_policy = policy_bisimulation(mdp, policy, 0.8).distance
    mico = mico_distance(mdp, policy, 0.8)
    assert (on_policy - gaps(v) >= -1e-6).all()
    assert (mico - on_policy >= -1e-6).all()  # the independent coupling is one coupling
    p, r = policy_model(mdp, policy)
    np.testing.assert_allclose(mico, gaps(r) + 0.8 * p @ mico @ p.T, atol=1e-12)
    assert (np.diag(mico) > 0).all()


def test_mico_equals_the_metric_without_chance():
    move = np.array([1, 2, 0, 1])
    mdp = FiniteMDP.from_dense(np.eye(4)[move][:, None], np.arange(4.0)[:, None] ** 2)
    policy = np.zeros(4, int)
    np.testing.assert_allclose(
        mico_distance(mdp, policy, 0.7), policy_bisimulation(mdp, policy, 0.7, 1e-9).distance,
        atol=1e-8,
    )  # fmt: skip


def test_errors():
    with pytest.raises(ValueError, match="gamma"):
        bisimulation_metric(forest(), 1.0)
    gap = FiniteMDP.from_dense(np.full((2, 2, 2), 0.5), np.array([[0, -np.inf], [0, 1]]))
    with pytest.raises(ValueError, match="every action"):
        bisimulation_metric(gap, 0.9)
    with pytest.raises(ValueError, match="no member"):
        aggregate(forest(), np.array([0, 2, 2]))
