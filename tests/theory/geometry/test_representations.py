import numpy as np
import pytest
from scipy.linalg import subspace_angles

from rlkit.envs.tabular.chains import chain
from rlkit.envs.tabular.classics import ring
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP
from rlkit.theory.evaluation import evaluate_policy, occupancy, policy_model
from rlkit.theory.geometry.representations import (
    generalised_improvement,
    learn_successor,
    proto_value_functions,
    random_cumulant_features,
    successor_features,
    successor_measure,
    successor_operator,
    successor_representation,
    successor_svd,
)
from rlkit.theory.trajectories import lstd, simulate

MODEL = garnet(7, 3, 3, seed=2)
POLICY = np.random.default_rng(0).dirichlet(np.ones(3), 7)


def test_visits_sum_to_one_and_give_the_value():
    psi = successor_representation(MODEL, POLICY, 0.9)
    np.testing.assert_allclose(0.1 * psi.sum(1), 1)
    p, r = policy_model(MODEL, POLICY)
    np.testing.assert_allclose(psi @ r, evaluate_policy(MODEL, POLICY, 0.9))
    later = successor_representation(MODEL, POLICY, 0.9, from_next=True)
    np.testing.assert_allclose(psi, np.eye(7) + 0.9 * later, atol=1e-12)
    np.testing.assert_allclose(later, p @ psi, atol=1e-12)
    operator = successor_operator(MODEL, POLICY, 0.9)
    np.testing.assert_allclose(operator @ np.eye(7), psi)
    np.testing.assert_allclose(operator.T @ np.eye(7), psi.T)


def test_measure_over_rows_is_the_occupancy_from_each_row():
    measure = successor_measure(MODEL, POLICY, 0.9)
    np.testing.assert_allclose(measure.sum(1), 1)
    q = MODEL.q(evaluate_policy(MODEL, POLICY, 0.9), 0.9)
    np.testing.assert_allclose(measure @ MODEL.r / 0.1, q)
    law = (POLICY * MODEL.initial_law()[:, None]).ravel()
    np.testing.assert_allclose(law @ measure, occupancy(MODEL, POLICY, 0.9))
    weights = np.random.default_rng(1).dirichlet(np.ones(21))
    density = successor_measure(MODEL, POLICY, 0.9, density=weights)
    np.testing.assert_allclose(density * weights, measure)


def test_ring_spectrum():
    mdp = ring(6)
    psi = successor_representation(mdp, np.zeros(6, int), 0.9)
    expected = [0.5263, 0.6897, 0.6897, 1.8182, 1.8182, 10]
    np.testing.assert_allclose(np.linalg.eigvalsh(psi), expected, atol=5e-5)
    smooth = proto_value_functions(mdp, 6)
    np.testing.assert_allclose(1 / (1 - 0.9 * (1 - smooth.values)), expected[::-1], atol=5e-5)
    scaled = smooth.vectors / (1 - 0.9 * (1 - smooth.values))
    np.testing.assert_allclose(psi @ smooth.vectors, scaled, atol=1e-12)


def test_large_models_go_through_sparse_solvers(monkeypatch):
    dense = proto_value_functions(MODEL, 3), successor_svd(MODEL, POLICY, 0.9, 3)
    monkeypatch.setattr("rlkit.theory.geometry.representations.DENSE_LIMIT", 2)
    sparse = proto_value_functions(MODEL, 3), successor_svd(MODEL, POLICY, 0.9, 3)
    np.testing.assert_allclose(dense[0].values, sparse[0].values, atol=1e-9)
    assert subspace_angles(dense[0].vectors, sparse[0].vectors).max() < 1e-6
    np.testing.assert_allclose(dense[1].singular, sparse[1].singular)
    np.testing.assert_allclose(
        (dense[1].left * dense[1].singular) @ dense[1].right.T,
        (sparse[1].left * sparse[1].singular) @ sparse[1].right.T, atol=1e-9,
    )  # fmt: skip
    with pytest.raises(ValueError, match="successor_operator"):
        successor_representation(MODEL, POLICY, 0.9)


def test_full_rank_factors_are_exact_and_truncation_is_best():
    psi = successor_representation(MODEL, POLICY, 0.9)
    law = np.random.default_rng(2).dirichlet(np.ones(7))
    forward, backward = successor_svd(MODEL, POLICY, 0.9, 7).forward_backward(law)
    np.testing.assert_allclose(forward @ (backward * law[:, None]).T, psi)
    low = successor_svd(MODEL, POLICY, 0.9, 2)
    error = np.linalg.norm(psi - (low.left * low.singular) @ low.right.T, 2)
    assert error == pytest.approx(np.linalg.svd(psi)[1][2])


def test_random_cumulants_span_the_top_left_singular_subspace():
    best = successor_svd(MODEL, POLICY, 0.9, 3).left
    angle = [
        subspace_angles(best, random_cumulant_features(MODEL, POLICY, 0.9, 3, n, seed=0)).max()
        for n in (5, 500, 20_000)
    ]
    assert angle[2] < 0.05
    assert 3 * angle[2] < angle[1] < angle[0]


def test_temporal_differences_learn_the_inverse_on_the_ring():
    mdp = ring(6)
    data = simulate(mdp, np.zeros(6, int), 30_000, seed=1)
    learned = learn_successor(data, 6, 0.9, alpha=1.0, omega=0.6)
    exact = successor_representation(mdp, np.zeros(6, int), 0.9)
    assert np.abs(learned - exact).max() < 0.15


def test_fixed_point_is_the_dual_of_one_hot_lstd():
    move = np.array([1, 2, 0, 1])
    mdp = FiniteMDP.from_dense(np.eye(4)[move][:, None], np.arange(4.0)[:, None])
    data = simulate(mdp, np.zeros(4, int), 600, seed=0, max_length=6)
    psi = learn_successor(data, 4, 0.8)
    np.testing.assert_allclose(psi, successor_representation(mdp, np.zeros(4, int), 0.8), atol=1e-6)
    np.testing.assert_allclose(
        psi @ np.arange(4.0), lstd(data, np.eye(4), 0.8, ridge=0.0), atol=1e-6
    )


def test_termination_counts_no_more_visits():
    p = np.array([[[0, 1.0]], [[0, 0]]])
    mdp = FiniteMDP.from_dense(p, np.ones((2, 1)), np.array([1.0, 0]), stop="deficit")
    data = simulate(mdp, np.zeros(2, int), 20)
    np.testing.assert_allclose(learn_successor(data, 2, 0.5), [[1, 0.5], [0, 1]])


def test_improvement_over_a_library_beats_every_member_for_any_task():
    rng = np.random.default_rng(3)
    library = [rng.integers(0, 3, 7) for _ in range(4)]
    features = rng.normal(size=(21, 5))
    for _ in range(10):
        w = rng.normal(size=5)
        task = MODEL.with_rewards(features @ w)
        found = generalised_improvement(MODEL, library, 0.9, features, w)
        value = evaluate_policy(task, found.policy, 0.9)
        for pi in library:
            assert (value >= evaluate_policy(task, pi, 0.9) - 1e-9).all()
        assert (task.q(value, 0.9) >= found.bound - 1e-9).all()


def test_successor_features_of_indicators_are_the_measure():
    psi = successor_features(MODEL, POLICY, 0.9, np.eye(21))
    np.testing.assert_allclose(0.1 * psi, successor_measure(MODEL, POLICY, 0.9), atol=1e-12)


def test_errors():
    with pytest.raises(ValueError, match="gamma"):
        successor_representation(MODEL, POLICY, 1.0)
    with pytest.raises(ValueError, match="rank"):
        successor_svd(MODEL, POLICY, 0.9, 8)
    with pytest.raises(ValueError, match="count"):
        proto_value_functions(chain(), 0)
    with pytest.raises(ValueError, match="tasks"):
        random_cumulant_features(MODEL, POLICY, 0.9, 3, 2, seed=0)
    with pytest.raises(ValueError, match="library"):
        generalised_improvement(MODEL, [], 0.9, np.eye(21), np.ones(21))
    with pytest.raises(ValueError, match="features"):
        successor_features(MODEL, POLICY, 0.9, np.eye(7))
    with pytest.raises(ValueError, match="positive"):
        successor_measure(MODEL, POLICY, 0.9, density=np.zeros(21))
