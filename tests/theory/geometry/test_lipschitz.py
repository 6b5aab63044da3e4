import numpy as np
import pytest

from rlkit.envs.tabular.classics import forest
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.geometry.bisimulation import bisimulation_metric
from rlkit.theory.geometry.lipschitz import (
    check_metric,
    lipschitz_constant,
    model_distance,
    model_gap_bound,
    reward_constant,
    transition_constant,
    value_constant,
)

LINE = np.abs(np.arange(40.0)[:, None] - np.arange(40.0)[None])


def drift(step, slope=1.0, n=40):
    """One action: move right by `step` (kept, in mean, by splitting), reward slope * state.

    Far from the right wall the value is linear in the state.
    """
    p = np.zeros((n, 1, n))
    for s in range(n):
        x = min(s + step, n - 1.0)
        low = int(np.floor(x))
        p[s, 0, low] += 1 - (x - low)
        if x > low:
            p[s, 0, low + 1] += x - low
    return FiniteMDP.from_dense(p, slope * np.arange(n)[:, None])


@pytest.mark.parametrize("seed", range(6))
def test_constants_bound_the_optimal_value(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 2))
    metric = np.linalg.norm(x[:, None] - x[None], axis=2)
    mdp = garnet(8, 2, 3, seed=seed)
    bound = value_constant(reward_constant(mdp, metric), transition_constant(mdp, metric), 0.2)
    value = solve(mdp, 0.2, "pi").value
    assert lipschitz_constant(value, metric) <= bound
    d = bisimulation_metric(mdp, 0.2).distance
    assert lipschitz_constant(value, d) <= 1 + 1e-5


def test_bound_is_attained_by_a_linear_value():
    mdp = drift(0.0)
    assert transition_constant(mdp, LINE) == pytest.approx(1)
    assert reward_constant(mdp, LINE) == pytest.approx(1)
    value = solve(mdp, 0.9, "pi").value
    assert lipschitz_constant(value, LINE) == pytest.approx(value_constant(1, 1, 0.9))


def test_model_error_bound_is_tight_on_a_drift_with_linear_value():
    """Away from the wall V(x) = x / (1 - gamma) + const: a drift off by .5 costs the bound."""
    gamma = 0.5
    truth, model = drift(0.0), drift(0.5)
    value, other = solve(truth, gamma, "pi").value, solve(model, gamma, "pi").value
    np.testing.assert_allclose(model_distance(truth, model, LINE)[:39], 0.5)
    step, total = model_gap_bound(truth, model, value, LINE, gamma)
    gap = np.abs(other - value)
    assert gap.max() <= total + 1e-9
    assert gap[:10].max() == pytest.approx(total, rel=1e-6)
    np.testing.assert_allclose(
        np.abs(model.q(value, gamma) - truth.q(value, gamma))[:39], step, atol=1e-9
    )


@pytest.mark.parametrize("seed", range(10))
def test_model_error_bound_is_never_violated(seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(8, 2))
    metric = np.linalg.norm(x[:, None] - x[None], axis=2)
    truth = garnet(8, 2, 3, seed=seed)
    p = truth.dense()[0]
    model = FiniteMDP.from_dense(
        0.8 * p + 0.2 * rng.dirichlet(np.ones(8), (8, 2)), truth.dense()[1]
    )
    value, other = solve(truth, 0.9, "pi").value, solve(model, 0.9, "pi").value
    step, total = model_gap_bound(truth, model, value, metric, 0.9)
    assert np.abs(model.q(value, 0.9) - truth.q(value, 0.9)).max() <= step + 1e-12
    assert np.abs(other - value).max() <= total


def test_smoother_values_shrink_the_bound():
    bounds = [
        model_gap_bound(
            drift(0.0, k), drift(0.5, k), solve(drift(0.0, k), 0.5, "pi").value, LINE, 0.5
        )
        for k in (1.0, 0.25)
    ]
    assert bounds[1][1] == pytest.approx(bounds[0][1] / 4)


def test_edges_and_errors():
    assert lipschitz_constant(np.array([0.0, 1.0]), np.zeros((2, 2))) == np.inf
    assert lipschitz_constant(np.ones(2), np.zeros((2, 2))) == 0
    assert value_constant(1.0, 2.0, 0.5) == np.inf
    with pytest.raises(ValueError, match=r"metric\(0, 2\) exceeds the way through 1"):
        check_metric(np.array([[0, 1, 5], [1, 0, 1], [5, 1, 0.0]]), 3)
    with pytest.raises(ValueError, match="symmetric"):
        check_metric(np.array([[0, 1], [2, 0.0]]), 2)
    with pytest.raises(ValueError, match="same states"):
        model_distance(forest(3), forest(4), np.zeros((3, 3)))
    with pytest.raises(ValueError, match="gamma"):
        model_gap_bound(forest(3), forest(3), np.zeros(3), np.zeros((3, 3)), 1.0)
