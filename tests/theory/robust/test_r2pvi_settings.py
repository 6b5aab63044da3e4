"""The experiments of the R2PVI paper: exact worlds, data, variance weights, what is robust."""

import itertools

import numpy as np
import pytest

from rlkit.theory.robust.r2pvi import (
    OfflineData,
    PessimisticPlan,
    fit,
    fit_variance_aware,
    next_value_variance,
)
from rlkit.theory.robust.r2pvi_settings import PutOption, turning_chain

NOMINAL = turning_chain()


def test_features_are_laws_and_data_follow_the_world():
    for world in (NOMINAL, turning_chain(0.4)):
        assert (world.phi >= 0).all()
        np.testing.assert_allclose(world.phi.sum(2), 1.0)
        np.testing.assert_allclose(world.mu.sum(2), 1.0)
    data = NOMINAL.collect(4000, seed=1)
    np.testing.assert_allclose(data.phi[0].mean(0), [0.7, 0, 0, 0.3], atol=0.01)
    # The next state of stage 0 is x5 when its features say so.
    good = (data.phi_next[0] == np.array([0.0, 0, 0, 1])).all((1, 2))
    assert good.mean() == pytest.approx(0.3, abs=0.03)
    np.testing.assert_allclose(data.r[1:], data.phi[1:, :, 3])
    assert (data.r[0] == 0).all()


def test_settings_are_those_of_the_authors():
    assert NOMINAL.phi.shape == (5, 16, 4)
    assert NOMINAL.theta.shape == (3, 4)
    xi = np.full(4, 0.05)  # of l1 norm .2
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=4)))
    np.testing.assert_allclose(NOMINAL.phi[0, :, 0], 1 - 0.3 - signs @ xi)
    np.testing.assert_allclose(NOMINAL.phi[0, :, 3], 0.3 + signs @ xi)
    option = PutOption()
    assert (option.horizon, option.strike, option.spread, option.size) == (20, 100.0, 5.0, 30)
    prices = np.array([76.6, 76.7, 80.0, 80 + 100 / 60, 80 + 29 * 100 / 30])
    phi = option.features(prices)
    assert phi[0].sum() == 0  # below 76.7 nothing is known, and waiting is thought worthless
    assert phi[1].sum() > 0
    np.testing.assert_allclose(phi[[2, 4]], np.eye(30)[[0, 29]], atol=1e-9)
    np.testing.assert_allclose(phi[3, :2], 0.5)
    assert 95 * 0.98**20 < 76.7
    data = option.collect(4000, seed=0)
    assert data.exit_next[0].mean() == pytest.approx(option.exercise(
        np.linspace(95, 105, 2001)[:, None] * [1.02, 0.98]).mean(), abs=0.1)  # fmt: skip


def test_value_is_the_mean_of_simulated_returns():
    world = turning_chain(0.5)
    plan = fit(NOMINAL.collect(100), "r2pvi-kl", 0.1, theta=NOMINAL.theta)
    rng, total = np.random.default_rng(0), 0.0
    for _ in range(4000):
        s = 0
        for h in range(3):
            phi = world.phi[s, plan.q(h, world.phi[s]).argmax()]
            total += phi @ world.theta[h]
            s = rng.choice(5, p=phi @ world.mu[h])
    assert world.value(plan) == pytest.approx(total / 4000, abs=0.05)


def test_the_penalised_are_robust_and_pevi_is_best_where_it_was_trained():
    radius = np.zeros((3, 4))
    radius[0, 3] = 0.1  # as in the paper: nature moves the good branch of the first stage alone
    plans = {name: [] for name in ("pevi", "r2pvi-tv", "r2pvi-kl", "r2pvi-chi2", "drpvi-tv")}
    for seed in range(6):
        data = NOMINAL.collect(100, seed)
        for name, found in plans.items():
            strength = radius if name == "drpvi-tv" else 0.1
            theta = None if name == "pevi" else NOMINAL.theta
            found.append(fit(data, name, strength, theta=theta))
    value = {
        name: [np.mean([turning_chain(q).value(p) for p in found]) for q in (0.0, 1.0)]
        for name, found in plans.items()
    }
    for name in ("r2pvi-tv", "r2pvi-kl", "r2pvi-chi2", "drpvi-tv"):
        assert value[name][0] < value["pevi"][0], name
        assert value[name][1] > value["pevi"][1], name
    assert value["r2pvi-tv"][1] > value["r2pvi-chi2"][1] + 0.05


def test_zero_radius_is_the_nominal_estimate():
    data = NOMINAL.collect(100)
    plain = fit(data, "pevi", beta=0.5, penalty="l1", theta=NOMINAL.theta)
    for method in ("drpvi-tv", "drvi-kl"):
        zero = fit(data, method, 0.0, beta=0.5, theta=NOMINAL.theta)
        np.testing.assert_allclose(zero.weights, plain.weights, atol=1e-12)


def put_by_paths(option, plan, p, price, h=0):
    """Expected payoff by walking through every path."""
    if h == option.horizon:
        return 0.0
    paid = max(0.0, option.strike - price)
    if paid > 0 and paid >= plan.q(h, option.features(np.array(price))):
        return paid
    return sum(
        chance * put_by_paths(option, plan, p, price * factor, h + 1)
        for chance, factor in ((p, 1.02), (1 - p, 0.98))
    )


def test_put_value_is_that_of_all_paths_and_the_best_policy_is_best():
    option = PutOption(horizon=5)
    plan = fit(option.collect(60, seed=1), "r2pvi-kl", 0.5, beta=0.1, ridge=1.0)
    starts = 95 + (np.arange(4) + 0.5) * 2.5
    for p in (0.2, 0.5, 1.0):
        walked = np.mean([put_by_paths(option, plan, p, s) for s in starts])
        assert option.value(plan, p, starts=4) == pytest.approx(walked, abs=1e-12)
        assert option.value(None, p) >= option.value(plan, p) - 1e-12
    # With p = 1 prices rise: exercise at once, mean of max(0, 100 - U(95, 105)).
    assert PutOption().value(None, 1.0) == pytest.approx(1.25, abs=1e-3)


def test_put_data_and_known_exits():
    option = PutOption(horizon=6)
    data = option.collect(50, seed=2)
    assert data.phi.shape == (6, 50, 30)
    assert data.phi_next.shape == (6, 50, 1, 30)
    np.testing.assert_array_equal(data.phi_next[:-1, :, 0], data.phi[1:])
    plan = fit(data, "pevi", beta=0.0, ridge=1e-6)
    stay = plan.q(5, data.phi_next[4])[:, 0]
    np.testing.assert_allclose(plan.value_next(data, 4), np.maximum(stay, data.exit_next[4]))
    assert (plan.weights[-1] == 0).all()
    assert plan.weights[0].max() > 1.0
    # Without the right to leave nothing is ever paid.
    assert np.abs(fit(data._replace(exit_next=None), "pevi", beta=0.0).weights).max() < 1e-12


def test_robust_plans_of_the_put_exercise_early():
    option = PutOption()
    plans = {
        name: [fit(option.collect(100, seed=k), name, 0.03, beta=0.1, ridge=1.0) for k in range(2)]
        for name in ("pevi", "r2pvi-tv")
    }
    value = {
        p: {name: np.mean([option.value(x, p) for x in found]) for name, found in plans.items()}
        for p in (0.2, 1.0)
    }
    assert value[0.2]["pevi"] > value[0.2]["r2pvi-tv"]
    assert value[1.0]["r2pvi-tv"] > value[1.0]["pevi"] + 0.5


def one_hot_data(noise, seed, n):
    """One stage of two rows: row i pays nothing and leads to values with deviation noise[i]."""
    rng = np.random.default_rng(seed)
    rows = np.arange(n) % len(noise)
    phi = np.eye(len(noise))[rows]
    worth = 1.0 + np.array(noise)[rows] * rng.choice([-1.0, 1.0], n)
    ahead = np.zeros((2, n, 1, len(noise) + 1))
    ahead[0, :, 0, -1] = worth
    wide = np.concatenate([phi, np.zeros((n, 1))], 1)
    return OfflineData(np.stack([wide, 0 * wide]), np.zeros((2, n)), ahead)


def test_variances_of_the_next_value_are_estimated():
    data = one_hot_data((0.2, 0.9), 0, 400)
    pilot = PessimisticPlan(
        np.array([[0, 0, 0], [0, 0, 1.0]]), np.tile(np.eye(3), (2, 1, 1)), 0.0, "l1",
        np.array([5.0, 5.0]),
    )  # fmt: skip
    found = next_value_variance(data, pilot, np.eye(3)[None, :2].repeat(2, 0), 1e-9, floor=1e-3)
    np.testing.assert_allclose(found[0], [0.04, 0.81], rtol=0.1)
    np.testing.assert_allclose(found[1], 1e-3)
    assert (next_value_variance(data, pilot, data.phi, 1e-9) == 1.0).all()


def test_constant_variance_is_a_scaled_ridge():
    data = NOMINAL.collect(80, seed=3)
    four = fit(data, "r2pvi-tv", 0.2, variance=np.full((3, 80), 4.0), ridge=0.1, beta=0.0)
    plain = fit(data, "r2pvi-tv", 0.2, ridge=0.4, beta=0.0)
    np.testing.assert_allclose(four.weights, plain.weights)
    np.testing.assert_allclose(four.inverse, 4.0 * plain.inverse)


def test_variance_weights_read_noisy_rows_less():
    # Both rows share one feature; the mean of the next value is the same, its noise is not.
    errors = {"plain": [], "weighted": []}
    for seed in range(60):
        data = one_hot_data((0.1, 1.0), seed, 80)
        shared = data._replace(phi=data.phi.sum(2, keepdims=True) * [1.0, 0, 0])
        variance = np.where(data.phi[..., 0] == 1.0, 0.01, 1.0)
        theta = np.array([[0.0, 0, 0], [0, 0, 1]])
        for name, weights in (("plain", None), ("weighted", variance)):
            plan = fit(shared, "pevi", beta=0.0, ridge=1e-9, theta=theta, variance=weights)
            errors[name].append(plan.weights[0, 0] - 1.0)
    assert np.std(errors["weighted"]) < 0.5 * np.std(errors["plain"])


@pytest.mark.parametrize("method", ["pevi", "drpvi-tv", "r2pvi-tv"])
def test_variance_aware_fit_is_its_parts(method):
    data = NOMINAL.collect(100, seed=5)
    options = dict(theta=NOMINAL.theta, beta=0.3, ridge=0.1)
    found = fit_variance_aware(data, method, 0.1, floor=0.05, **options)
    first, second = data.episodes(slice(0, None, 2)), data.episodes(slice(1, None, 2))
    pilot = fit(first, method, 0.1, **options)
    variance = next_value_variance(first, pilot, second.phi, 0.1, 0.05)
    assert np.ptp(variance) > 0.01
    again = fit(second, method, 0.1, variance=variance, **options)
    np.testing.assert_array_equal(found.weights, again.weights)
    assert 0.5 < NOMINAL.value(found) < 2.0


def test_kl_radius_survives_negative_ridge_weights():
    option = PutOption()
    with np.errstate(all="raise", under="ignore"):
        plan = fit(option.collect(100, seed=0), "drvi-kl", 0.03, beta=0.1, ridge=1.0)
    assert np.isfinite(plan.weights).all()


def test_bad_requests():
    data = NOMINAL.collect(10)
    with pytest.raises(ValueError, match=r"variance must be positive, \[3, 10\]"):
        fit(data, "pevi", variance=np.zeros((3, 10)))
    with pytest.raises(ValueError, match=r"exit_next must be \(3, 10\)"):
        fit(data._replace(exit_next=np.zeros(3)), "pevi")
    with pytest.raises(ValueError, match=r"perturbation must lie in \[0, 1\]"):
        turning_chain(1.5)
    with pytest.raises(ValueError, match="strength must be"):
        fit(data, "drpvi-tv", np.array([0.1, -0.1, 0.1, 0.1]))
