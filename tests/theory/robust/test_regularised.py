import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import FiniteMDP, solve
from rlkit.theory.evaluation import evaluate_policy, occupancy
from rlkit.theory.planning.linear_program import flow_matrix
from rlkit.theory.robust.regularised import (
    _chi2_dual,
    _kl_dual,
    correlated_proxy_bound,
    f_divergence,
    solve_regularised,
    suggested_weight,
)

MODEL = garnet(4, 2, 3, seed=1)
UNIFORM = occupancy(MODEL, np.full((4, 2), 0.5), 0.9)


@pytest.mark.parametrize("divergence", ["chi2", "kl"])
@pytest.mark.parametrize("alpha", [0.03, 0.3, 3.0])
def test_primal_dual_gap_closes_and_flow_holds(divergence, alpha):
    for mdp in (MODEL, garnet(30, 3, 4, seed=2)):
        ref = np.full(mdp.num_rows, 1 / mdp.num_rows)
        found = solve_regularised(mdp, 0.9, alpha, ref, divergence)
        assert abs(found.gap) < 1e-8
        assert found.flow_error < 1e-9
        assert found.occupancy.sum() == pytest.approx(1.0, abs=1e-8)
        assert (found.occupancy >= 0).all()
        np.testing.assert_allclose(found.policy.sum(1), 1.0)
        d = occupancy(mdp, found.policy, 0.9)
        np.testing.assert_allclose(d, found.occupancy, atol=1e-7)


@pytest.mark.parametrize("divergence", ["chi2", "kl"])
def test_limits_are_the_reference_and_the_linear_program(divergence):
    stiff = solve_regularised(MODEL, 0.9, 1e5, UNIFORM, divergence, tolerance=1e-12)
    np.testing.assert_allclose(stiff.occupancy, UNIFORM, atol=1e-5)
    free = solve_regularised(MODEL, 0.9, 3e-3, UNIFORM, divergence)
    best = solve(MODEL, 0.9, "pi")
    exact = occupancy(MODEL, best.policy, 0.9)
    assert free.occupancy @ MODEL.r == pytest.approx(exact @ MODEL.r, abs=0.02)
    value = evaluate_policy(MODEL, free.policy, 0.9)
    assert (best.value - value).max() < 0.3


@pytest.mark.parametrize("dual", [_chi2_dual, _kl_dual])
def test_dual_gradient_is_the_flow_violation(dual):
    flow, start = flow_matrix(MODEL, 0.9), 0.1 * MODEL.initial_law()
    v, small = np.random.default_rng(0).normal(size=4), 1e-6
    rest = (flow, MODEL.r, start, 0.7, UNIFORM)
    slope = [
        (dual(v + small * e, *rest)[0] - dual(v - small * e, *rest)[0]) / (2 * small)
        for e in np.eye(4)
    ]
    np.testing.assert_allclose(slope, start - flow.T @ dual(v, *rest)[1], atol=1e-8)


def test_no_occupancy_does_better():
    rng = np.random.default_rng(1)
    for divergence in ("chi2", "kl"):
        found = solve_regularised(MODEL, 0.9, 0.3, UNIFORM, divergence)
        for _ in range(200):
            d = occupancy(MODEL, rng.dirichlet([0.7, 0.7], 4), 0.9)
            assert d @ MODEL.r - 0.3 * f_divergence(d, UNIFORM, divergence) <= found.objective


def test_bandit_solution_is_the_clipped_tilt():
    r = np.array([[0.0, 0.5, 1.0, 1.1]])
    mdp = FiniteMDP.from_dense(np.ones((1, 4, 1)), r)
    ref = np.full(4, 0.25)
    found = solve_regularised(mdp, 0.0, 0.3, ref)
    # d = ref max(0, 1 + (r - level) / alpha) with the level that makes it sum to one.
    levels = [r[0, -k:].mean() + 0.3 * (1 - 4 / k) for k in (1, 2, 3, 4)]
    laws = [ref * np.maximum(0, 1 + (r[0] - x) / 0.3) for x in levels]
    exact = next(x for x in laws if abs(x.sum() - 1) < 1e-12)
    np.testing.assert_allclose(found.occupancy, exact, atol=1e-10)
    assert (exact == 0).any()
    soft = solve_regularised(mdp, 0.0, 0.3, ref, "kl")
    np.testing.assert_allclose(
        soft.occupancy, np.exp(r[0] / 0.3) / np.exp(r[0] / 0.3).sum(), atol=1e-10
    )


def test_correlated_proxy_bound_is_never_violated():
    rng = np.random.default_rng(0)
    slack = []
    while len(slack) < 2000:
        ref, d = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8))
        r = rng.normal(size=8)
        proxy = r + rng.normal(size=8)
        centred = r - ref @ r
        true = d @ centred / np.sqrt(ref @ centred**2)
        try:
            slack.append(true - correlated_proxy_bound(r, proxy, ref, d))
        except ValueError:
            continue  # a proxy that does not correlate
    assert min(slack) >= -1e-12
    perfect = correlated_proxy_bound(r, 3 * r + 1, ref, d)
    assert perfect == pytest.approx(d @ centred / np.sqrt(ref @ centred**2), abs=1e-6)
    assert suggested_weight(0.6, 2.0) == pytest.approx(2 * 0.8 / 0.6)


def test_bad_requests():
    with pytest.raises(ValueError, match="reference misses state 0"):
        solve_regularised(MODEL, 0.9, 1.0, np.r_[0, 0, np.full(6, 1 / 6)])
    with pytest.raises(ValueError, match="without termination"):
        solve_regularised(deep_sea(3), 0.9, 1.0, np.full(18, 1 / 18))
    with pytest.raises(ValueError, match="law over the 8 rows"):
        solve_regularised(MODEL, 0.9, 1.0, np.ones(8))
    with pytest.raises(ValueError, match="gamma < 1"):
        solve_regularised(MODEL, 1.0, 1.0, UNIFORM)
