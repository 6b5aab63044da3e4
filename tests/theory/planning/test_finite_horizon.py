import numpy as np
import pytest

from rlkit.envs.tabular.chains import deep_sea, lock
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory import solve
from rlkit.theory.planning.finite_horizon import (
    backward_induction,
    evaluate_stages,
    stage_occupancy,
)


def brute_force(mdp, horizon, gamma):
    value = np.zeros(mdp.num_states)
    for _ in range(horizon):
        value = mdp.q_table(value, gamma).max(1)
    return value


def test_stationary_plan_and_its_evaluation():
    mdp = garnet(10, 3, 3, seed=1)
    plan = backward_induction(mdp, 7, gamma=0.9)
    np.testing.assert_allclose(plan.value[0], brute_force(mdp, 7, 0.9), rtol=1e-13)
    np.testing.assert_allclose(evaluate_stages(mdp, plan.policy, gamma=0.9), plan.value, rtol=1e-12)
    assert plan.policy.shape == (7, 10)


def test_long_horizon_reaches_the_discounted_value():
    mdp = garnet(10, 3, 3, seed=2)
    plan = backward_induction(mdp, 200, gamma=0.9)
    np.testing.assert_allclose(plan.value[0], solve(mdp, 0.9, eps=1e-9).value, atol=1e-7)


def test_stage_models_and_terminal_value():
    first, second = garnet(6, 2, 2, seed=1), garnet(6, 2, 2, seed=2)
    end = np.arange(6.0)
    plan = backward_induction([first, second], 2, end)
    inner = second.q_table(end, 1.0).max(1)
    np.testing.assert_allclose(plan.value[0], first.q_table(inner, 1.0).max(1), rtol=1e-13)
    with pytest.raises(ValueError, match="need 3 models"):
        backward_induction([first, second], 3)


def test_deep_sea_and_lock():
    assert backward_induction(deep_sea(8, 1), 8).value[0, 0] == pytest.approx(0.99)
    mdp = lock(5, 2)
    uniform = np.full((5, 6, 2), 0.5)
    assert evaluate_stages(mdp, uniform)[0, 0] == pytest.approx(2.0**-5)


def test_occupancy_follows_the_policy():
    mdp = deep_sea(5)
    plan = backward_induction(mdp, 5)
    law = stage_occupancy(mdp, plan.policy)
    np.testing.assert_allclose(law[np.arange(5), np.arange(5) * 6], 1.0)
