from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.windows import Windows
from rlkit.data.transforms import Transforms


def episode_times(log, t, lane, env, oldest):
    """Recorded times of the episode around time `t`, in order, oldest one still kept first."""
    over = [s["terminated"][lane, env] or s["truncated"][lane, env] for s in log]
    first = t
    while first > oldest and not over[first - 1]:
        first -= 1
    stop = t
    while stop < len(log) - 1 and not over[stop]:
        stop += 1
    return list(range(first, stop + 1))


@pytest.mark.parametrize("steps", [2, 10, 27])  # part filled, full, wrapped
@pytest.mark.parametrize("anchor", ["start", "end"])
@pytest.mark.parametrize("pad", ["left", "right"])
def test_windows_equal_a_loop_over_the_recording(steps, anchor, pad, record):
    envs, slots, length = 3, 10, 4
    replay = Replay(Spec(3, 2, (0, 1), dtype=torch.float64), slots * envs, envs=envs)
    log = record(replay, steps, seed=steps)
    source = Windows(replay, replay.size, Streams((0, 1)), length, anchor=anchor, pad=pad)
    w = source.batch(torch.arange(replay.size).expand(2, -1))
    assert w.s.shape == (2, replay.size, length, 3)
    for lane in range(2):
        for row in range(replay.size):
            slot, env = divmod(row, envs)
            t = steps - 1 - (steps - 1 - slot) % slots
            times = episode_times(log, t, lane, env, max(0, steps - slots))
            at = times.index(t)
            if anchor == "start":
                times = times[at : at + length]
            else:
                times = times[max(0, at - length + 1) : at + 1]
            padding = length - len(times)
            where = range(padding, length) if pad == "left" else range(len(times))
            expected = np.zeros(length, bool)
            expected[list(where)] = True
            assert w.mask[lane, row].tolist() == expected.tolist()
            for place, time in zip(where, times, strict=True):
                step = log[time]
                np.testing.assert_array_equal(w.s[lane, row, place], step["s"][lane, env])
                np.testing.assert_array_equal(w.a[lane, row, place], step["a"][lane, env])
                np.testing.assert_array_equal(w.s2[lane, row, place], step["s2"][lane, env])
                assert w.r[lane, row, place] == step["r"][lane, env]
                assert w.cont[lane, row, place] == 1 - step["terminated"][lane, env]
                assert w.index[lane, row, place] == time % slots * envs + env
            empty = ~w.mask[lane, row]
            assert not w.s[lane, row, empty].any()
            assert not w.cont[lane, row, empty].any()


def test_time_steps_and_returns_to_go_come_along(store):
    data = store()
    spec = Spec(3, 2, (0, 1))
    columns = ("t", "mc_return")
    replay = Replay.from_store(data, spec, Transforms(), columns=columns, gamma=1.0)
    w = Windows(replay, 17, Streams((0, 1)), 3).batch(torch.arange(17).expand(2, -1))
    for row in range(17):
        end = data.ends[data.episode[row]]
        steps = min(3, end - row + 1)
        assert w.columns["t"][1, row, :steps].tolist() == data.t[row : row + steps].tolist()
        to_go = data.reward[row : end + 1].sum()
        assert w.columns["mc_return"][1, row, 0].item() == pytest.approx(to_go, rel=1e-5, abs=1e-6)


def test_lanes_draw_alike_in_any_company_and_discrete_actions_stay_integers(store):
    data = store(actions=5)
    several, alone = (
        Windows(
            Replay.from_store(data, Spec(3, Discrete(5), seeds), Transforms()),
            6, Streams(seeds), 4, pad="left",
        )
        for seeds in ((3, 8), (8,))
    )  # fmt: skip
    index = several.indices(2, 3)
    assert index.shape == (3, 2, 6)
    assert torch.equal(index[:, 1:], alone.indices(2, 3))
    a, b = several.batch(index[0]), alone.batch(index[0, 1:])
    assert a.a.dtype == torch.int64
    for name in ("s", "a", "r", "cont", "last", "s2", "mask", "index"):
        assert torch.equal(getattr(a, name)[1:], getattr(b, name)), name


def test_weights_by_inverse_length_take_every_episode_alike(store):
    data = store()
    replay = Replay.from_store(data, Spec(3, 2), Transforms())
    weights = 1 / data.lengths[data.episode]
    source = Windows(replay, 100, Streams((0,)), 2, weights=weights)
    drawn = data.episode[source.indices(0, 200).flatten().numpy()]
    counts = np.bincount(drawn, minlength=4)
    assert np.abs(counts - 5000).max() < 3.5 * np.sqrt(20000 * 0.25 * 0.75)


@pytest.mark.parametrize("given", [{"length": 0}, {"anchor": "middle"}, {"pad": "both"}])
def test_unknown_options_are_refused(given, store):
    replay = Replay.from_store(store(), Spec(3, 2), Transforms())
    with pytest.raises(ValueError, match=r"window length|anchor"):
        Windows(replay, 4, Streams((0,)), **({"length": 3} | given))
