import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.learning.regret.lsvi import learn_linear, ridge_plan
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.returns.laws import outcomes_from_coo, outcomes_of

MODEL = garnet(4, 2, 2, seed=1)


def test_one_hot_plan_is_the_simple_bonus_with_n_plus_ridge():
    rng, ridge, kappa, horizon = np.random.default_rng(0), 0.1, 0.3, 5
    rows = MODEL.num_rows
    seen = rng.integers(0, 9, (horizon, MODEL.nnz)).astype(float)
    n = np.add.reduceat(seen, MODEL.row_ptr[:-1], axis=1)
    sums = n * MODEL.r
    inverse = np.array([np.diag(1 / (x + ridge)) for x in n])
    q, v = np.zeros((horizon, rows)), np.zeros((horizon + 1, 4))
    ridge_plan(
        MODEL.sa_ptr, MODEL.row_ptr, MODEL.col, np.eye(rows), seen, sums, inverse, kappa, 1.0,
        np.inf, q, v, np.zeros((horizon, 4), np.int64),
    )  # fmt: skip
    expected = np.zeros((horizon + 1, 4))
    for h in reversed(range(horizon)):
        m, cap = n[h] + ridge, horizon - h
        ahead = np.add.reduceat(seen[h] * expected[h + 1][MODEL.col], MODEL.row_ptr[:-1])
        table = (sums[h] + ahead) / m + kappa / np.sqrt(m) + cap / m
        expected[h] = np.minimum(cap, table).reshape(4, 2).max(1)
    np.testing.assert_allclose(v, expected, rtol=1e-12)


def test_learns_deep_sea_and_a_garnet():
    sea = deep_sea(6, seed=1)
    found = learn_linear(sea, np.eye(sea.num_rows), 6, 400, scale=0.1, ridge=0.1, v_max=1.0)
    assert found.value[0, -50:].mean() > 0.95
    exact = backward_induction(MODEL, 5).value[0] @ MODEL.initial_law()
    found = learn_linear(MODEL, np.eye(8), 5, 1500, scale=0.1, ridge=0.1, replicates=2)
    assert found.optimal == pytest.approx(exact)
    assert found.value[:, -1].min() > exact - 0.02


def test_theory_bonus_is_optimistic():
    found = learn_linear(MODEL, np.eye(8), 4, 200, mode="theory", replicates=3)
    assert (found.planned >= found.optimal - 1e-9).all()


def test_shared_features_learn_what_they_can_express():
    # Rows with equal dynamics and rewards may share a feature without loss.
    twin = garnet(5, 1, 3, seed=2)
    p, r = twin.dense()
    double = type(twin).from_dense(np.repeat(p, 2, 1), np.repeat(r, 2, 1))
    features = np.repeat(np.eye(5), 2, 0)
    found = learn_linear(double, features, 4, 2000, scale=0.0, ridge=1e-6)
    assert found.planned[0, -1] == pytest.approx(found.optimal, abs=0.05)
    with pytest.raises(ValueError, match=r"features must have shape \(10, k\)"):
        learn_linear(double, np.eye(5), 4, 10)


def test_replicates_are_the_same_in_any_company_and_on_two_threads():
    two = learn_linear(MODEL, np.eye(8), 4, 60, replicates=3, threads=2)
    one = learn_linear(MODEL, np.eye(8), 4, 60)
    np.testing.assert_array_equal(two.value[0], one.value[0])
    np.testing.assert_array_equal(two.planned[0], one.planned[0])
    assert not np.array_equal(two.returns[0], two.returns[1])


def test_rewards_by_successor_are_learnt_in_the_mean():
    s, a, s2 = (x.ravel() for x in np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"))
    p = np.where(s2 == 1, np.where(a == 1, 0.8, 0.3), np.where(a == 1, 0.2, 0.7))
    model = outcomes_from_coo(s, a, s2, p, s2.astype(float), 2, np.eye(2)[0])
    found = learn_linear(model, np.eye(4), 3, 2000, scale=0.3, ridge=0.1, replicates=3)
    assert found.optimal == pytest.approx(2.4)
    assert found.value[:, -1].min() > 0.95 * 2.4
    np.testing.assert_array_equal(found.returns, np.round(found.returns))
    assert found.returns.mean() == pytest.approx(found.value.mean(), abs=0.05)
    flat, plain = (learn_linear(x, np.eye(8), 4, 100) for x in (outcomes_of(MODEL), MODEL))
    np.testing.assert_allclose(flat.returns, plain.returns, atol=1e-12)
    np.testing.assert_allclose(flat.planned, plain.planned, atol=1e-9)
