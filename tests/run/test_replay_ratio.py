"""The replay ratio that rises once."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.run.replay_ratio import ReplayRatio
from rlkit.run.settings.options import Options, resolve


class Critics:
    """Critics whose active share is what one says."""

    share = 0.5

    def activations(self, s: torch.Tensor, a: torch.Tensor) -> list[torch.Tensor]:
        units = torch.zeros(1, 1000)
        units[0, : round(1000 * self.share)] = 1
        return [units]


def made(lanes: int = 1, agent: object | None = None, **given: float) -> ReplayRatio:
    options = Options("sac", env="Hopper-v5", utd=0.5, utd_later=2.0, warmup=10)
    options = resolve(dataclasses.replace(options, **given))
    return ReplayRatio(options, SimpleNamespace(q=Critics()) if agent is None else agent, lanes)


def play(ratio: ReplayRatio, shares: list[float]) -> int:
    """The environment step of the switch, -1 for none; 50 episodes of 10 steps for each share."""
    batch = Batch(*[torch.zeros(1, 1)] * 5)
    for check, share in enumerate(shares):
        for episode in range(50):
            for _ in range(10):
                ratio.critic.share = share
                ratio.watch(batch)
            count = 50 * check + episode + 1
            ratio.episodes_ended(count, 10 * count)
    return ratio.switched


def test_it_switches_once_and_at_the_right_check() -> None:
    assert play(made(), [0.5, 0.4, 0.35, 0.35, 0.2, 0.2]) == 2000
    assert play(made(), [0.5, 0.4, 0.3, 0.2]) == -1


def test_the_first_check_alone_never_switches() -> None:
    assert play(made(), [0.5]) == -1


def test_updates_are_counted_before_and_after() -> None:
    ratio = made()
    assert [ratio.due(turn) for turn in (10, 12, 110)] == [0, 1, 50]
    ratio.switched = 110
    assert [ratio.due(turn) for turn in (110, 111, 120)] == [50, 52, 70]


def test_a_restart_goes_on_where_it_was() -> None:
    whole, first, second = made(), made(), made()
    expected = play(whole, [0.5, 0.3, 0.3])
    play(first, [0.5, 0.3])
    second.load(first.state())
    batch = Batch(*[torch.zeros(1, 1)] * 5)
    second.critic.share = 0.3
    for episode in range(101, 151):
        second.watch(batch)
        second.episodes_ended(episode, 10 * episode)
    assert second.switched == expected == 1500
    assert second.state() == whole.state()


def test_what_cannot_be_watched_is_refused() -> None:
    with pytest.raises(UsageError, match="watches critics `q`, which sac does not have"):
        made(agent=SimpleNamespace())
    with pytest.raises(UsageError, match="lane by lane"):
        made(lanes=2)
    with pytest.raises(UsageError, match="utd_later is for what goes online"):
        resolve(Options("iql", dataset="x", utd_later=2.0))
