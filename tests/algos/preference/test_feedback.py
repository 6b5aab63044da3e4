"""Asking: who is asked what depends on the seed alone; files and lanes say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.algos.preference.feedback import (
    answer,
    draw_pairs,
    from_dataset,
    mean_return,
    pair_dataset,
    true_reward,
)
from rlkit.algos.preference.teachers.synthetic import parse
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

SCALED = Transforms(
    obs_mean=[1.0, 0, 0],
    obs_std=[2.0, 1, 1],
    action_low=[-2.0, -2],
    action_high=[2.0, 2],
    reward_scale=10.0,
    reward_bias=-3.0,
)


def make_store(lengths=(9, 6, 12), ends="terminated", actions=None, seed=0) -> EpisodeStore:
    rng = np.random.default_rng(seed)
    episodes = []
    for n in lengths:
        last = np.arange(n) == n - 1
        action = rng.uniform(-1, 1, (n, 2)) if actions is None else rng.integers(0, actions, n)
        episodes.append(
            {
                "obs": rng.normal(size=(n + 1, 3)).astype(np.float32),
                "action": action.astype(np.float32) if actions is None else action,
                "reward": rng.normal(size=n) + 0.5,
                "terminated": last & (ends == "terminated"),
                "truncated": last & (ends == "truncated"),
            }
        )
    return EpisodeStore.from_episodes(episodes)


def test_what_a_lane_is_asked_depends_on_its_seed_alone() -> None:
    store, answers = make_store(), {}
    for seeds in ((5, 2, 7), (2,)):
        replay = Replay.from_store(store, Spec(3, 2, seeds, torch.float64), SCALED)
        streams = Streams(seeds)
        cut = draw_pairs(replay, streams, 4, 30)
        gain = true_reward(cut.r, cut.mask, SCALED)
        said = answer(parse("noisy"), gain, cut.mask, mean_return(replay, SCALED, 4), streams)
        lane = seeds.index(2)
        answers[seeds] = [x[lane] for x in (*cut, *said)]
    for together, alone in zip(*answers.values(), strict=True):
        assert torch.equal(together, alone)


def test_rounds_ask_different_things() -> None:
    replay = Replay.from_store(make_store(), Spec(3, 2, (0,)), Transforms())
    rows = [draw_pairs(replay, Streams((0,)), 3, 20, k).rows for k in (0, 1, 0)]
    assert not torch.equal(rows[0], rows[1])
    assert torch.equal(rows[0], rows[2])


def test_teachers_see_the_rewards_of_the_environment() -> None:
    """Whatever scaling the agent sees; absorbing steps are 0 and not -bias/scale."""
    store = make_store()
    replay = Replay.from_store(store, Spec(3, 2, (0,), torch.float64), SCALED)
    cut = draw_pairs(replay, Streams((0,)), 5, 200)
    true = true_reward(cut.r, cut.mask, SCALED)
    expected = torch.from_numpy(store.reward.astype(float))[cut.rows] * cut.mask
    torch.testing.assert_close(true, expected, rtol=0, atol=1e-6)
    assert not cut.mask.all()
    mean = mean_return(replay, SCALED, 5)
    torch.testing.assert_close(
        mean, torch.tensor([5 * store.reward.astype(float).mean()]), rtol=0, atol=1e-6
    )


def ring(rewards, ends, capacity) -> Replay:
    replay = Replay(Spec(1, 1, (0,), torch.float64), capacity)
    for r, last in zip(rewards, ends, strict=True):
        one = np.ones((1, 1, 1))
        replay.add(one, one * 0, np.full((1, 1), r), np.zeros((1, 1), bool), [[bool(last)]], one)
    return replay


def test_mean_return_is_of_the_last_finished_episodes() -> None:
    #          ep 1        ep 2     ep 3  ep 4    under way
    rewards = [9.0, 9, 9, 1, 2, 3, 10, 20, 5, 5, 7, 100, 100]
    ends = [0, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0]
    replay = ring(rewards, ends, 20)
    for episodes, mean in ((1, 17 / 3), (2, 47 / 5), (3, 53 / 8), (9, 53 / 8)):
        found = mean_return(replay, Transforms(), 4, episodes)
        assert found.tolist() == pytest.approx([4 * mean])
    assert mean_return(ring(rewards[:2], ends[:2], 5), Transforms(), 1, 3).tolist() == [9]
    wrapped = ring(rewards, ends, 7)  # holds 10 20 | 5 5 7 | 100 100: the first began earlier
    assert mean_return(wrapped, Transforms(), 1, 9).tolist() == pytest.approx([17 / 3])


@pytest.mark.parametrize("teacher", ["rational", "noisy:0.5+mistaken", "tying:0.5"])
def test_a_saved_dataset_says_what_the_lane_of_its_seed_is_told(teacher: str) -> None:
    store = make_store()
    spec = Spec(3, 2, (1, 4), torch.float64)
    replay = Replay.from_store(store, spec, SCALED)
    cut = draw_pairs(replay, Streams(spec.seeds), 4, 25)
    gain = true_reward(cut.r, cut.mask, SCALED)
    said = answer(
        parse(teacher), gain, cut.mask, mean_return(replay, SCALED, 4), Streams(spec.seeds)
    )
    pairs = pair_dataset(store, 25, 4, teacher, seed=4)
    read = from_dataset(pairs, spec, SCALED)
    for ours, name in ((cut.s, "s"), (cut.a, "a"), (cut.mask, "mask"), (said.y, "y")):
        theirs = getattr(read, name)[0]
        torch.testing.assert_close(ours[1].to(theirs), theirs, rtol=0, atol=1e-6)
    assert teacher in pairs.origin


def test_skipped_pairs_are_not_in_a_dataset() -> None:
    store = make_store()
    every, some = (pair_dataset(store, 60, 4, t) for t in ("rational", "skipping:1.5"))
    assert 0 < len(some) < 60 == len(every)
    sums = (some.segments.r * some.segments.mask).sum(-1)
    assert (sums.max(1) > 1.5 * 4 * store.reward.mean()).all()
    with pytest.raises(ValueError, match="skipped all 60 pairs"):
        pair_dataset(store, 60, 4, "skipping:1000")


def test_discrete_pairs_fit_discrete_tasks() -> None:
    store = make_store(actions=3)
    pairs = pair_dataset(store, 8, 4)
    read = from_dataset(pairs, Spec(3, Discrete(3), (0,)), Transforms())
    assert read.a.dtype == torch.int64
    assert read.a.shape == (1, 8, 2, 4)
    with pytest.raises(ValueError, match=r"actions outside 0\.\.1"):
        from_dataset(pairs, Spec(3, Discrete(2)), Transforms())
    with pytest.raises(ValueError, match="discrete actions"):
        from_dataset(pairs, Spec(3, 2), Transforms())
    with pytest.raises(ValueError, match=r"observations of shape \(3,\)"):
        from_dataset(pairs, Spec(4, Discrete(3)), Transforms())
    with pytest.raises(ValueError, match="actions of 2 numbers"):
        from_dataset(pair_dataset(make_store(), 8, 4), Spec(3, 5), Transforms())


def test_teachers_by_regret_need_advantages() -> None:
    store = make_store()
    with pytest.raises(ValueError, match="needs advantages"):
        pair_dataset(store, 5, 3, "regret")
    with pytest.raises(ValueError, match=r"gain has shape \(3,\)"):
        pair_dataset(store, 5, 3, "regret", gain=np.zeros(3))
    gain = np.random.default_rng(0).normal(size=len(store))
    pairs = pair_dataset(store, 40, 3, "regret", gain=gain)
    sums = (gain[pairs.segments.rows] * pairs.segments.mask).sum(-1)
    np.testing.assert_array_equal(
        pairs.y[sums[:, 0] != sums[:, 1]] == 1, np.diff(sums).ravel()[sums[:, 0] != sums[:, 1]] > 0
    )
    with pytest.raises(UsageError, match="unknown teacher"):
        pair_dataset(store, 5, 3, "oracel")
