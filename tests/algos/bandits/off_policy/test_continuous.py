"""Kernel estimators against integrals, closed forms of the bias, and their reductions."""

import numpy as np
import pytest
from scipy.integrate import quad

from rlkit.algos.bandits.off_policy.continuous import (
    KERNELS,
    ContinuousLog,
    best_bandwidth,
    evaluate_continuous,
    kernel_weights,
)


def logged(n, seed, dims=1):
    """Uniform actions in [-1, 1]^d, reward 1 - |a|² + x, noise .1."""
    rng = np.random.default_rng(seed)
    a, x = rng.uniform(-1, 1, (n, dims)), rng.uniform(-0.3, 0.3, n)
    r = 1.0 - (a**2).sum(1) + x + 0.1 * rng.standard_normal(n)
    return ContinuousLog(a, r, np.full(n, 0.5**dims), x[:, None]), x


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_even_densities(name):
    kernel = KERNELS[name]
    assert quad(lambda u: float(kernel(np.array(u))), -9, 9, limit=200, points=[-1, 1])[
        0
    ] == pytest.approx(1.0, abs=1e-7)
    u = np.linspace(0, 3, 31)
    np.testing.assert_allclose(kernel(u), kernel(-u))


def test_the_smoothed_value_has_the_bias_of_its_kernel():
    """E w r = E 1 - (τ + h u)² = 1 - τ² - h² σ_k², σ_k² = 1/5 of Epanechnikov's kernel."""
    log, x = logged(400_000, 0)
    for h in (0.4, 0.1):
        found = evaluate_continuous(log, x, h, "ips")
        expected = 1.0 - (x**2).mean() - h**2 / 5 + x.mean()
        assert found.interval.low <= expected <= found.interval.high


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "sndr"])
def test_every_estimator_finds_the_value_of_the_target(estimator):
    log, x = logged(60_000, 1)
    q = np.column_stack([1.0 - log.action[:, 0] ** 2, 1.0 - x**2])
    found = evaluate_continuous(log, x, 0.1, estimator, q=q)
    assert found.value == pytest.approx(1.0 - 0.09 / 3, abs=4 * 0.012)


def test_a_right_model_takes_the_bias_away():
    log, x = logged(200_000, 2)
    q = np.column_stack([1.0 - log.action[:, 0] ** 2 + x, 1.0 - x**2 + x])
    truth = float((1.0 - x**2 + x).mean())
    wide = evaluate_continuous(log, x, 0.8, "dr", q=q)
    assert wide.value == pytest.approx(truth, abs=0.003)
    assert evaluate_continuous(log, x, 0.8, "ips").value < truth - 0.05


def test_without_a_model_dr_is_ips_and_a_shift_moves_snips_alone():
    log, x = logged(500, 3)
    zero = np.zeros((500, 2))
    for plain, modelled in (("ips", "dr"), ("snips", "sndr")):
        np.testing.assert_allclose(
            evaluate_continuous(log, x, 0.3, plain).value,
            evaluate_continuous(log, x, 0.3, modelled, q=zero).value,
        )
    moved = ContinuousLog(log.action, log.reward + 5.0, log.density)
    before, after = (evaluate_continuous(one, x, 0.3, "snips").value for one in (log, moved))
    assert after == pytest.approx(before + 5.0)
    before, after = (evaluate_continuous(one, x, 0.3, "ips").value for one in (log, moved))
    assert after != pytest.approx(before + 5.0, abs=1e-3)


def test_two_dimensions_multiply():
    log, _ = logged(2000, 4, dims=2)
    aim = np.zeros((2000, 2))
    w = kernel_weights(log, aim, (0.5, 0.25), "triangular")
    u = log.action / np.array([0.5, 0.25])
    expected = np.maximum(1 - abs(u), 0).prod(1) / (0.5 * 0.25) / 0.25
    np.testing.assert_allclose(w, expected)
    assert w.mean() == pytest.approx(1.0, abs=0.2)


def test_the_bandwidth_balances_bias_and_variance():
    bandwidths = [0.01, 0.05, 0.2, 0.8]
    small, x_small = logged(300, 5)
    large, x_large = logged(300_000, 5)
    few, many = (
        best_bandwidth(log, x, bandwidths) for log, x in ((small, x_small), (large, x_large))
    )
    assert few >= many
    assert many < 0.8


def test_bad_logs_and_settings_are_refused():
    good, x = logged(20, 6)
    with pytest.raises(ValueError, match="density of row 3 is not above 0"):
        ContinuousLog(good.action, good.reward, np.r_[np.ones(3), 0.0, np.ones(16)])
    with pytest.raises(ValueError, match="reward of row 1 has NaN"):
        ContinuousLog(np.zeros(2), np.array([0.0, np.nan]), np.ones(2))
    with pytest.raises(ValueError, match="action has 19 rows, reward has 20"):
        ContinuousLog(good.action[1:], good.reward, good.density)
    for options, message in (
        ({"bandwidth": 0.0}, "above 0"),
        ({"bandwidth": 0.1, "kernel": "gauss"}, "did you mean 'gaussian'"),
        ({"bandwidth": 0.1, "estimator": "ipw"}, "no estimator"),
        ({"bandwidth": 0.1, "estimator": "dr"}, "dr needs q"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate_continuous(good, x, **options)
    with pytest.raises(ValueError, match="widen it"):
        evaluate_continuous(good, np.full(20, 50.0), 0.1)
    with pytest.raises(ValueError, match="target has shape"):
        evaluate_continuous(good, np.zeros((20, 2)), 0.1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reward": 1.0}, "reward is 1.0; several are needed"),
        ({"reward": None}, "reward is None; several are needed"),
        ({"action": np.float64(2)}, r"action is array\(2\.\); several are needed"),
        ({"action": np.zeros((4, 1, 1))}, r"action has shape \(4, 1, 1\); needed is \[n\] or"),
        ({"action": np.zeros((4, 0))}, r"action has shape \(4, 0\)"),
        ({"density": np.ones((4, 1))}, r"density has shape \(4, 1\); needed is \[n\]"),
        ({"reward": np.ones((4, 2))}, r"reward has shape \(4, 2\)"),
    ],
)
def test_columns_of_another_shape_are_refused(given, message):
    columns = {"action": np.zeros(4), "reward": np.ones(4), "density": np.ones(4)} | given
    with pytest.raises(ValueError, match=message):
        ContinuousLog(**columns)


def test_one_bandwidth_is_no_choice():
    good, x = logged(20, 6)
    with pytest.raises(ValueError, match=r"bandwidths is 0\.5; several are needed"):
        best_bandwidth(good, x, 0.5)
