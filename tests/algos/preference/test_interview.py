"""Rounds of questions about a growing replay."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.algos.pebble import Config
from rlkit.algos.preference.feedback import draw_pairs
from rlkit.algos.preference.interview import Interview
from rlkit.algos.preference.models.reward_model import OwnInit, RewardNet, member_probabilities
from rlkit.algos.preference.selectors import disagreement
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.envs.tabular.garnet import garnet
from rlkit.theory.planning.solvers import solve


def filled(seeds=(0, 3), steps=80) -> Stock:
    spec = Spec(2, 1, seeds, torch.float64)
    replay = Replay(spec, 200)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    for t in range(steps):
        s, a, s2 = (np.stack([r.normal(size=(1, n)) for r in rngs]) for n in (2, 1, 2))
        last = np.full((len(seeds), 1), t % 20 == 19)
        replay.add(s, np.tanh(a), s[..., 0] + 2, last & (t % 40 == 19), last & (t % 40 == 39), s2)
    return Stock(spec, Streams(seeds), Transforms(), replay=replay)


def interview(stock: Stock, **config) -> tuple[Interview, RewardNet]:
    c = Config(**{"budget": 10, "per_round": 4, "length": 5} | config)
    assert stock.replay is not None
    net = RewardNet(OwnInit(stock.spec, "test"), (8,), 3)
    return Interview(stock, stock.replay, c), net


def test_rounds_end_with_the_budget() -> None:
    ask, net = interview(filled())
    sizes = []
    while ask.left:
        sizes.append(ask.ask(net).y.shape[1])
    assert sizes == [4, 8, 10]  # the last round is cut to what is left
    assert ask.rounds == 3


def test_labels_are_the_true_sums() -> None:
    stock = filled()
    ask, net = interview(stock)
    pairs = ask.ask(net)
    sums = ((pairs.s[..., 0] + 2) * pairs.mask).sum(-1)
    assert torch.equal(pairs.y, (sums[..., 1] > sums[..., 0]).double())
    assert (pairs.w == 1).all()


def test_the_first_round_is_by_chance_and_later_ones_by_the_selector() -> None:
    stock = filled()
    ask, net = interview(stock, selector="disagreement")
    pools = [draw_pairs(stock.replay, stock.streams, 5, 40, k) for k in (0, 1)]
    first = ask.ask(net)
    assert torch.equal(first.s, pools[0].s[:, :4])
    second = ask.ask(net)
    assert torch.equal(second.s[:, :4], first.s)
    score = disagreement(
        member_probabilities(net, *(getattr(pools[1], n) for n in ("s", "a", "mask")))
    )
    best = score.topk(4).indices
    lane = torch.arange(2).unsqueeze(-1)
    assert torch.equal(second.s[:, 4:], pools[1].s[lane, best])


def test_a_lane_is_asked_the_same_in_any_company() -> None:
    asked = []
    for seeds in ((0, 3), (3,)):
        ask, net = interview(filled(seeds), teacher="noisy+mistaken:0.3")
        ask.ask(net)
        asked.append(ask.ask(net))
    for together, alone in zip(*asked, strict=True):
        torch.testing.assert_close(together[1:], alone)


def test_skipped_pairs_are_charged_and_weigh_nothing() -> None:
    ask, net = interview(filled(), teacher="skipping:1.1", budget=40, per_round=40)
    pairs = ask.ask(net)
    assert ask.left == 0
    assert 0 < int(pairs.w.sum()) < pairs.w.numel()


def test_state_continues_bitwise() -> None:
    stock = filled()
    ask, net = interview(stock)
    other, _ = interview(stock)
    ask.ask(net)
    other.load_state_dict({name: x.clone() for name, x in ask.state_dict().items()})
    for ours, theirs in zip(ask.ask(net), other.ask(net), strict=True):
        assert torch.equal(ours, theirs)
    fresh, _ = interview(stock)
    fresh.load_state_dict(interview(stock)[0].state_dict())
    assert fresh.preferences is None


def test_what_cannot_be_asked_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="must be at least 1"):
        interview(filled(), budget=0)
    with pytest.raises(UsageError, match="unknown teacher"):
        interview(filled(), teacher="wise")


def test_a_teacher_by_regret_compares_what_a_function_knows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the environment's units, and only where there were steps."""
    module: Any = types.ModuleType("my_values")
    module.known = lambda s, a: s[..., 0] - a[..., 0].abs()
    module.flat = lambda s, a: s
    monkeypatch.setitem(sys.modules, "my_values", module)
    monkeypatch.setattr(trust, "_named", dict(trust._named))
    units = Transforms(
        obs_mean=np.array([1.0, 0.0]),
        obs_std=np.array([3.0, 1.0]),
        action_low=np.array([-2.0]),
        action_high=np.array([2.0]),
    )
    stock = filled()._replace(transforms=units)
    ask, net = interview(stock, teacher="regret", advantages="my_values:known")
    ask.ask(net)
    pairs = ask.ask(net)
    gain = (3 * pairs.s[..., 0] + 1 - 2 * pairs.a[..., 0].abs()) * pairs.mask
    sums = gain.sum(-1)
    assert torch.equal(pairs.y, (sums[..., 1] > sums[..., 0]).double())
    assert not pairs.mask.all()
    ask, net = interview(stock, teacher="regret", advantages="my_values:flat")
    with pytest.raises(UsageError, match="must give finite numbers"):
        ask.ask(net)
    with pytest.raises(UsageError, match="name a function of"):
        interview(stock, teacher="regret", advantages="values.npy")
    with pytest.raises(UsageError, match="teacher 'rational' compares rewards"):
        interview(stock, advantages="my_values:known")
    module.alone, module.number = lambda s: s, 3
    with pytest.raises(UsageError, match="is a int, no function"):
        interview(stock, teacher="regret", advantages="my_values:number")
    ask, net = interview(stock, teacher="regret", advantages="my_values:alone")
    with pytest.raises(UsageError, match=r"'my_values:alone' fails on observations .* TypeError"):
        ask.ask(net)


def test_a_teacher_by_regret_estimates_what_nobody_told(walk: Any) -> None:
    """By its own critics on the replay: mostly right, held against exact advantages."""
    mdp = garnet(5, 2, 2, seed=3)
    store = walk(mdp, 1000, 40)
    q = mdp.q_table(solve(mdp, 0.99).value, 0.99)
    exact = q - q.max(1, keepdims=True)
    spec = Spec(5, Discrete(2), (0,))
    replay = Replay.from_store(store, spec, Transforms(), shared=False)
    stock = Stock(spec, Streams(spec.seeds), Transforms(), replay=replay)
    given = {"budget": 200, "per_round": 200, "length": 3, "teacher_updates": 600}
    ask, net = interview(stock, teacher="regret", **given)
    pairs = ask.ask(net)
    at = torch.from_numpy(exact)[pairs.s.argmax(-1), pairs.a]
    sums = (at * pairs.mask).sum(-1)
    apart = (sums[..., 1] - sums[..., 0]).abs() > 0.1
    right = (pairs.y == 1) == (sums[..., 1] > sums[..., 0])
    assert right[apart].double().mean() > 0.8
    ask, net = interview(stock, **given)
    rewards = ask.ask(net)
    assert (rewards.y != pairs.y).any()
