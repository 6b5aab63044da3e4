"""The toys that tests and benchmarks share are what their records say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rlkit.envs.tasks.stocked import bet_twice, stop_or_go
from rlkit.testing.bets import cvar, law_of
from rlkit.testing.episode_toys import LUCK, bandit, positions


def test_the_likelier_arm_of_the_bandit_is_the_worse() -> None:
    store = bandit(LUCK)
    assert (store.action == 0).sum() == 10
    assert (store.action == 1).sum() == 90
    paid = [store.reward[store.action == arm].mean() for arm in (0, 1)]
    assert paid == [pytest.approx(0.5), pytest.approx(0.1)]
    assert (store.reward[store.action == 0] > 0).sum() < (store.reward[store.action == 1] > 0).sum()


def test_episodes_of_the_controller_end_where_the_pole_falls() -> None:
    store = positions(4)
    assert store.obs.shape[1] == 2
    assert store.episodes == 4
    assert store.terminated[store.ends].all()
    assert store.terminated.sum() == 4
    assert store.returns().tolist() == store.lengths.tolist()
    other = positions(4, seed=100)
    assert other.lengths.tolist() != store.lengths.tolist()


def test_laws_of_bets_by_hand() -> None:
    """Lane 0 bets in both rounds; lane 1 only while its stock is not negative."""

    def act(s: Tensor) -> Tensor:
        return torch.stack([torch.ones(1), (s[1, :, -1] >= 0).float()]).long()

    agent: Any = SimpleNamespace(act=act, lanes=2)
    always = law_of(agent, bet_twice(), 0, 0.0)
    assert always == pytest.approx({6.0: 0.64, 1.0: 0.32, -4.0: 0.04})
    assert cvar(always, 0.04) == pytest.approx(-4.0)
    assert cvar(always, 0.1) == pytest.approx((0.04 * -4 + 0.06 * 1) / 0.1)
    assert cvar(always, 1.0) == pytest.approx(4.0)
    careful = law_of(agent, bet_twice(), 1, 0.0)
    assert careful == pytest.approx({6.0: 0.64, 1.0: 0.16, -1.0: 0.2})
    assert law_of(agent, stop_or_go(), 0, -3.0) == {8.0: 1.0}
