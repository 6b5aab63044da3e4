"""Importance sampling with control variates: reference numbers, zero variance, adaptivity."""

import numpy as np
import pytest
from scipy.stats import norm

from rlkit.algos.bandits.interface import Feedback
from rlkit.algos.bandits.off_policy import DecisionLog
from rlkit.algos.bandits.off_policy.densities import GaussianMixture, fit_mixture, gaussian
from rlkit.algos.bandits.off_policy.importance import (
    coefficients,
    controlled,
    draw_mixture,
    expectations,
    logging_policy,
    several_targets,
    weighted_values,
)

NOMINAL = gaussian([0.0])
TAIL = norm.sf(3.0)  # .0013499


def tail(x):
    return (x > 3.0).astype(float)


class AboveThree:
    """The density g* proportional to 1{x > 3} times the standard normal's."""

    def log_density(self, x):
        inside = NOMINAL.log_density(x) - np.log(TAIL)
        return np.where(x[:, 0] > 3.0, inside, -np.inf)

    def sample(self, n, rng):
        return norm.isf(TAIL * rng.random(n))[:, None]


def drawn(parts, n, seed=0, phi=tail):
    share = np.full(len(parts), 1.0 / len(parts))
    x = draw_mixture(parts, share, n, np.random.default_rng(seed))
    logs = np.stack([p.log_density(x) for p in parts], axis=1)
    return weighted_values(phi(x), NOMINAL.log_density(x), logs, share)


def test_reference_errors_of_the_tail_probability():
    n = 200_000
    y, c = drawn([NOMINAL, gaussian([3.2])], n)
    rest = controlled(y, c)
    assert y.std() / np.sqrt(n) == pytest.approx(8.3e-6, rel=0.02)
    assert rest.std() / np.sqrt(n) == pytest.approx(7.6e-6, rel=0.02)
    assert np.sqrt(TAIL * (1 - TAIL) / n) == pytest.approx(8.2e-5, rel=0.01)  # plain Monte Carlo
    assert rest.mean() == pytest.approx(TAIL, abs=3 * 7.6e-6)


def test_a_component_that_is_optimal_leaves_no_variance():
    y, c = drawn([NOMINAL, gaussian([-1.0]), AboveThree()], 2000)
    assert y.std() > 1e-4
    np.testing.assert_allclose(controlled(y, c), TAIL, rtol=1e-5)


def test_control_variates_have_mean_zero_and_their_sum_vanishes():
    parts, share = [NOMINAL, gaussian([2.0]), gaussian([-1.0])], np.array([0.2, 0.5, 0.3])
    x = draw_mixture(parts, share, 100_000, np.random.default_rng(1))
    logs = np.stack([p.log_density(x) for p in parts], axis=1)
    _, c = weighted_values(tail(x), NOMINAL.log_density(x), logs, share)
    assert np.abs(c.mean(0)).max() < 5 * c.std() / np.sqrt(len(x))
    first = np.exp(logs[:, 0] - np.log(np.exp(logs) @ share)) - 1
    np.testing.assert_allclose(share[0] * first + c @ share[1:], 0.0, atol=1e-12)


def test_without_control_variates_it_is_plain_importance_sampling():
    y, c = drawn([NOMINAL], 500)
    assert c.shape == (500, 0)
    x = draw_mixture([NOMINAL], np.ones(1), 500, np.random.default_rng(0))
    np.testing.assert_allclose(y, tail(x))


def test_control_variates_never_add_variance():
    def several(x):
        return np.concatenate([x > 3, x < -2, x**2, np.exp(x)], axis=1).astype(float)

    y, c = drawn([NOMINAL, gaussian([3.2]), gaussian([-2.2])], 20_000, phi=several)
    rest = y - c @ coefficients(y, c)
    assert (rest.var(0) <= y.var(0) * (1 + 1e-9)).all()
    assert (rest.var(0) < 0.9 * y.var(0)).any()


def test_two_fold_coefficients_leave_the_mean_unbiased():
    """In small samples a beta from the same rows is biased; one from other rows is not."""
    rng, own, other = np.random.default_rng(4), [], []
    for seed in range(4000):
        c = rng.exponential(size=(12, 1)) - 1.0
        y = c**2  # skewed together: least squares on the same rows is off
        own.append((y - c @ coefficients(y, c)).mean())
        other.append(controlled(y, c, seed=seed).mean())
    error = np.std(other) / np.sqrt(len(other))
    assert np.mean(other) == pytest.approx(1.0, abs=4 * error)
    assert abs(np.mean(own) - 1.0) > 8 * np.std(own) / np.sqrt(len(own))


def test_adaptive_sampling_finds_rare_events():
    def several(x):
        return np.concatenate([x > 3, x < -2.5, x**2], axis=1).astype(float)

    truth = np.array([TAIL, norm.sf(2.5), 1.0])
    runs = [expectations(several, NOMINAL, budget=5000, seed=seed) for seed in range(12)]
    errors = np.array([run.value - truth for run in runs])
    plain = np.sqrt(np.array([TAIL, norm.sf(2.5), 2.0]) / 5000)
    rmse = np.sqrt((errors**2).mean(0))
    assert (rmse < [0.25, 0.35, 1.5] * plain).all()
    z = errors / np.array([run.error for run in runs])
    assert np.sqrt((z**2).mean()) < 1.6
    for run in runs:
        assert sum(run.points) == 5000
        assert run.share[0] == pytest.approx(0.05)
        assert run.share.sum() == pytest.approx(1.0)
        assert (run.effective > 0.01).all()
    again = expectations(several, NOMINAL, budget=5000, seed=3)
    np.testing.assert_array_equal(again.value, runs[3].value)


def test_events_that_nominal_points_never_meet_need_a_start():
    def far(x):
        return (x > 6.0).astype(float)

    blind = expectations(far, NOMINAL, budget=3000)
    assert blind.value[0] == 0.0
    seeing = expectations(far, NOMINAL, budget=3000, start=[gaussian([5.0], np.array([[9.0]]))])
    assert seeing.value[0] == pytest.approx(norm.sf(6.0), rel=0.1)


def test_it_stops_to_adapt_when_nothing_is_to_be_gained():
    def easy(x):  # what the first round fits is already right
        return np.exp(-0.5 * (x - 0.5) ** 2)

    run = expectations(easy, NOMINAL, budget=20_000, rounds=8, round_share=0.1)
    assert len(run.points) <= 5
    # E exp(-(X - a)² / 2) = exp(-a² / 4) / sqrt 2
    assert run.value[0] == pytest.approx(np.exp(-0.0625) / np.sqrt(2), abs=5 * run.error[0])


def test_expectation_maximisation_climbs_and_finds_clusters():
    rng = np.random.default_rng(0)
    truth = GaussianMixture(
        np.array([0.3, 0.7]),
        np.array([[-2.0, 0.0], [2.0, 1.0]]),
        np.array([np.eye(2), [[0.5, 0.3], [0.3, 0.5]]]),
    )
    x = truth.sample(4000, rng)
    weight = np.where(rng.random(4000) < 0.5, 1.0, 3.0)
    found, rise = fit_mixture(x, weight, 2, rng)
    assert (np.diff(rise) > -1e-12).all()
    order = np.argsort(found.mean[:, 0])
    np.testing.assert_allclose(found.share[order], truth.share, atol=0.03)
    np.testing.assert_allclose(found.mean[order], truth.mean, atol=0.12)
    np.testing.assert_allclose(found.covariance[order], truth.covariance, atol=0.15)
    # Rows of weight three count as three rows.
    repeated = np.repeat(x, weight.astype(int), axis=0)
    one, _ = fit_mixture(x, weight, 1, rng)
    np.testing.assert_allclose(one.mean[0], repeated.mean(0))
    np.testing.assert_allclose(one.covariance[0], np.cov(repeated.T, bias=True), atol=1e-4)
    lone, _ = fit_mixture(x, (np.arange(4000) == 7).astype(float), 1, rng, prior=np.eye(2))
    np.testing.assert_allclose(lone.covariance[0], 0.8 * np.eye(2), atol=1e-4)  # 4 of 5 points


def test_densities_are_normalised_and_drawn_from():
    mixture = GaussianMixture(
        np.array([0.4, 0.6]), np.array([[0.0], [3.0]]), np.array([[[1.0]], [[0.25]]])
    )
    grid = np.linspace(-8, 9, 4001)[:, None]
    assert np.trapezoid(np.exp(mixture.log_density(grid)), grid[:, 0]) == pytest.approx(1.0)
    x = mixture.sample(20_000, np.random.default_rng(0))[:, 0]
    assert x.mean() == pytest.approx(1.8, abs=0.04)
    assert (x > 2).mean() == pytest.approx(0.6 * norm.cdf(2) + 0.4 * norm.sf(2), abs=0.012)


def bandit_log(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    policy, means = np.array([0.6, 0.3, 0.1]), np.array([0.4, 0.6, 0.5])
    action = rng.choice(3, n, p=policy)
    reward = (rng.random(n) < means[action]).astype(float)
    return DecisionLog(Feedback(action, reward, prob=policy[action]), 3), means


def test_targets_are_control_variates_of_one_another():
    log, means = bandit_log(20_000)
    policies = np.array([[0.1, 0.3, 0.6], [0.2, 0.7, 0.1], [0.3, 0.3, 0.4]])
    targets = [np.tile(p, (len(log), 1)) for p in policies]
    values = several_targets(log, targets)
    np.testing.assert_allclose(values.mean(0), policies @ means, atol=0.03)
    # Their weights span all functions of the three arms: only the noise of the rewards is left.
    noise = policies**2 / np.array([0.6, 0.3, 0.1]) @ (means * (1 - means))
    np.testing.assert_allclose(values.var(0), noise, rtol=0.05)
    w = np.stack([p[log.table.action] / log.table.prob for p in policies], axis=1)
    assert (noise < (w * log.table.reward[:, None]).var(0)).all()


def test_the_best_logging_policy_has_the_least_summed_variance():
    rng = np.random.default_rng(1)
    targets = [rng.dirichlet(np.ones(4), size=3) for _ in range(2)]
    second = rng.random((3, 4))

    def cost(p):
        return sum((t**2 / p * second).sum() for t in targets)

    best = logging_policy(targets, second, floor=1e-12)
    np.testing.assert_allclose(best.sum(1), 1.0)
    for _ in range(200):
        other = np.clip(best + 0.05 * rng.standard_normal(best.shape), 1e-3, None)
        assert cost(best) <= cost(other / other.sum(1, keepdims=True)) + 1e-9
    np.testing.assert_allclose(logging_policy(targets, 0 * second), 0.25)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"floor": 0.0}, "floor 0.0 and rounds"),
        ({"rounds": 10, "round_share": 0.1}, "must lie strictly"),
        ({"budget": 50}, "a round has 5 points"),
    ],
)
def test_bad_budgets_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        expectations(tail, NOMINAL, **options)
