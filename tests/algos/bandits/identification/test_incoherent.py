"""Basis pursuit for sparse misspecified linear bandits."""

import numpy as np
import pytest

from rlkit.algos.bandits.identification.incoherent import basis_pursuit, coherence, pursuit_gap
from rlkit.algos.bandits.identification.misspecified import sparse_candidates


def signs(rng, arms, dim):
    return rng.choice([-1.0, 1.0], (arms, dim))


def sparse(rng, dim, sparsity):
    theta = np.zeros(dim)
    theta[rng.choice(dim, sparsity, replace=False)] = rng.standard_normal(sparsity)
    return theta


def hadamard(power):
    out = np.ones((1, 1))
    for _ in range(power):
        out = np.block([[out, out], [out, -out]])
    return out


def test_coherence_and_promise_of_orthogonal_columns_in_closed_form():
    x = hadamard(4)
    assert coherence(x) == 0.0
    for s in (1, 4, 9):
        assert pursuit_gap(x, x, s, 0.1) == pytest.approx(0.2 + 0.8 * np.sqrt(s))
        assert pursuit_gap(5 * x, 5 * x, s, 0.1) == pytest.approx(0.2 + 0.8 * np.sqrt(s))
    # two columns of cosine 0.1: 1 - 4 s mu is 0.6, 0.2 and below 0
    y = np.array([[1.0, 0.1], [0.0, np.sqrt(0.99)]])
    assert coherence(y) == pytest.approx(0.1)
    one, two = (pursuit_gap(np.eye(2), y * np.sqrt(2 / (y**2).sum(0)), s, 0.1) for s in (1, 2))
    assert one == pytest.approx(0.2 + 0.8 / np.sqrt(0.6))
    assert two == pytest.approx(0.2 + 0.8 * np.sqrt(2 / 0.2))
    assert pursuit_gap(y, y, 3, 0.1) == np.inf
    assert coherence([[1.0, 0.0], [1.0, 0.0]]) == np.inf


@pytest.mark.parametrize("reward", [0.7, -0.4, 0.05])
def test_one_feature_is_the_soft_threshold(reward):
    out = basis_pursuit([[1.0], [-1.0]], lambda a, n: [reward, -reward][a], sparsity=1, eps=0.1)
    assert out.theta[0] == pytest.approx(np.sign(reward) * max(abs(reward) - 0.1, 0.0), abs=1e-9)
    assert abs(reward) <= 0.1 or out.arm == (reward < 0)
    assert out.gap == pytest.approx(1.0)


def test_scaled_features_give_the_same_arm_and_promise():
    rng = np.random.default_rng(0)
    phi, theta = signs(rng, 800, 12), sparse(rng, 12, 1)
    scale = rng.uniform(0.1, 10.0, 12)
    truth = phi @ theta + 0.05 * np.sign(phi @ rng.standard_normal(12))
    plain = basis_pursuit(phi, lambda a, n: truth[a], sparsity=1, eps=0.05)
    other = basis_pursuit(phi * scale, lambda a, n: truth[a], sparsity=1, eps=0.05)
    np.testing.assert_allclose(other.theta * scale, plain.theta, atol=1e-8)
    assert (other.arm, other.queries) == (plain.arm, plain.queries)
    assert other.gap == pytest.approx(plain.gap)


def test_gap_and_parameter_keep_the_promise_whatever_the_misspecification():
    rng, eps, dim, arms = np.random.default_rng(1), 0.05, 12, 5000
    worst = 0.0
    for trial in range(24):
        s = 1 + trial % 2
        phi, theta = signs(rng, arms, dim), sparse(rng, dim, s)
        # against the parameter, along another sparse direction, along a dense one, at random
        along = [-phi @ theta, phi @ sparse(rng, dim, s), phi @ rng.standard_normal(dim)]
        kinds = [*along, rng.standard_normal(arms)]
        truth = phi @ theta + eps * np.sign(kinds[trial // 2 % 4])
        out = basis_pursuit(phi, lambda a, n, r=truth: r[a], sparsity=s, eps=eps)
        assert out.queries < arms
        assert 8 * s * out.coherence <= 1
        assert out.gap <= 2 * eps + 8 * eps * np.sqrt(2 * s) + 1e-9  # O(sqrt(s) eps)
        assert np.abs(out.theta - theta).sum() <= (out.gap - 2 * eps) / 2 + 1e-9
        lack = truth.max() - truth[out.arm]
        assert lack <= out.gap
        worst = max(worst, np.abs(out.theta - theta).sum() / eps)
    assert worst > 0.9  # the misspecification did move the estimate


def test_it_answers_where_the_net_is_too_large():
    rng, eps, dim = np.random.default_rng(2), 0.01, 60
    with pytest.raises(ValueError, match="raise eps or lower sparsity"):
        sparse_candidates(dim, 2, eps)
    phi, theta = signs(rng, 20_000, dim), sparse(rng, dim, 2)
    truth = phi @ theta + eps * rng.choice([-1.0, 1.0], 20_000)
    out = basis_pursuit(phi, lambda a, n: truth[a], sparsity=2, eps=eps, queries=1500)
    assert out.queries == 1500
    assert truth.max() - truth[out.arm] <= 2 * eps + 1e-9
    np.testing.assert_allclose(out.theta, theta, atol=eps)


def test_noise_is_averaged_to_eps():
    rng, eps = np.random.default_rng(3), 0.2
    for _ in range(5):
        phi, theta = signs(rng, 1000, 8), sparse(rng, 8, 1)
        truth = phi @ theta + eps * rng.choice([-1.0, 1.0], 1000)
        out = basis_pursuit(
            phi,
            lambda a, n, r=truth: r[a] + rng.standard_normal() / np.sqrt(n),
            sparsity=1,
            eps=eps,
            noisy=True,
        )
        assert truth.max() - truth[out.arm] <= out.gap
        assert out.plays == out.queries * int(np.ceil(2 * np.log(40 * out.queries) / eps**2))


def test_bad_requests_are_refused():
    rng = np.random.default_rng(4)
    phi = signs(rng, 500, 6)
    zero = {"query": lambda a, n: 0.0, "eps": 0.1}
    with pytest.raises(ValueError, match="sparsity is 7"):
        basis_pursuit(phi, sparsity=7, **zero)
    with pytest.raises(ValueError, match="eps must be positive"):
        basis_pursuit(phi, lambda a, n: 0.0, sparsity=1, eps=0.0)
    with pytest.raises(ValueError, match="there are 500 arms"):
        basis_pursuit(phi, sparsity=1, queries=501, **zero)
    with pytest.raises(ValueError, match=r"8 queried arms .* query more arms"):
        basis_pursuit(phi, sparsity=2, queries=8, **zero)
    with pytest.raises(ValueError, match="use sparse_elimination"):
        basis_pursuit(np.ones((30, 3)), sparsity=1, **zero)
    with pytest.raises(ValueError, match="delta is 1"):
        basis_pursuit(phi, sparsity=1, delta=1, **zero)
    with pytest.raises(RuntimeError, match="not within eps"):
        basis_pursuit(phi, lambda a, n: rng.choice([-9.0, 9.0]), sparsity=1, eps=0.1)
