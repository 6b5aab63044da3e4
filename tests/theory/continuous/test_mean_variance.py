"""The mean-variance example: its closed forms, their recovery from paths, and learning."""

import numpy as np
import pytest

from rlkit.theory.continuous.continuous_time import (
    fit_martingale_loss,
    fit_mean_square_td_error,
    increments,
    moment,
    solve_ctd,
)
from rlkit.theory.continuous.mean_variance import CRITICS, GaussianPolicy, Market, learn

MARKET = Market(mu=0.3, sigma=0.3)  # rho = .933
W = MARKET.multiplier()
BEST = MARKET.optimal_policy()
OTHER = GaussianPolicy(1.7, -0.4, 0.6)


def test_parametrised_value_is_the_optimal_cost():
    t, x = np.meshgrid(np.linspace(0, 1, 5), np.linspace(-1, 3, 7))
    fitted = MARKET.value_model(W).value(MARKET.optimal_value(), t, x)
    np.testing.assert_allclose(fitted, MARKET.value(BEST, W, t, x), atol=1e-12)


def test_value_solves_the_hamilton_jacobi_bellman_equation():
    # min over pi: V_t + E[rho sigma u V_x + sigma^2 u^2 V_xx / 2 + lambda log pi(u)] = 0.
    model, theta, h = MARKET.value_model(W), MARKET.optimal_value(), 1e-4
    sigma, lam, rho = MARKET.sigma, MARKET.temperature, MARKET.rho

    def v(t, x):
        return float(model.value(theta, np.array(t), np.array(x)))

    for t, x in ((0.2, 0.5), (0.7, 2.0), (0.5, 1.1)):
        v_t = (v(t + h, x) - v(t - h, x)) / (2 * h)
        v_x = (v(t, x + h) - v(t, x - h)) / (2 * h)
        v_xx = (v(t, x + h) - 2 * v(t, x) + v(t, x - h)) / h**2
        # The minimising Gaussian and its cost, from completing the square.
        mean, variance = -rho * v_x / (sigma * v_xx), lam / (sigma**2 * v_xx)
        cost = rho * sigma * mean * v_x + 0.5 * sigma**2 * (mean**2 + variance) * v_xx
        cost -= 0.5 * lam * np.log(2 * np.pi * np.e * variance)
        assert v_t + cost == pytest.approx(0.0, abs=1e-5)
        assert mean == pytest.approx(-BEST.gain * (x - W), rel=1e-5)
        assert np.log(variance) == pytest.approx(
            BEST.log_variance + BEST.growth * (1 - t), abs=1e-4
        )


@pytest.mark.parametrize("policy", [BEST, OTHER])
def test_moments_and_cost_are_those_of_paths(policy):
    paths = MARKET.paths(policy, W, 100, 20_000, seed=1)
    mean, deviation = MARKET.outcome(policy, W)
    assert paths.x[:, -1].mean() == pytest.approx(mean, abs=0.02)
    assert paths.x[:, -1].std() == pytest.approx(deviation, rel=0.03)
    cost = (paths.r * paths.dt).sum(1) + paths.terminal
    start = MARKET.value(policy, W, np.array(0.0), np.array(1.0))
    assert cost.mean() == pytest.approx(float(start), abs=0.03)
    assert MARKET.value(BEST, W, np.array(0.0), np.array(1.0)) <= start + 1e-12


@pytest.mark.parametrize(("mu", "sigma"), [(0.3, 0.2), (-0.3, 0.3), (0.5, 0.3)])
def test_the_optimum_lies_on_the_frontier(mu, sigma):
    market = Market(mu, sigma)
    best, w = market.optimal_policy(), market.multiplier()
    assert market.outcome(best, w, explore=False)[0] == pytest.approx(market.target)
    assert market.sharpe(best, w) == pytest.approx(market.best_sharpe())
    assert market.sharpe(best, w, explore=True) < market.best_sharpe()
    for gain in (0.5, 0.9, 1.1, 2.0):
        assert market.sharpe(best._replace(gain=gain * best.gain), w) < market.best_sharpe()


def test_martingale_methods_find_the_value_and_the_td_error_does_not():
    # A calm market, where squares of wealth have tails that 2000 paths can average.
    market = Market(mu=0.14, sigma=0.3)
    w, exact = market.multiplier(), market.optimal_value()
    model, start = market.value_model(w), np.array([0.0, 0.0, 0.5])
    errors = {}
    for steps in (10, 60):
        paths = market.paths(market.optimal_policy(), w, steps, 2000, seed=2)
        for name, theta in (
            ("loss", fit_martingale_loss(model, paths, 0.0, start)),
            ("ctd", solve_ctd(model, paths, 0.0, start)),
            ("ctd-trace", solve_ctd(model, paths, 0.0, start, lam=1.0)),
            ("td-error", fit_mean_square_td_error(model, paths, 0.0, start)),
        ):
            # theta_1 and theta_2 trade off against one another: compare what they say of J,
            # whose size is (1 - w)^2 = 7.3.
            gap = model.value(theta, paths.t, paths.x) - model.value(exact, paths.t, paths.x)
            errors[name, steps] = float(np.sqrt((gap[:, :-1] ** 2).mean()))
    for name in ("loss", "ctd", "ctd-trace"):
        assert errors[name, 10] < 0.25, name
        assert errors[name, 60] < 0.25, name
    # The squared TD error shrinks the quadratic variation, the more so the finer the mesh.
    assert errors["td-error", 10] > 2.0
    assert errors["td-error", 60] > 1.2 * errors["td-error", 10]


def test_cost_of_a_policy_is_a_martingale_along_its_paths():
    lazy = GaussianPolicy(0.3, -0.4, 0.0)
    paths = MARKET.paths(lazy, W, 100, 4000, seed=3)
    right, wrong = (MARKET.value(pi, W, paths.t, paths.x) for pi in (lazy, BEST))
    drift = [increments(paths, v, 0.0).sum(1).mean() for v in (right, wrong)]
    assert abs(drift[0]) < 0.02
    exact = right[0, 0] - wrong[0, 0]
    assert drift[1] == pytest.approx(exact, abs=0.02)
    assert exact > 0.1


def test_gradient_of_the_model():
    model, theta = MARKET.value_model(W), np.array([0.2, -0.1, 0.7])
    paths = MARKET.paths(BEST, W, 3, 2, seed=0)
    slope = model.gradient(theta, paths.t, paths.x)
    for k, e in enumerate(1e-6 * np.eye(3)):
        up, down = (model.value(theta + s * e, paths.t, paths.x) for s in (1, -1))
        np.testing.assert_allclose(slope[..., k], (up - down) / 2e-6, atol=1e-7)
    assert moment(model, theta, paths, 0.0).shape == (3,)


@pytest.mark.parametrize("critic", CRITICS)
def test_learning_approaches_the_frontier(critic):
    market = Market(mu=0.3, sigma=0.3)
    run = learn(
        market, critic, 150, steps=24, batch=256, rate_phi=1.0, decay=0.3, rate_w=0.3, seed=1
    )
    first = market.sharpe(GaussianPolicy(0.01, 0.0, 0.0), market.target)
    assert run.sharpe[-1] > first + 0.05
    assert run.sharpe[-1] <= market.best_sharpe()
    assert run.policy.gain > 0.5
    assert market.outcome(run.policy, run.w)[0] == pytest.approx(market.target, abs=0.2)
    with pytest.raises(ValueError, match="critic must be one of"):
        learn(market, "td", 1)
