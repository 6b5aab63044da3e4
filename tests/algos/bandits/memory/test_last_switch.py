"""Last-switch-dependent bandits: the relaxation, the cycle policy, the online learner, rotting."""

import numpy as np
import pytest
from scipy.optimize import linprog

from rlkit.algos.bandits import simulate
from rlkit.algos.bandits.memory.last_switch import (
    exploration_script,
    follow_plan,
    isotonic_tables,
    run_script,
)
from rlkit.algos.bandits.memory.planning import best_average_reward, relaxation
from rlkit.envs.bandits.memory import LastSwitch, Rotting, recharging

GUARANTEE = 1 - np.exp(-1)


def monotone(rng, arms: int, n: int):
    levels = np.sort(rng.random((arms, 2 * n)), axis=1)
    return levels[:, n:].copy(), levels[:, :n][:, ::-1].copy()


def linear_program(rested, played) -> float:
    """The relaxation as a dense linear program over all cycles."""
    arms, n = rested.shape
    held = np.concatenate([played, np.repeat(played[:, -1:], n + 2, 1)], axis=1)
    reward, plays, owner = [], [], []
    for i in range(arms):
        for a in range(1, n + 1):
            for b in range(1, n + 4):
                reward.append(rested[i, a - 1] + held[i, : b - 1].sum())
                plays.append(b)
                owner.append((i, a + b))
        reward.append(played[i, -1])
        plays.append(1)
        owner.append((i, 1))
    rows = np.zeros((arms + 1, len(plays)))
    rows[0] = plays
    for column, (i, length) in enumerate(owner):
        rows[1 + i, column] = length
    return -linprog(-np.array(reward), A_ub=rows, b_ub=np.ones(arms + 1)).fun


@pytest.mark.parametrize("seed", range(6))
def test_relaxation_equals_the_linear_program_and_bounds_every_policy(seed):
    rng = np.random.default_rng(seed)
    arms, n = [(2, 4), (3, 2), (1, 4), (2, 3), (3, 2), (1, 6)][seed]
    rested, played = monotone(rng, arms, n)
    if seed >= 4:  # need not be monotone
        rested, played = rng.random((arms, n)), rng.random((arms, n))
    plan = relaxation(rested, played)
    assert plan.value == pytest.approx(linear_program(rested, played), abs=1e-8)
    exact = best_average_reward(rested, played)
    assert exact <= plan.value + 1e-7
    assert exact > 0.6 * plan.value
    load = (plan.share * plan.plays / (plan.plays + plan.rest)).sum()
    assert load <= 1 + 1e-9
    assert (plan.share.sum(1) <= 1 + 1e-12).all()
    assert ((plan.share > 1e-9).sum(1) == 2).sum() <= 1  # at most one arm mixes two cycles


@pytest.mark.parametrize(("arms", "n"), [(3, 4), (8, 4), (20, 3)])
def test_cycle_policy_keeps_its_share_of_the_relaxation(arms, n):
    rested, played = monotone(np.random.default_rng(arms), arms, n)
    env = LastSwitch(rested, played, noise="none")
    run = simulate("cycle_plan", env=env, runs=200, horizon=3000)
    value = float(run.extra["relaxation"])
    rewards = -run.regret[:, -1] / 3000
    error = rewards.std() / np.sqrt(200)
    assert rewards.mean() > GUARANTEE * value - 3 * error
    assert rewards.mean() < value
    if arms == 3:
        assert rewards.mean() > 0.7 * value


def test_a_real_state_below_its_virtual_one_is_noticed():
    # Every run of the policy checks it; a plan for longer rests than the arm can have breaks it.
    rested, played = np.array([[0.1, 0.5, 0.9]]), np.array([[0.05, 0.02, 0.01]])
    plan = relaxation(rested, played)
    assert plan.rest[0, 0] == 3
    right = LastSwitch(rested, played, noise="none").tables(1)
    follow_plan(right, plan, (rested, played), 0, 2, 100, 0)
    wrong = LastSwitch(rested[:, :1], played[:, :1], noise="none").tables(1)
    with pytest.raises(RuntimeError, match="below its virtual one"):
        follow_plan(wrong, plan, (rested, played), 0, 2, 100, 0)


def test_constant_rewards_are_simply_the_best_mean():
    means = np.array([[0.3], [0.8], [0.5]])
    rested = played = np.repeat(means, 3, axis=1)
    plan = relaxation(rested, played)
    assert plan.value == pytest.approx(0.8, abs=1e-9)
    run = simulate("cycle_plan", env=LastSwitch(rested, played, reference=0.8), runs=3, horizon=500)
    np.testing.assert_allclose(run.regret, 0.0, atol=1e-6)
    flat = recharging([[0.4] * 4, [0.6] * 4])
    assert relaxation(flat.rested, flat.played).value == pytest.approx(0.6, abs=1e-9)


def test_an_arm_that_needs_one_rest_alternates():
    rested, played = np.ones((1, 3)), np.zeros((1, 3))
    plan = relaxation(rested, played)
    assert plan.value == pytest.approx(0.5)
    flat = LastSwitch(rested, played, noise="none").tables(1)
    gains, choices = follow_plan(flat, plan, (rested, played), 0, 4, 101, 0)
    assert np.abs(np.diff(choices, axis=1)).min() == 1  # play, idle, play, ...
    assert set(gains.ravel()) == {0.0, 1.0}


def test_states_by_hand():
    rested, played = np.array([[0.1, 0.2, 0.3]]), np.array([[0.05, 0.04, 0.03]])
    env = LastSwitch(rested, played, noise="none").tables(1)
    script = np.array([0, 0, 0, 0, 0, -1, 0, -1, -1, 0, 0, -1, -1, -1, -1, 0])
    out = np.empty((2, script.size))
    run_script(env, script, 0, 0, np.empty(1), np.empty(1, np.int64), np.empty(2, np.uint64), *out)
    expected = [0.3, 0.05, 0.04, 0.03, 0.03, 0, 0.1, 0, 0, 0.2, 0.05, 0, 0, 0, 0, 0.3]
    np.testing.assert_allclose(out[1], expected)


def test_recharging_pays_by_delay():
    env = recharging([[0.1, 0.5, 0.9]], noise="none")
    # p(1) right after a play, p(2) after one rest, p(3) from two rests on
    np.testing.assert_allclose(env.rested, [[0.5, 0.9, 0.9]])
    np.testing.assert_allclose(env.played, [[0.1, 0.1, 0.1]])


@pytest.mark.parametrize(("arms", "n", "samples"), [(1, 1, 2), (2, 3, 1), (3, 4, 2)])
def test_exploration_visits_every_state_as_often_and_in_the_state_it_says(arms, n, samples):
    script, states = exploration_script(arms, n, samples)
    rested = np.arange(1, n + 1) / 10 + np.zeros((arms, 1))
    played = np.arange(1, n + 1) / -100 + np.zeros((arms, 1))
    env = LastSwitch(rested, played, noise="gaussian").tables(1)
    memory, gains = np.empty(arms, np.int64), np.empty(script.size)
    stream = np.empty(2, np.uint64)
    run_script(env, script, 0, 0, np.empty(arms), memory, stream, np.empty(script.size), gains)
    plays = script >= 0
    told = np.where(states > 0, states / 10, states / 100)
    np.testing.assert_allclose(gains[plays], told[plays])
    assert (memory == n).all()
    for arm in range(arms):
        seen, counts = np.unique(states[script == arm], return_counts=True)
        assert set(seen) == {*range(-n, 0), *range(1, n + 1)}
        assert counts.min() >= samples


def test_isotonic_tables_are_monotone_and_weighted():
    sums = np.array([[0.0, 6.0, 1.0, 4.0]])  # means 0, .6, .1, .8 at states -2, -1, 1, 2
    counts = np.array([[5.0, 10.0, 10.0, 5.0]])
    rested, played = isotonic_tables(sums, counts)
    np.testing.assert_allclose(played, [[0.35, 0.0]])
    np.testing.assert_allclose(rested, [[0.35, 0.8]])


def test_online_learner_reaches_the_guarantee_and_improves_with_the_horizon():
    rested, played = monotone(np.random.default_rng(1), 3, 3)
    env = LastSwitch(rested, played)
    share = []
    for horizon in (5000, 40_000):
        run = simulate("cycle_online", env=env, runs=20, horizon=horizon)
        share.append(-run.mean()[-1] / horizon / float(run.extra["relaxation"]))
    assert share[1] > share[0]
    assert share[1] > GUARANTEE


def test_cycle_plan_beats_memoryless_policies_where_rest_matters():
    env = recharging([[0.0, 0.2, 0.9, 0.9], [0.0, 0.9, 0.9, 0.9], [0.1, 0.3, 0.3, 0.3]])
    plan = simulate("cycle_plan", env=env, runs=20, horizon=5000)
    for policy in ("ucb1", "ts_beta", "exp3_ix"):
        assert simulate(policy, env=env, runs=20, horizon=5000).mean()[-1] > plan.mean()[-1] + 300


def test_rotting_regret_is_zero_for_the_greedy_oracle_sequence():
    payoffs = [[0.9, 0.5, 0.1], [0.8, 0.7, 0.0]]
    env = Rotting(payoffs, noise="none")
    reference = env.tables(6).reference
    np.testing.assert_allclose(reference, [0.9, 0.8, 0.7, 0.5, 0.1, 0.1])
    run = simulate("greedy", env=env, runs=1, horizon=6)
    assert run.regret[0, -1] >= -1e-12
    with pytest.raises(ValueError, match="payoffs of arm 1 rise after pull 2"):
        Rotting([[0.5, 0.5, 0.5], [0.4, 0.1, 0.2]]).tables(5)


def test_bad_tables_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        LastSwitch([[0.1, 0.2]], [[0.1]]).tables(5)
    with pytest.raises(ValueError, match="must both be"):
        relaxation([[0.1, 0.2]], [[0.1]])
    with pytest.raises(ValueError, match="non-negative"):
        relaxation([[-0.1]], [[0.1]])
    with pytest.raises(ValueError, match="needs a LastSwitch environment"):
        simulate("cycle_plan", [0.3, 0.4])
