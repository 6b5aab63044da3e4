"""Segments: where they may begin, that all places are alike, and what they hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.segments import (
    choose,
    cut_from_replay,
    cut_from_store,
    places_in_replay,
    places_in_store,
    steps_left,
)
from rlkit.data.transforms import Transforms


def as_replay(store, seeds=(0, 1), **spec):
    return Replay.from_store(store, Spec(3, 2, seeds, **spec), Transforms())


def test_steps_left_by_hand() -> None:
    last = np.array([[0, 1, 0, 0], [1, 0, 0, 0]], bool).T
    assert steps_left(last)[:, 0].tolist() == [2, 1, 2, 1]
    assert steps_left(last)[:, 1].tolist() == [1, 3, 2, 1]


def test_every_place_of_an_episode_is_drawn_alike(store) -> None:
    """Seven steps hold five segments of three, the last one included; chi-square of the draws."""
    replay = as_replay(store(lengths=(7,), ends=("truncated",)), (0,))
    places = places_in_replay(replay, 3)
    assert sorted(places[0].rows.tolist()) == [0, 1, 2, 3, 4]
    u = Streams((0,)).draw("segments", "uniform", 0, (5000,))[0]
    drawn = choose(places, u).rows
    assert stats.chisquare(np.bincount(drawn[0], minlength=5)).pvalue > 0.01


def test_a_termination_is_filled_up_and_a_truncation_is_not(store) -> None:
    data = store(lengths=(5, 5, 2, 2), ends=("terminated", "truncated", "terminated", "truncated"))
    places = places_in_store(data, 3)
    assert dict(zip(places.rows.tolist(), places.steps.tolist(), strict=True)) == {
        **{0: 3, 1: 3, 2: 3, 3: 2, 4: 1},  # terminated: the last two places are filled up
        **{5: 3, 6: 3, 7: 3},
        **{10: 2, 11: 1},  # shorter than a segment, but what follows is known: nothing
    }
    assert places_in_store(data, 3, padded=False).rows.tolist() == [0, 1, 2, 5, 6, 7]


def test_segments_hold_the_rows_of_one_episode(store) -> None:
    data = store(lengths=(5, 4, 7, 9), ends=("terminated", "truncated", "open", "both"))
    replay = as_replay(data, dtype=torch.float64)
    places = places_in_replay(replay, 4)
    every = choose(places, np.stack([np.arange(len(places[0].rows)) / len(places[0].rows)] * 2))
    cut = cut_from_replay(replay, every, 4)
    assert cut.s.shape == (2, len(places[0].rows), 4, 3)
    for k, (row, steps) in enumerate(zip(every.rows[0], every.steps[0], strict=True)):
        rows = np.arange(row, row + steps)
        assert len(set(data.episode[rows])) == 1
        assert cut.mask[0, k].tolist() == [True] * steps + [False] * (4 - steps)
        assert cut.rows[0, k].tolist() == [*rows, *[row] * (4 - steps)]
        for name, column in (("s", data.obs), ("s2", data.next_obs), ("a", data.action)):
            np.testing.assert_allclose(getattr(cut, name)[0, k, :steps], column[rows], atol=1e-6)
        np.testing.assert_allclose(cut.r[0, k, :steps], data.reward[rows])
        assert cut.cont[0, k, :steps].tolist() == (~data.terminated[rows]).tolist()
        if steps < 4:
            assert data.terminated[rows[-1]]
            assert not any(x[0, k, steps:].any() for x in (cut.s, cut.a, cut.r, cut.cont, cut.s2))


@pytest.mark.parametrize("steps", [6, 10, 27])  # part filled, full, wrapped
@pytest.mark.parametrize("newest", [None, 12])
def test_places_of_a_ring_equal_a_loop_over_the_recording(steps, newest, record) -> None:
    envs, slots, length = 2, 10, 3
    replay = Replay(Spec(3, 2, (0, 1), dtype=torch.float64), slots * envs, envs=envs)
    log = record(replay, steps, seed=steps)
    first = max(0, steps - slots, 0 if newest is None else steps - newest // envs)
    found = places_in_replay(replay, length, newest=newest)
    for lane, places in enumerate(found):
        expected = {}
        for env in range(envs):
            for t in range(first, steps):
                real, ended = 0, False
                for step in log[t : t + length]:
                    real += 1
                    ended = bool(step["terminated"][lane, env])
                    if ended or step["truncated"][lane, env]:
                        break
                if real == length or ended:
                    expected[t % slots * envs + env] = real
        assert dict(zip(places.rows.tolist(), places.steps.tolist(), strict=True)) == expected
        cut = cut_from_replay(replay, choose(found, np.full((2, 1), 0.999)), length)
        times = cut.s[lane, 0, :, 0][cut.mask[lane, 0]]  # the recording stamps s with its time
        assert times.diff().eq(1).all()


def test_lanes_draw_from_their_own_rows_and_streams(record) -> None:
    """Lane 1 of two draws and cuts what it does alone."""
    pairs = []
    for seeds in ((0, 1), (1,)):
        replay = Replay(Spec(3, 2, (0, 1), dtype=torch.float64), 40)
        record(replay, 30)
        own = replay if len(seeds) == 2 else Replay(Spec(3, 2, (1,), dtype=torch.float64), 40)
        if own is not replay:
            for t in range(30):
                s, a, r, cont, last, s2 = (
                    replay.rows(name)[1:, t].unsqueeze(1)
                    for name in ("s", "a", "r", "cont", "last", "s2")
                )
                own.add(s, a, r, cont == 0, (last == 1) & (cont == 1), s2)
        u = Streams(seeds).draw("segments", "uniform", 0, (6, 2))[0]
        pairs.append(cut_from_replay(own, choose(places_in_replay(own, 4), u), 4))
    for together, alone in zip(*pairs, strict=True):
        assert torch.equal(together[1], alone[0])


def test_discrete_actions_stay_numbers(store) -> None:
    data = store(lengths=(5, 5), ends=("terminated", "truncated"), actions=4)
    replay = Replay.from_store(data, Spec(3, Discrete(4), (0,)), Transforms())
    cut = cut_from_replay(replay, choose(places_in_replay(replay, 3), np.array([[0.0, 0.99]])), 3)
    assert cut.a.dtype == torch.int64
    assert cut.a[0, 0].tolist() == data.action[:3].tolist()


def test_store_and_replay_agree(store) -> None:
    data = store()
    replay = as_replay(data, (0,), dtype=torch.float64)
    ours, theirs = places_in_store(data, 3), places_in_replay(replay, 3)[0]
    assert sorted(ours.rows) == sorted(theirs.rows)
    u = np.linspace(0, 0.99, 8)[None]
    from_store = cut_from_store(data, choose([ours], u), 3)
    from_replay = cut_from_replay(replay, choose([theirs], u), 3)
    for name, x in from_store._asdict().items():
        np.testing.assert_allclose(getattr(from_replay, name), x, atol=1e-6)


def test_what_cannot_be_cut_is_refused(store) -> None:
    data = store(lengths=(3, 3), ends=("truncated", "truncated"))
    with pytest.raises(ValueError, match=r"6 steps hold 0 segments of 4 steps"):
        places_in_store(data, 4)
    with pytest.raises(ValueError, match="hold 0 segments"):
        places_in_replay(as_replay(data), 4)
    with pytest.raises(ValueError, match="length must be at least 1"):
        places_in_store(data, 0)
    with pytest.raises(ValueError, match="replay is empty"):
        places_in_replay(Replay(Spec(3, 2), 10), 2)
