"""Rounds of questions about a growing replay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos.pebble import Config
from rlkit.algos.preference.feedback import draw_pairs
from rlkit.algos.preference.interview import Interview
from rlkit.algos.preference.reward_model import OwnInit, RewardNet, member_probabilities
from rlkit.algos.preference.selectors import disagreement
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms


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
    with pytest.raises(UsageError, match="by regret knows values of a dataset"):
        interview(filled(), teacher="regret")
    with pytest.raises(UsageError, match="unknown teacher"):
        interview(filled(), teacher="wise")
