"""The contract of the batched interface: every batched policy passes every check here.

A new policy is one row in POLICIES.
"""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from rlkit.algos.bandits import context_free
from rlkit.algos.bandits.context_free import ContextFreePolicy
from rlkit.algos.bandits.contextual import (
    ee_net,
    linear,
    multitask,
    neural_gap,
    neural_ucb,
    oracle_policies,
)
from rlkit.algos.bandits.contextual.ee_net import EENet
from rlkit.algos.bandits.contextual.linear import LinearPolicy
from rlkit.algos.bandits.contextual.multitask import GFUCB
from rlkit.algos.bandits.contextual.network_oracle import NetworkOracle
from rlkit.algos.bandits.contextual.neural_gap import NeuralGapPolicy
from rlkit.algos.bandits.contextual.neural_ucb import NeuralPolicy
from rlkit.algos.bandits.contextual.oracle_policies import OraclePolicy
from rlkit.algos.bandits.contextual.oracles import MeanOracle, RidgeOracle, TreesOracle
from rlkit.algos.bandits.driver import play
from rlkit.algos.bandits.interface import Feedback, Observation, sampled_dist

ARMS, DIM = 4, 3


def context_free_policy(rule: str) -> ContextFreePolicy:
    return ContextFreePolicy(ARMS, context_free.Config(rule))


def linear_policy(**options: Any) -> LinearPolicy:
    return LinearPolicy(ARMS, DIM, linear.Config(**options))


def oracle_policy(rule: str, oracle: Any) -> OraclePolicy:
    return OraclePolicy(oracle, oracle_policies.Config(rule, eps=0.1 if "eps" in rule else 0.0))


def neural(rule: str, per_arm: bool = False) -> NeuralPolicy:
    return NeuralPolicy(ARMS, DIM, neural_ucb.Config(rule, hidden=(8,), steps=2, per_arm=per_arm))


def neural_gap_policy(rule: str) -> NeuralGapPolicy:
    return NeuralGapPolicy(ARMS, DIM, neural_gap.Config(rule, hidden=(8,), replays=1))


def ee_net_policy(decision: str, per_arm: bool = False) -> EENet:
    config = ee_net.Config(
        decision, (8,), (4,), hidden=(8,), pool=5, steps=2, decider_after=60, per_arm=per_arm
    )
    return EENet(ARMS, DIM, config)


# name -> (factory, kind of context: none, common [B, d], per arm [B, K, d] or one-hot [B, d])
POLICIES: dict[str, tuple[Callable[[], Any], str]] = {
    **{
        f"context_free.{rule}": (lambda rule=rule: context_free_policy(rule), "none")
        for rule in get_args(context_free.Rule)
    },
    **{
        f"linear.{rule}": (lambda rule=rule: linear_policy(rule=rule), "per_arm")
        for rule in get_args(linear.Rule)
    },
    **{
        f"linear.{rule}.disjoint": (
            lambda rule=rule: linear_policy(rule=rule, disjoint=True),
            "common",
        )
        for rule in get_args(linear.Rule)
    },
    "linear.linucb.disjoint.per_arm": (
        lambda: linear_policy(disjoint=True, per_arm=True),
        "per_arm",
    ),
    **{
        f"oracle.{rule}.ridge": (
            lambda rule=rule: oracle_policy(rule, RidgeOracle(ARMS, DIM)),
            "common",
        )
        for rule in get_args(oracle_policies.Rule)
    },
    "oracle.square_cb.shared": (
        lambda: oracle_policy("square_cb", RidgeOracle(ARMS, DIM, disjoint=False)),
        "per_arm",
    ),
    "oracle.fast_cb.means": (lambda: oracle_policy("fast_cb", MeanOracle(DIM, ARMS)), "one_hot"),
    "oracle.square_cb.trees": (
        lambda: oracle_policy("square_cb", TreesOracle(ARMS, DIM, first_fit=20, max_iter=5)),
        "common",
    ),
    "oracle.fast_cb.trees": (
        lambda: oracle_policy("fast_cb", TreesOracle(ARMS, DIM, first_fit=20, max_iter=5)),
        "common",
    ),
    "oracle.fast_cb.network": (
        lambda: oracle_policy("fast_cb", NetworkOracle(ARMS, DIM, hidden=(8,))),
        "common",
    ),
    "oracle.reg_cb.trees": (
        lambda: oracle_policy("reg_cb", TreesOracle(ARMS, DIM, first_fit=20, max_iter=5)),
        "common",
    ),
    "oracle.reg_cb_elim.network": (
        lambda: oracle_policy("reg_cb_elim", NetworkOracle(ARMS, DIM, hidden=(8,), widths=True)),
        "common",
    ),
    "neural.ucb": (lambda: neural("ucb"), "common"),
    "neural.ts.per_arm": (lambda: neural("ts", per_arm=True), "per_arm"),
    "neural.square": (lambda: neural_gap_policy("square"), "common"),
    "neural.fast": (lambda: neural_gap_policy("fast"), "common"),
    "neural.ee_net": (lambda: ee_net_policy("linear"), "common"),
    "neural.ee_net.net.per_arm": (lambda: ee_net_policy("net", per_arm=True), "per_arm"),
    "multitask.linear": (lambda: GFUCB(ARMS, DIM, multitask.Config(hidden=None)), "per_arm"),
    "multitask.network": (
        lambda: GFUCB(ARMS, DIM, multitask.Config(hidden=(8,), width=3, refit=1, steps=2)),
        "per_arm",
    ),
    "oracle.square_cb.network": (
        lambda: oracle_policy("square_cb", NetworkOracle(ARMS, DIM, hidden=(8,))),
        "common",
    ),
}

# The arms' order enters what they learn (a categorical's bins, first weights of a net's blocks), so
# relabelling is not exact.
NOT_RELABELLED = {
    "oracle.square_cb.trees",
    "oracle.square_cb.network",
    "oracle.fast_cb.trees",
    "oracle.fast_cb.network",
    "oracle.reg_cb.trees",
    "oracle.reg_cb_elim.network",
    "neural.ucb",
    "neural.square",
    "neural.fast",
    "neural.ee_net",
}


def observe(kind: str, size: int, rng: np.random.Generator, masked: bool = True) -> Observation:
    mask = None
    if masked:
        mask = rng.random((size, ARMS)) < 0.6
        mask[np.arange(size), rng.integers(ARMS, size=size)] = True
    context = {
        "none": lambda: None,
        "common": lambda: rng.standard_normal((size, DIM)),
        "per_arm": lambda: rng.standard_normal((size, ARMS, DIM)),
        "one_hot": lambda: np.eye(DIM)[rng.integers(DIM, size=size)],
    }[kind]()
    return Observation(context, mask, size)


def feedback(kind: str, size: int, rng: np.random.Generator) -> Feedback:
    obs = observe(kind, size, rng)
    assert obs.mask is not None
    action = np.array([rng.choice(np.flatnonzero(row)) for row in obs.mask])
    prob = 1.0 / obs.mask.sum(1)
    reward = (rng.random(size) < 0.2 + 0.2 * action).astype(float)
    return Feedback(action, reward, obs.context, obs.mask, prob)


class World:
    """A driver environment for any kind of context."""

    arms = ARMS

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def draw(self, t, size, rng):
        obs = observe(self.kind, size, rng)
        return obs, np.tile([0.2, 0.4, 0.6, 0.8], (size, 1))

    def sample(self, means, rng):
        return (rng.random(means.shape) < means).astype(float)


@pytest.fixture(params=POLICIES)
def case(request):
    factory, kind = POLICIES[request.param]
    return request.param, factory, kind


def trained(factory, kind, seed=0, rows=120):
    policy = factory()
    rng = np.random.default_rng(seed)
    for _ in range(3):
        policy.learn(feedback(kind, rows // 3, rng))
    return policy


def same_state(a, b) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


def test_probabilities_sum_to_one_and_respect_the_mask(case):
    _, factory, kind = case
    rng = np.random.default_rng(1)
    for policy in (factory(), trained(factory, kind)):
        obs = observe(kind, 50, rng)
        p = policy.dist(obs)
        if p is None:
            p = sampled_dist(policy, obs.rows(slice(0, 5)), rng, draws=20)
            obs = obs.rows(slice(0, 5))
        assert p.shape == (len(obs), ARMS)
        np.testing.assert_allclose(p.sum(1), 1.0, atol=1e-12)
        assert (p >= 0).all()
        assert not p[~obs.mask].any()
        full = policy.dist(observe(kind, 5, rng, masked=False))
        assert full is None or full.shape == (5, ARMS)


def test_actions_follow_the_probabilities_they_report(case):
    _, factory, kind = case
    policy, rng = trained(factory, kind), np.random.default_rng(2)
    obs = observe(kind, 4, rng)
    p = policy.dist(obs)
    decision = policy.act(obs, rng)
    assert obs.mask[np.arange(4), decision.action].all()
    if p is None:
        assert decision.prob is None
        return
    np.testing.assert_allclose(decision.prob, p[np.arange(4), decision.action])
    np.testing.assert_allclose(sampled_dist(policy, obs, rng, draws=800), p, atol=0.08)


def test_acting_changes_nothing_and_uses_only_its_generator(case):
    _, factory, kind = case
    policy = trained(factory, kind)
    before = policy.state_dict()
    obs = observe(kind, 20, np.random.default_rng(3))
    np.random.seed(5)  # noqa: NPY002
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    a = policy.act(obs, np.random.default_rng(7)).action
    b = policy.act(obs, np.random.default_rng(7)).action
    np.testing.assert_array_equal(a, b)
    assert same_state(before, policy.state_dict())
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_saved_and_loaded_policies_go_on_alike(case, tmp_path):
    _, factory, kind = case
    policy, other = trained(factory, kind), factory()
    np.savez(tmp_path / "policy.npz", **policy.state_dict())  # plain arrays, no pickle
    with np.load(tmp_path / "policy.npz", allow_pickle=False) as state:
        other.load_state_dict(dict(state))
    extra = feedback(kind, 40, np.random.default_rng(4))
    obs = observe(kind, 30, np.random.default_rng(5))
    for _ in range(2):
        a, b = (p.act(obs, np.random.default_rng(6)).action for p in (policy, other))
        np.testing.assert_array_equal(a, b)
        policy.learn(extra)
        other.learn(extra)
    assert same_state(policy.state_dict(), other.state_dict())


def test_learning_changes_what_is_learned(case):
    name, factory, kind = case
    if name.endswith("uniform"):
        return
    policy = trained(factory, kind)
    before = policy.state_dict()
    policy.learn(feedback(kind, 30, np.random.default_rng(9)))
    assert not same_state(before, policy.state_dict())


def test_relabelling_arms_relabels_the_probabilities(case):
    name, factory, kind = case
    if name in NOT_RELABELLED:
        return
    order = np.array([2, 0, 3, 1])  # new arm j is old arm order[j]
    new = np.argsort(order)
    plain, moved = factory(), factory()
    rng = np.random.default_rng(8)

    def relabel(array):
        return None if array is None else array[:, order]

    def relabel_context(context):
        return relabel(context) if kind == "per_arm" else context

    for _ in range(3):
        f = feedback(kind, 40, rng)
        plain.learn(f)
        moved.learn(
            Feedback(new[f.action], f.reward, relabel_context(f.context), relabel(f.mask), f.prob)
        )
    obs = observe(kind, 12, rng)
    other = Observation(relabel_context(obs.context), relabel(obs.mask), len(obs))
    p, q = plain.dist(obs), moved.dist(other)
    if p is None:
        p, q = (sampled_dist(x, o, rng, 600) for x, o in ((plain, obs), (moved, other)))
        np.testing.assert_allclose(p[:, order], q, atol=0.13)
    else:
        np.testing.assert_allclose(p[:, order], q, atol=1e-9)


def test_delay_zero_equals_no_buffer_at_all(case):
    _, factory, kind = case
    env, rounds, batch = World(kind), 12, 5
    log = play(factory(), env, rounds, seed=3, batch=batch, delay=0)
    policy = factory()
    world, own, _ = (np.random.default_rng(s) for s in np.random.SeedSequence(3).spawn(3))
    actions = []
    for t in range(rounds):
        obs, means = env.draw(t, batch, world)
        decision = policy.act(obs, own)
        reward = env.sample(means, world)[np.arange(batch), decision.action]
        policy.learn(Feedback(decision.action, reward, obs.context, obs.mask, decision.prob))
        actions.append(decision.action)
    np.testing.assert_array_equal(log.table.action, np.concatenate(actions))


def test_delayed_feedback_is_learned_on_arrival(case):
    name, factory, kind = case
    if name.startswith("context_free.exp3") or name.endswith("uniform"):
        return
    policy = factory()
    before = policy.state_dict()
    play(policy, World(kind), 5, batch=4, delay=5)
    assert same_state(before, policy.state_dict())  # nothing has come back yet
    play(policy, World(kind), 6, batch=4, delay=5)
    assert not same_state(before, policy.state_dict())


def test_bad_rows_are_named(case):
    name, factory, kind = case
    policy, rng = factory(), np.random.default_rng(0)
    obs = observe(kind, 6, rng)
    empty = obs.mask.copy()
    empty[4] = False
    with pytest.raises(ValueError, match="mask of row 4 is empty"):
        policy.act(Observation(obs.context, empty, 6), rng)
    good = feedback(kind, 6, rng)

    def change(column, row, value):
        array = getattr(good, column).copy()
        array[row] = value
        columns = ("action", "reward", "context", "mask", "prob")
        return Feedback(**{c: array if c == column else getattr(good, c) for c in columns})

    for column, row, value, message in (
        ("action", 2, ARMS, f"action of row 2 is {ARMS}"),
        ("action", 3, -1, "action of row 3 is -1"),
        ("reward", 1, np.nan, "reward of row 1"),
        ("prob", 5, 0.0, "prob of row 5 is 0"),
        ("prob", 0, 1.5, "prob of row 0 is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            policy.learn(change(column, row, value))
    before = policy.state_dict()
    empty = good.mask.copy()
    empty[4] = False
    with pytest.raises(ValueError, match="mask of row 4 is empty"):
        policy.learn(change("mask", np.arange(6), empty))
    if name == "context_free.exp3_ix":
        with pytest.raises(ValueError, match="prob of row 2 is missing"):
            policy.learn(change("prob", 2, np.nan))
    hidden = change("mask", np.arange(6), np.eye(ARMS, dtype=bool)[(good.action + 1) % ARMS])
    with pytest.raises(ValueError, match="which its mask rules out"):
        policy.learn(hidden)
    if kind != "none":
        broken = obs.context.copy()
        broken[3] = np.nan
        with pytest.raises(ValueError, match="context of row 3"):
            policy.act(Observation(broken, obs.mask), rng)
        with pytest.raises(ValueError, match="context has shape"):
            policy.act(Observation(obs.context[..., :1], obs.mask), rng)
        with pytest.raises(ValueError, match="context of row 5"):
            policy.learn(change("context", 5, np.nan))
        with pytest.raises(ValueError, match="needs a context"):
            policy.learn(Feedback(good.action, good.reward, None, good.mask, good.prob))
    assert same_state(before, policy.state_dict())  # nothing was learned from any of them
