"""Batched policies one by one: probability formulas, reductions to each other, learning."""

from typing import get_args

import numpy as np
import pytest
from scipy.stats import norm

from rlkit.algos.bandits import context_free, simulate
from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.contextual import linear, oracle_policies
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.oracle_policies import (
    OraclePolicy,
    fast_cb,
    square_cb,
    survivors,
)
from rlkit.algos.bandits.contextual.oracles import MeanOracle, RidgeOracle
from rlkit.algos.bandits.contextual.ridge import RidgeModels
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback, Observation, draw, greedy
from rlkit.envs.bandits.contextual import LinearContexts, TabularContexts

LOSSES = np.array([[0.1, 0.2, 0.5]])
ALL = np.ones((1, 3), bool)


def test_gap_weighting_reference_values():
    p = square_cb(1 - LOSSES, ALL, 10.0)
    np.testing.assert_allclose(p, [[0.607143, 0.25, 0.142857]], atol=5e-7)
    p = fast_cb(1 - LOSSES, ALL, 10.0)
    np.testing.assert_allclose(p, [[0.899821, 0.076923, 0.023256]], atol=5e-7)


@pytest.mark.parametrize("weights", [square_cb, fast_cb])
def test_gap_weighting_limits_ties_and_masks(weights):
    rng = np.random.default_rng(0)
    rewards, mask = rng.random((200, 6)), rng.random((200, 6)) < 0.6
    mask[:, 2] = True
    np.testing.assert_allclose(weights(rewards, mask, 0.0), mask / mask.sum(1, keepdims=True))
    np.testing.assert_allclose(weights(rewards, mask, 1e15), greedy(rewards, mask), atol=1e-9)
    np.testing.assert_allclose(weights(np.full((1, 3), 0.3), ALL, 50.0), 1 / 3)
    for gamma in (1.0, 30.0, 1000.0):
        p = weights(rewards, mask, gamma)
        count, top = mask.sum(1), np.where(mask, rewards, -1).max(1)
        np.testing.assert_allclose(p.sum(1), 1.0)
        assert (p.max(1) >= 1 / count - 1e-12).all()  # the best arm gets 1/K at least
        if weights is square_cb:
            inequality = (p * (top[:, None] - rewards) * mask).sum(1)
            assert (inequality <= (count - 1) / gamma + 1e-12).all()
    # One arm tied with b: it gets 1/K as the other arm and the rest as b, each half of the time.
    tied = np.array([[0.5, 0.5, 0.2]])
    p = square_cb(tied, ALL, 10.0)
    assert p[0, 0] == pytest.approx(0.5 * (1 / 3 + 1 - 1 / 3 - p[0, 2]))
    assert p[0, 0] == p[0, 1]
    # A constant added to all rewards changes nothing for gaps.
    np.testing.assert_allclose(square_cb(rewards + 3.0, mask, 9.0), square_cb(rewards, mask, 9.0))


@pytest.mark.parametrize(("rule", "gamma"), [("square_cb", 10 * 4**0.5), ("fast_cb", 30.0)])
def test_gap_weighting_starts_uniform_and_counts_in_learn_only(rule, gamma):
    policy = OraclePolicy(NetworkOracle(3, 2), oracle_policies.Config(rule))
    obs = Observation(np.random.default_rng(0).standard_normal((4, 2)))
    assert np.ptp(policy.oracle.predict(obs), axis=1).min() > 1e-3  # its first weights differ
    for _ in range(3):
        policy.act(obs, np.random.default_rng(0))
    np.testing.assert_allclose(policy.dist(obs), 1 / 3)
    policy.learn(Feedback(np.zeros(4, int), np.zeros(4), obs.context))
    weights = square_cb if rule == "square_cb" else fast_cb  # 10 K is the least gamma of fast_cb
    expected = weights(policy.oracle.predict(obs), np.ones((4, 3), bool), gamma)
    np.testing.assert_allclose(policy.dist(obs), expected)
    assert np.ptp(policy.dist(obs), axis=1).min() > 1e-3


def test_first_order_weights_stop_exploring_at_a_perfect_arm():
    p = fast_cb(np.array([[1.0, 0.9, 0.2]]), ALL, 10.0)
    assert p[0, 0] > 1 - 1e-6
    assert square_cb(np.array([[1.0, 0.9, 0.2]]), ALL, 10.0)[0, 0] < 0.7


def test_survivors_count_properly():
    center, width = np.array([[0.5, 0.49, 0.3, 0.9]]), np.array([[0.02, 0.02, 0.02, 0.01]])
    mask = np.array([[True, True, True, False]])
    alive = survivors(center, width, mask)
    np.testing.assert_array_equal(alive, [[True, True, False, False]])
    p = square_cb(center, alive, 1e-9)
    np.testing.assert_allclose(p, [[0.5, 0.5, 0, 0]], atol=1e-6)


def test_square_cb_regret_with_the_true_function_is_at_most_arms_over_gamma():
    rng = np.random.default_rng(1)
    rewards = rng.random((500, 5))
    for gamma in (5.0, 100.0):
        p = square_cb(rewards, np.ones_like(rewards, bool), gamma)
        assert ((p * (rewards.max(1, keepdims=True) - rewards)).sum(1) <= 5 / gamma).all()


def test_ridge_models_equal_the_direct_solve_however_rows_arrive():
    rng = np.random.default_rng(0)
    x, r, which = rng.standard_normal((900, 5)), rng.standard_normal(900), rng.integers(2, size=900)
    whole, single = RidgeModels(2, 5, 0.3), RidgeModels(2, 5, 0.3)
    whole.add_rows(x, which, r)
    for i in range(900):
        single.add_rows(x[i : i + 1], which[i : i + 1], r[i : i + 1])
    for m in range(2):
        own = which == m
        v = 0.3 * np.eye(5) + x[own].T @ x[own]
        theta = np.linalg.solve(v, x[own].T @ r[own])
        for models in (whole, single):
            np.testing.assert_allclose(models.theta[m], theta, atol=1e-9)
            np.testing.assert_allclose(models.inverse[m], np.linalg.inv(v), atol=1e-9)
            assert models.log_det[m] == pytest.approx(np.linalg.slogdet(v / 0.3)[1], abs=1e-9)


@pytest.mark.parametrize("disjoint", [False, True])
def test_optimistic_reg_cb_on_ridge_is_linucb(disjoint):
    rng = np.random.default_rng(2)
    ucb = LinearPolicy(4, 3, linear.Config("linucb", disjoint, alpha=0.7))
    oracle = RidgeOracle(4, 3, disjoint=disjoint)
    optimist = OraclePolicy(oracle, oracle_policies.Config("reg_cb", radius=0.7))
    for _ in range(30):
        x = rng.standard_normal((6, 3) if disjoint else (6, 4, 3))
        obs = Observation(x)
        np.testing.assert_array_equal(ucb.dist(obs), optimist.dist(obs))
        f = Feedback(ucb.act(obs, rng).action, rng.random(6), x)
        ucb.learn(f)
        optimist.learn(f)


def test_linear_thompson_draws_follow_the_posterior():
    rng = np.random.default_rng(3)
    for disjoint in (False, True):
        policy = LinearPolicy(2, 2, linear.Config("lints", disjoint, v=0.6))
        x = rng.standard_normal((40, 2) if disjoint else (40, 2, 2))
        policy.learn(Feedback(rng.integers(2, size=40), rng.random(40), x))
        look = x[:1]
        share = policy.act(Observation(np.repeat(look, 40_000, 0)), rng).action.mean()
        if disjoint:
            delta = look[0] @ (policy.models.theta[1] - policy.models.theta[0])
            variance = look[0] @ policy.models.inverse.sum(0) @ look[0]
        else:
            difference = look[0, 1] - look[0, 0]
            delta = difference @ policy.models.theta[0]
            variance = difference @ policy.models.inverse[0] @ difference
        expected = norm.cdf(delta / (0.6 * np.sqrt(variance)))
        assert share == pytest.approx(expected, abs=0.012)


def test_oful_radius_is_the_determinant_formula():
    rng = np.random.default_rng(4)
    policy = LinearPolicy(3, 4, linear.Config("oful", ridge=0.5, noise_bound=0.3, norm_bound=2.0))
    for _ in range(5):
        obs = Observation(rng.standard_normal((7, 3, 4)))
        policy.learn(Feedback(policy.act(obs, rng).action, rng.random(7), obs.context))
    v = policy.models.precision[0]
    det = np.linalg.det(v)
    direct = 0.3 * np.sqrt(2 * np.log(det**0.5 * 0.5 ** (-4 / 2) / 0.01)) + np.sqrt(0.5) * 2.0
    assert policy.radius()[0] == pytest.approx(direct, rel=1e-9)


class ManyTables:
    """S independent tables of 10 contexts x 5 arms, one row a round of each."""

    arms = 5

    def __init__(self, tables: int) -> None:
        self.means = np.random.default_rng(0).random((tables, 10, 5))
        self.rows = np.arange(tables)

    def draw(self, t, size, rng):
        which = rng.integers(10, size=size)
        one_hot = np.zeros((size, 10 * size))
        one_hot[self.rows, 10 * self.rows + which] = 1.0
        return Observation(one_hot), self.means[self.rows, which]

    def sample(self, means, rng):
        return (rng.random(means.shape) < means).astype(float)


# Cumulative regret of 20 000 rounds with means U[0, 1] and a smoothed-mean oracle: the span of four
# reference runs. Single instances scatter beyond it (FastCB: 40 to 1100), so medians are compared.
TABULAR = {"eps_greedy": (768, 903), "square_cb": (145, 303), "fast_cb": (88, 557)}


@pytest.mark.parametrize("rule", TABULAR)
def test_tabular_reference_regret(rule):
    low, high = TABULAR[rule]
    tables, rounds = 8, 20_000
    # gamma_t = 10 sqrt(t) of each table, n = 8 t rows having been learned in all.
    eps = 0.1 if rule == "eps_greedy" else 0.0
    config = oracle_policies.Config(rule, gamma=10.0 / np.sqrt(tables), eps=eps)
    policy = OraclePolicy(MeanOracle(10 * tables, 5), config)
    log = play(policy, ManyTables(tables), rounds, batch=tables)
    assert low <= np.median(log.regret.reshape(rounds, tables).sum(0)) <= high


@pytest.mark.parametrize("rule", ["ucb", "ts_beta", "ts_gauss", "exp3_ix", "eps_greedy"])
def test_context_free_rules_learn_under_masks_batches_and_delay(rule):
    means = np.tile([0.2, 0.5, 0.9], (1, 1))
    env = TabularContexts(means, availability=0.8)
    policy = ContextFreePolicy(3, context_free.Config(rule))
    log = play(policy, env, 300, batch=10, delay=lambda rng, n: rng.integers(0, 6, size=n))
    early, late = log.regret[:500].mean(), log.regret[-500:].mean()
    assert late < 0.6 * early
    if rule not in ("ts_beta", "ts_gauss"):
        assert (log.table.prob > 0).all()


def test_context_free_matches_its_kernel_in_law():
    means = [0.6, 0.5, 0.3]
    env = TabularContexts([means])
    for rule, name in (("ucb", "ucb1"), ("ts_beta", "ts_beta")):
        mine = [
            play(ContextFreePolicy(3, context_free.Config(rule)), env, 400, seed=s).regret.sum()
            for s in range(15)
        ]
        kernel = simulate(name, means, runs=500, horizon=400)
        error = np.hypot(np.std(mine) / np.sqrt(15), kernel.standard_error()[-1])
        assert abs(np.mean(mine) - kernel.mean()[-1]) < 4 * error


def test_reward_shift_changes_no_choice_of_gap_rules():
    rng = np.random.default_rng(0)
    for rule in ("ucb", "eps_greedy"):
        plain, shifted = (ContextFreePolicy(4, context_free.Config(rule)) for _ in range(2))
        action, reward = np.tile(np.arange(4), 10), rng.random(40)
        plain.learn(Feedback(action, reward))
        shifted.learn(Feedback(action, reward + 7.0))
        obs = Observation(size=3)
        np.testing.assert_allclose(plain.dist(obs), shifted.dist(obs))


def test_arms_can_be_added_and_come_first():
    policy = ContextFreePolicy(2)
    policy.learn(Feedback(np.array([0, 1]), np.array([0.4, 0.6])))
    policy.add_arms(1)
    np.testing.assert_array_equal(policy.dist(Observation(size=1)), [[0, 0, 1]])


@pytest.mark.parametrize(
    ("rule", "options"), [("linucb", {}), ("lints", {}), ("oful", {"noise_bound": 0.1})]
)
@pytest.mark.parametrize("disjoint", [False, True])
def test_linear_policies_learn(rule, options, disjoint):
    rng = np.random.default_rng(0)
    theta = rng.standard_normal((4, 3) if disjoint else 3)
    env = LinearContexts(theta, size_arms=0 if disjoint else 4)
    policy = LinearPolicy(4, 3, linear.Config(rule, disjoint, **options))
    regret = play(policy, env, 400, batch=3).regret
    assert regret[-300:].mean() < 0.15 * regret[:10].mean() + 0.01


@pytest.mark.parametrize("rule", get_args(oracle_policies.IntervalRule))
def test_interval_rules_learn(rule):
    env = TabularContexts(np.random.default_rng(3).random((4, 4)))
    config = oracle_policies.Config(rule, radius=0.6, gamma=5.0)
    regret = play(OraclePolicy(MeanOracle(4, 4), config), env, 1500).regret
    assert regret[-400:].mean() < 0.35 * regret[:100].mean()


def test_ada_cb_remembers_the_share_of_contested_rows():
    policy = OraclePolicy(MeanOracle(1, 2), oracle_policies.Config("ada_cb", radius=0.3))
    env = TabularContexts([[0.9, 0.1]], noise="none")
    play(policy, env, 400)
    assert policy.share < 0.05
    assert policy.epoch_start == 256
    assert policy.gamma() == pytest.approx(10 * 400**0.5)


def test_rules_without_intervals_are_refused():
    with pytest.raises(ValueError, match="needs an oracle with deviations"):
        OraclePolicy(NetworkOracle(2, 2), oracle_policies.Config("reg_cb"))
    with pytest.raises(ValueError, match="without widths=True"):
        NetworkOracle(2, 2).deviation(Observation(np.zeros((1, 2))))
    with pytest.raises(ValueError, match="unknown rule 'squarecb'; did you mean 'square_cb'"):
        OraclePolicy(MeanOracle(2, 2), oracle_policies.Config("squarecb"))
    with pytest.raises(ValueError, match="unknown rule 'ucb1'; did you mean 'ucb'"):
        ContextFreePolicy(2, context_free.Config("ucb1"))
    with pytest.raises(ValueError, match="one feature vector an arm"):
        LinearPolicy(2, 2, linear.Config(per_arm=False))
    with pytest.raises(ValueError, match="the policy has 2 arms, the environment 3"):
        play(ContextFreePolicy(2), TabularContexts([[0.1, 0.2, 0.3]]), 5)
    with pytest.raises(ValueError, match="learns from the probabilities"):
        ContextFreePolicy(2, context_free.Config("exp3_ix")).learn(
            Feedback(np.array([0]), np.array([1.0]))
        )


def test_draw_never_takes_an_arm_of_probability_zero():
    p = np.tile([0.0, 0.3, 0.0, 0.7, 0.0], (20_000, 1))
    decision = draw(p, np.random.default_rng(0))
    assert set(np.unique(decision.action)) == {1, 3}
    assert (decision.action == 1).mean() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(decision.prob, p[0, decision.action])


def test_the_log_keeps_decision_order_and_arrival_times():
    env = TabularContexts([[0.2, 0.8]])
    log = play(ContextFreePolicy(2), env, 6, batch=2, delay=lambda rng, n: rng.integers(0, 4, n))
    np.testing.assert_array_equal(log.table.t, np.repeat(np.arange(6), 2))
    assert (log.table.arrival_t >= log.table.t).all()
    with pytest.raises(ValueError, match="delay must give 2"):
        play(ContextFreePolicy(2), env, 6, batch=2, delay=lambda rng, n: np.full(n, -1))
