"""A constant added to all rewards changes nothing for rules that look at gaps.

Left out are rules that are no such: those for rewards in [0, 1] (beta Thompson, KL-UCB, IMED, Exp3,
FastCB), and those that shrink toward zero (Gaussian Thompson's prior, networks' first weights). A
ridge shrinks too; without it, and with a constant among the features, linear rules are exact.
"""

from typing import get_args

import numpy as np
import pytest

from rlkit.algos.bandits import context_free, simulate
from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.contextual import linear, oracle_policies
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.oracle_policies import OraclePolicy
from rlkit.algos.bandits.contextual.oracles import MeanOracle, RidgeOracle, TreesOracle
from rlkit.algos.bandits.interface import Feedback, Observation
from rlkit.envs.bandits.armed import Armed

ARMS, DIM, SHIFT = 4, 3, 8.0
NO_RIDGE = 1e-9
GAP_RULES = [rule for rule in get_args(oracle_policies.Rule) if rule != "fast_cb"]


def gap_rule(rule, oracle):
    eps = 0.1 if rule == "eps_greedy" else 0.0
    return OraclePolicy(oracle, oracle_policies.Config(rule, radius=0.5, eps=eps))


def linear_rule(rule, disjoint):
    return LinearPolicy(ARMS, DIM, linear.Config(rule, disjoint, ridge=NO_RIDGE))


# name -> (factory, contexts): rows [n, d] with a constant, one of them an arm [n, K, d], or one-hot
POLICIES = {
    **{
        f"context_free.{rule}": (
            lambda rule=rule: ContextFreePolicy(ARMS, context_free.Config(rule)),
            "common",
        )
        for rule in ("uniform", "eps_greedy", "ucb")
    },
    **{
        f"linear.{rule}.{'disjoint' if disjoint else 'shared'}": (
            lambda rule=rule, disjoint=disjoint: linear_rule(rule, disjoint),
            "common" if disjoint else "per_arm",
        )
        for rule in get_args(linear.Rule)
        for disjoint in (False, True)
    },
    **{
        f"oracle.{rule}.ridge": (
            lambda rule=rule: gap_rule(rule, RidgeOracle(ARMS, DIM, ridge=NO_RIDGE)),
            "common",
        )
        for rule in GAP_RULES
    },
    **{
        f"oracle.{rule}.means": (
            lambda rule=rule: gap_rule(rule, MeanOracle(DIM, ARMS, weight=NO_RIDGE)),
            "one_hot",
        )
        for rule in GAP_RULES
    },
    **{
        f"oracle.{rule}.trees": (
            lambda rule=rule: gap_rule(rule, TreesOracle(ARMS, DIM, first_fit=20, max_iter=5)),
            "common",
        )
        for rule in ("square_cb", "reg_cb")
    },
}


def contexts(kind, size, rng):
    if kind == "one_hot":
        return np.eye(DIM)[rng.integers(DIM, size=size)]
    x = rng.standard_normal((size, ARMS, DIM) if kind == "per_arm" else (size, DIM))
    x[..., -1] = 1.0
    return x


@pytest.mark.parametrize("name", POLICIES)
def test_batched_gap_rules_ignore_a_shift(name):
    factory, kind = POLICIES[name]
    rng, plain, shifted = np.random.default_rng(0), factory(), factory()
    for _ in range(4):
        x, action = contexts(kind, 60, rng), rng.integers(ARMS, size=60)
        reward = 0.3 * action + 0.2 * rng.standard_normal(60)
        plain.learn(Feedback(action, reward, x))
        shifted.learn(Feedback(action, reward + SHIFT, x))
    obs = Observation(contexts(kind, 200, rng))
    p, q = plain.dist(obs), shifted.dist(obs)
    if p is None:  # linear Thompson: the same draws choose the same arms
        p, q = (policy.act(obs, np.random.default_rng(1)).action for policy in (plain, shifted))
        np.testing.assert_array_equal(p, q)
        assert len(np.unique(p)) > 1
        return
    np.testing.assert_allclose(p, q, atol=1e-4)
    if not name.endswith("uniform"):
        assert np.abs(p - 1 / ARMS).max() > 0.05


@pytest.mark.parametrize(
    "policy",
    [
        "random",
        "greedy",
        "eps_greedy",
        "ucb1",
        "alpha_ucb",
        "moss",
        "moss_anytime",
        "successive_elimination",
        "tallying_elimination",
        "raw_ucb",
        "fewa",
    ],
)
def test_kernel_gap_rules_ignore_a_shift(policy):
    means = np.array([0.5, 0.25, -0.125])
    plain, shifted = (
        simulate(policy, env=Armed(means + c, "gaussian", 0.3), runs=5, horizon=800)
        for c in (0.0, SHIFT)
    )
    np.testing.assert_array_equal(plain.pulls, shifted.pulls)
    np.testing.assert_allclose(plain.regret, shifted.regret, atol=1e-9)
