"""Design and elimination for (sparse) misspecified linear bandits."""

import numpy as np
import pytest

from rlkit.algos.bandits.identification.design import g_optimal_design, spanning_subset
from rlkit.algos.bandits.identification.misspecified import (
    ball_net,
    phased_elimination,
    sparse_candidates,
    sparse_elimination,
)


def unit_rows(rng, n, d):
    x = rng.standard_normal((n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_design_on_the_standard_basis_is_uniform():
    for d in (1, 3, 8):
        design = g_optimal_design(np.eye(d))
        np.testing.assert_allclose(design.weights, 1 / d)
        assert design.leverage == pytest.approx(d)


@pytest.mark.parametrize(("arms", "dim", "rank"), [(200, 6, 6), (50, 10, 4), (7, 12, 7)])
def test_design_meets_its_leverage_with_small_support(arms, dim, rank):
    rng = np.random.default_rng(arms)
    x = rng.standard_normal((arms, rank)) @ rng.standard_normal((rank, dim))
    assert len(spanning_subset(x)) == rank
    for factor in (2.0, 1.05):
        design = g_optimal_design(x, factor)
        assert design.weights.sum() == pytest.approx(1.0)
        assert (design.weights >= 0).all()
        v = (x * design.weights[:, None]).T @ x
        leverage = np.einsum("ad,de,ae->a", x, np.linalg.pinv(v, rcond=1e-9), x).max()
        assert design.leverage == pytest.approx(leverage, rel=1e-6)
        assert rank - 1e-9 <= leverage <= factor * rank + 1e-6
    loose = g_optimal_design(x)
    assert (loose.weights > 0).sum() <= 4 * rank * np.log(np.log(rank) + 1) + 16


def test_phased_elimination_finds_the_best_arm_under_noise():
    rng = np.random.default_rng(0)
    for _ in range(5):
        phi = unit_rows(rng, 40, 4)
        theta = unit_rows(rng, 1, 4)[0]
        truth = phi @ theta
        out = phased_elimination(
            phi, lambda a, n, truth=truth: truth[a] + rng.standard_normal() / np.sqrt(n), phases=7
        )
        assert truth.max() - truth[out.arm] <= 4 * 2.0**-7
        assert truth.argmax() in out.survivors


def test_phased_elimination_pays_at_most_root_d_for_misspecification():
    rng = np.random.default_rng(1)
    eps, dim = 0.05, 9
    for _ in range(20):
        phi, theta = unit_rows(rng, 300, dim), unit_rows(rng, 1, dim)[0]
        truth = phi @ theta + eps * rng.choice([-1, 1], 300)
        out = phased_elimination(phi, lambda a, n, truth=truth: truth[a], eps=eps, phases=8)
        assert truth.max() - truth[out.arm] <= 4 * eps * np.sqrt(2 * dim)
        assert truth.argmax() in out.survivors


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_ball_net_covers_the_ball(dim):
    rng = np.random.default_rng(dim)
    net = ball_net(dim, 0.2)
    assert np.linalg.norm(net, axis=1).max() <= 1 + 1e-12
    points = rng.standard_normal((3000, dim))
    points *= (rng.random(3000) ** (1 / dim) / np.linalg.norm(points, axis=1))[:, None]
    points[:500] /= np.linalg.norm(points[:500], axis=1, keepdims=True)
    distance = np.linalg.norm(points[:, None] - net[None], axis=2).min(1)
    assert distance.max() <= 0.2 + 1e-12


def sparse_truth(rng, dim, sparsity):
    theta = np.zeros(dim)
    theta[rng.choice(dim, sparsity, replace=False)] = unit_rows(rng, 1, sparsity)[0]
    return theta * rng.uniform(0.5, 1.0)


def test_sparse_elimination_is_within_five_eps_under_adversarial_signs():
    rng = np.random.default_rng(2)
    eps, dim, sparsity = 0.1, 10, 2
    size = len(sparse_candidates(dim, sparsity, eps))
    total = 0
    for _ in range(100):
        phi, theta = unit_rows(rng, 150, dim), sparse_truth(rng, dim, sparsity)
        truth = phi @ theta + eps * rng.choice([-1.0, 1.0], 150)
        out = sparse_elimination(phi, lambda a, n, r=truth: r[a], sparsity=sparsity, eps=eps)
        assert truth.max() - truth[out.arm] <= 5 * eps + 1e-12
        nearest = np.linalg.norm(out.survivors - theta, axis=1).min()
        assert nearest <= eps + 1e-12  # the true net point always survives
        total += out.queries
    assert total / 100 < 0.01 * size


def test_noisy_sparse_elimination_is_within_six_eps():
    rng = np.random.default_rng(3)
    eps, dim = 0.15, 8
    for _ in range(20):
        phi, theta = unit_rows(rng, 60, dim), sparse_truth(rng, dim, 1)
        truth = phi @ theta
        out = sparse_elimination(
            phi,
            lambda a, n, truth=truth: truth[a] + rng.standard_normal() / np.sqrt(n),
            sparsity=1,
            eps=eps,
            noisy=True,
        )
        assert truth.max() - truth[out.arm] <= 6 * eps
        assert out.plays > 100 * out.queries


def test_needle_hides_from_a_linear_learner_and_not_from_a_sparse_one():
    # Unit vectors in many directions; one arm pays delta, all others nothing. With eps = delta
    # times their largest inner product this is linear up to eps.
    rng = np.random.default_rng(4)
    dim, arms, delta = 40, 2000, 0.9
    phi = unit_rows(rng, arms, dim)
    eps = delta * np.abs(phi @ phi.T - np.eye(arms)).max()
    found, needles = 0, range(25, arms, 50)
    for needle in needles:
        asked: set[int] = set()

        def query(arm, times, needle=needle, asked=asked):
            asked.add(arm)
            return delta * (arm == needle)

        out = phased_elimination(phi, query, eps=eps, phases=2)
        assert len(asked) < 0.1 * arms
        assert (out.arm == needle) <= (needle in asked)
        found += needle in asked
    assert found < 0.2 * len(needles)
    # A needle along an axis is 1-sparse, and the sparse learner finds it.
    axis = np.vstack([np.eye(dim)[:5], unit_rows(rng, 30, dim)])
    truth = delta * (np.arange(len(axis)) == 3)
    out = sparse_elimination(axis, lambda a, n: truth[a], sparsity=1, eps=0.25)
    assert out.arm == 3


def test_a_linear_learner_finds_a_needle_only_by_its_own_order():
    """Until it asks for the needle, all answers are zero: it goes through the arms as if there were
    no needle. A needle put at random is therefore at a uniform place of that order, and finding it
    takes half of the arms in the mean."""
    rng = np.random.default_rng(6)
    dim, arms, delta = 40, 300, 0.9
    phi = unit_rows(rng, arms, dim)
    eps = delta * np.abs(phi @ phi.T - np.eye(arms)).max()

    def order(needle):
        asked: list[int] = []

        def query(arm, times):
            asked.append(arm)
            return delta * (arm == needle)

        phased_elimination(phi, query, eps=eps, phases=2)
        return asked

    blind = order(None)
    assert len(set(blind)) < 0.6 * arms  # the others are never asked for
    for needle in range(0, arms, 10):
        asked = order(needle)
        until = asked.index(needle) if needle in asked else len(asked)
        assert asked[:until] == blind[:until]
        assert (needle in asked) == (needle in blind)


def test_bad_requests_are_refused():
    phi = np.eye(3)
    with pytest.raises(ValueError, match="sparsity is 4"):
        sparse_candidates(3, 4, 0.1)
    with pytest.raises(ValueError, match="raise eps or lower sparsity"):
        sparse_candidates(30, 3, 0.05)
    with pytest.raises(ValueError, match="feature vector 0 is longer than 1"):
        sparse_elimination(2 * phi, lambda a, n: 0.0, sparsity=1, eps=0.1)
    with pytest.raises(ValueError, match="eps must be positive"):
        sparse_elimination(phi, lambda a, n: 0.0, sparsity=1, eps=0.0)
    with pytest.raises(ValueError, match="not all zero"):
        g_optimal_design(np.zeros((2, 2)))
    with pytest.raises(RuntimeError, match="every parameter was ruled out"):
        sparse_elimination(phi, lambda a, n: 7.0, sparsity=1, eps=0.1)
