import numpy as np
import pytest

from rlkit.envs.tabular.garnet import garnet
from rlkit.envs.tabular.grids import frozen_lake
from rlkit.theory import solve
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.robust.rectangular import (
    robust_backward_induction,
    robust_policy_value,
    solve_robust,
)

MODEL = garnet(10, 3, 4, seed=1)
CASES = [("tv", {"radius": 0.2}), ("kl", {"radius": 0.1}), ("chi2", {"radius": 0.3}),
         ("tv", {"weight": 1.0}), ("kl", {"weight": 0.5}), ("chi2", {"weight": 0.5})]  # fmt: skip


@pytest.mark.parametrize(("kind", "how"), CASES)
def test_methods_agree_and_bounds_hold(kind, how):
    for mdp in (MODEL, frozen_lake()):
        vi = solve_robust(mdp, 0.9, kind, eps=1e-8, **how)
        for method in ("pi", "anderson"):
            other = solve_robust(mdp, 0.9, kind, method=method, eps=1e-8, **how)
            assert other.converged
            np.testing.assert_allclose(other.value, vi.value, atol=2e-8)
        loose = solve_robust(mdp, 0.9, kind, eps=0.5, **how)
        assert (loose.lower <= vi.upper + 1e-12).all()
        assert (vi.lower <= loose.upper + 1e-12).all()
        np.testing.assert_allclose(
            robust_policy_value(mdp, vi.policy, 0.9, kind, **how), vi.value, atol=2e-8
        )
        assert (vi.value <= solve(mdp, 0.9).value + 1e-6).all()


@pytest.mark.parametrize("kind", ["tv", "kl", "chi2"])
def test_limits_are_the_nominal_model(kind):
    nominal = solve(MODEL, 0.9, eps=1e-9).value
    tight = solve_robust(MODEL, 0.9, kind, radius=0.0, eps=1e-9)
    np.testing.assert_allclose(tight.value, nominal, atol=1e-8)
    stiff = solve_robust(MODEL, 0.9, kind, weight=1e9, eps=1e-9)
    np.testing.assert_allclose(stiff.value, nominal, atol=1e-6)
    before = nominal
    for radius in (0.05, 0.2, 0.8):
        value = solve_robust(MODEL, 0.9, kind, radius=radius).value
        assert (value <= before + 1e-6).all()
        before = value


def test_full_tv_radius_moves_everything_to_the_worst_state():
    found = solve_robust(MODEL, 0.9, "tv", radius=1.0, eps=1e-10)
    np.testing.assert_allclose(found.q, MODEL.r + 0.9 * found.value.min(), atol=1e-9)


def test_finite_horizon_reduces_to_backward_induction():
    value, policy = robust_backward_induction(MODEL, 5, "kl", radius=0.0)
    plan = backward_induction(MODEL, 5)
    np.testing.assert_allclose(value, plan.value, rtol=1e-12)
    np.testing.assert_array_equal(policy, plan.policy)
    worse, _ = robust_backward_induction(MODEL, 5, "chi2", radius=0.2)
    assert (worse[0] < value[0]).all()


def test_termination_counts_as_an_outcome_worth_nothing():
    # Penalties of always-ending rows: nature cannot lower what is already over.
    lake = frozen_lake(slippery=False)
    safe = solve_robust(lake, 0.9, "chi2", radius=0.5, eps=1e-9)
    np.testing.assert_allclose(safe.value, solve(lake, 0.9, eps=1e-9).value, atol=1e-8)
    harmed = solve_robust(lake, 0.9, "tv", radius=0.5, eps=1e-9)
    assert harmed.value[0] == pytest.approx((0.9 * 0.5) ** 5 * 1.0, rel=1e-6)


def test_bad_sets_are_refused():
    with pytest.raises(ValueError, match="either a radius"):
        solve_robust(MODEL, 0.9, "tv")
    with pytest.raises(ValueError, match="L1 radius is twice"):
        solve_robust(MODEL, 0.9, "tv", radius=1.4)
    with pytest.raises(ValueError, match="weight must be positive"):
        solve_robust(MODEL, 0.9, "kl", weight=0.0)
    with pytest.raises(ValueError, match="divergence must be one of"):
        solve_robust(MODEL, 0.9, "wasserstein", radius=0.1)
    with pytest.raises(ValueError, match="gamma < 1"):
        solve_robust(MODEL, 1.0, "kl", radius=0.1)
