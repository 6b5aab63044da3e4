"""Constant steps with initial values, and the gradient bandit: closed forms and known effects."""

import numpy as np
import pytest

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.simulation.constant_steps import (
    BASELINE,
    CONSTANT_STEP,
    GRADIENT,
    PREFERENCE,
    PROBABILITY,
    VALUE,
    begin_constant,
    softmax,
    update_constant,
)
from rlkit.algos.bandits.simulation.state import ROWS, SCALARS
from rlkit.envs.bandits.armed import Armed, Switching

MEANS = [0.2, 0.8, 0.5]


def test_a_value_after_n_equal_rewards_is_known():
    st, sc = np.zeros((ROWS, 2)), np.zeros(SCALARS)
    par = np.array([0.0, 0.1, 5.0])
    begin_constant(CONSTANT_STEP, par, st)
    for _ in range(12):
        update_constant(CONSTANT_STEP, par, 1, 2.0, st, sc)
    np.testing.assert_allclose(st[VALUE], [5.0, 2.0 + 0.9**12 * 3.0], rtol=1e-14)


def test_a_step_of_zero_averages():
    st, sc = np.zeros((ROWS, 1)), np.zeros(SCALARS)
    par, rewards = np.array([0.0, 0.0, 100.0]), [3.0, -1.0, 4.0, 1.0]
    begin_constant(CONSTANT_STEP, par, st)
    for reward in rewards:
        update_constant(CONSTANT_STEP, par, 0, reward, st, sc)
    assert st[VALUE, 0] == pytest.approx(np.mean(rewards), rel=1e-15)


def test_optimistic_greed_tries_every_arm_and_pessimistic_greed_keeps_its_first():
    options = {"env": Armed(MEANS, noise="none"), "runs": 60, "horizon": 400, "eps": 0.0}
    hopeful = simulate("constant_step", initial=5.0, **options)
    assert (hopeful.pulls >= 1).all()
    assert hopeful.pulls.argmax(1).tolist() == [1] * 60
    meek = simulate("constant_step", initial=-1.0, **options)
    assert (meek.pulls.max(1) == 400).all()  # any reward beats what is expected of the others
    assert len(set(meek.pulls.argmax(1))) == 3


def test_eps_explores_uniformly():
    run = simulate("constant_step", MEANS, runs=400, horizon=500, eps=1.0)
    share = run.pulls.mean(0) / 500
    np.testing.assert_allclose(share, 1 / 3, atol=4 * np.sqrt(2 / 9 / 200_000))


def test_a_constant_step_follows_a_change_that_an_average_misses():
    env = Switching([[0.7, 0.3], [0.3, 0.7]], [1, 2001])
    late = {}
    for step in (0.0, 0.1):
        run = simulate(
            "constant_step", env=env, runs=200, horizon=4000, step=step, checkpoints=[3000]
        )
        late[step] = (run.regret[:, 1] - run.regret[:, 0]).mean()  # of rounds 3001 to 4000
    assert late[0.1] < 0.5 * late[0.0]


@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_the_expected_step_is_the_gradient_of_the_expected_reward(baseline):
    preference, q, step = np.array([0.3, -0.2, 0.9]), np.array([1.0, 4.0, 2.0]), 0.05
    pi = np.empty(3)
    softmax(preference, pi)
    moved = np.zeros(3)
    for arm in range(3):
        st, sc = np.zeros((ROWS, 3)), np.zeros(SCALARS)
        st[PREFERENCE], st[PROBABILITY] = preference, pi
        sc[:2] = 7.0, 1.7  # seven rewards of mean 1.7 before
        update_constant(GRADIENT, np.array([step, baseline]), arm, q[arm], st, sc)
        moved += pi[arm] * (st[PREFERENCE] - preference)
        assert sc[BASELINE] == pytest.approx((7 * 1.7 + q[arm]) / 8)
    np.testing.assert_allclose(moved, step * pi * (q - pi @ q), atol=1e-15)


def test_preferences_are_used_up_to_a_constant_and_do_not_overflow():
    pi, other = np.empty(3), np.empty(3)
    softmax(np.array([1000.0, 999.0, -1000.0]), pi)
    softmax(np.array([1.0, 0.0, -1999.0]), other)
    np.testing.assert_allclose(pi, other, rtol=1e-15)


def test_a_shift_of_all_rewards_changes_nothing_with_the_baseline_and_much_without():
    """The testbed of Sutton & Barto's figure 2.5: means around +4."""
    gaps = np.array([0.0, 1.5, -0.5, 0.3])
    played = {}
    for shift in (0.0, 4.0):
        for baseline in (0, 1):
            env = Armed(gaps + shift, noise="gaussian")
            run = simulate(
                "gradient", env=env, runs=300, horizon=500, step=0.1, baseline=baseline, paired=True
            )
            played[shift, baseline] = run.pulls[:, 1].mean() / 500
    assert played[4.0, 1] == pytest.approx(played[0.0, 1], abs=1e-2)
    assert played[4.0, 1] > 0.7
    assert played[4.0, 0] < played[4.0, 1] - 0.1
