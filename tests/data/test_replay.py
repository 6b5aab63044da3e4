from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rlkit.core.spec import Discrete, Spec
from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

WIDE = {"dtype": torch.float64}


def rows_of(replay):
    index = torch.arange(replay.size).expand(replay.spec.lanes, -1)
    return replay.gather(index)


def test_a_store_arrives_in_agent_units_and_every_lane_reads_the_same_rows(store):
    data = store()
    data = data.with_columns(weight=np.arange(len(data)))
    tf = Transforms(
        obs_mean=[1, 2, 3], obs_std=[2, 2, 2], action_low=[-2, -2], action_high=[2, 4],
        reward_scale=3.0, reward_bias=-1.0,
    )  # fmt: skip
    columns = ("next_action", "mc_return", "initial_obs", "weight")
    replay = Replay.from_store(data, Spec(3, 2, (0, 1), **WIDE), tf, columns=columns, gamma=0.9)
    b = rows_of(replay)
    for lane in range(2):
        np.testing.assert_allclose(b.s[lane], (data.obs - [1, 2, 3]) / 2, rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(b.s2[lane], (data.next_obs - [1, 2, 3]) / 2, atol=1e-6)
        np.testing.assert_allclose(b.a[lane, :, 0], data.action[:, 0] / 2, atol=1e-6)
        np.testing.assert_allclose(b.a[lane, :, 1], (data.action[:, 1] - 1) / 3, atol=1e-6)
        np.testing.assert_allclose(b.r[lane], data.reward * 3.0 - 1, rtol=1e-6)
        np.testing.assert_array_equal(b.w[lane], np.arange(len(data)))
    np.testing.assert_array_equal(b.cont[0], ~data.terminated)
    np.testing.assert_array_equal(replay.rows("last")[0], data.terminated | data.truncated)
    np.testing.assert_allclose(b.s0[0], b.s[0][data.starts[data.episode]])
    inside = np.flatnonzero(~(data.terminated | data.truncated))
    np.testing.assert_allclose(b.a2[0][inside], b.a[0][inside + 1])
    for row in range(len(data)):  # mc is the sum of TRANSFORMED rewards
        stop = data.ends[data.episode[row]] + 1
        powers = 0.9 ** np.arange(stop - row)
        np.testing.assert_allclose(b.mc[0, row], (b.r[0, row:stop].numpy() * powers).sum())


def test_a_long_store_read_in_pieces_is_the_same(store, monkeypatch):
    columns = ("next_action", "mc_return", "initial_obs", "t")
    tf = Transforms(obs_mean=[1, 2, 3], obs_std=[2, 2, 2])

    def read():
        replay = Replay.from_store(store(), Spec(3, 2), tf, columns=columns, gamma=0.9)
        return replay.state_dict()

    whole = read()
    monkeypatch.setattr("rlkit.data.replay._CHUNK", 4)
    assert torch.equal(read()["rows.0"], whole["rows.0"])


def test_truncation_keeps_cont_and_the_true_next_observation(store):
    data = store(lengths=(4, 3), ends=("truncated", "terminated"))
    b = rows_of(Replay.from_store(data, Spec(3, 2), Transforms()))
    assert b.cont[0].tolist() == [1, 1, 1, 1, 1, 1, 0]
    np.testing.assert_array_equal(b.s2[0, 3], data.next_obs[3])
    assert not np.array_equal(b.s2[0, 3], data.obs[4])  # not the next episode's first one


@pytest.mark.parametrize("envs", [1, 3])
def test_the_ring_keeps_the_newest_steps_of_every_lane_and_environment(envs, record):
    replay = Replay(Spec(3, 2, (4, 9), **WIDE), 5 * envs, envs=envs)
    log = record(replay, 13)
    assert replay.size == replay.capacity == 5 * envs
    b = rows_of(replay)
    for t, step in enumerate(log[-5:], start=8):
        for env in range(envs):
            row = t % 5 * envs + env
            for lane in range(2):
                np.testing.assert_array_equal(b.s[lane, row], step["s"][lane, env])
                np.testing.assert_array_equal(b.a[lane, row], step["a"][lane, env])
                np.testing.assert_array_equal(b.s2[lane, row], step["s2"][lane, env])
                assert b.r[lane, row] == step["r"][lane, env]
                assert b.cont[lane, row] == 1 - step["terminated"][lane, env]
                over = step["terminated"][lane, env] or step["truncated"][lane, env]
                assert replay.rows("last")[lane, row] == over


def test_capacity_is_rounded_up_to_whole_steps(record):
    replay = Replay(Spec(3, 2), 10, envs=4)
    record(replay, 2)
    assert (replay.capacity, replay.size, len(replay)) == (12, 8, 8)


def test_discrete_grid_rows_come_out_in_their_shape_and_type():
    rng = np.random.default_rng(0)
    spec = Spec((7, 7, 3), Discrete(5), (0, 1))
    replay = Replay(spec, 6, envs=2, columns=("next_action",))
    views, actions = rng.integers(0, 11, (4, 2, 2, 7, 7, 3)), rng.integers(0, 5, (3, 2, 2))
    no = np.zeros((2, 2), bool)
    for t in range(3):
        s = views[t].astype(np.uint8)
        s2 = torch.from_numpy(views[t + 1])
        replay.add(s, actions[t], np.ones((2, 2)), no, no, s2, next_action=actions[t])
    b = rows_of(replay)
    assert b.s.shape == (2, 6, 7, 7, 3)
    assert b.a.dtype == b.a2.dtype == torch.int64
    for t in range(3):
        np.testing.assert_array_equal(b.s[:, 2 * t : 2 * t + 2], views[t])
        np.testing.assert_array_equal(b.s2[:, 2 * t : 2 * t + 2], views[t + 1])
        np.testing.assert_array_equal(b.a[:, 2 * t : 2 * t + 2], actions[t])
    assert torch.equal(b.a, b.a2)


def test_gather_into_a_given_tensor_equals_a_fresh_one(record):
    replay = Replay(Spec(3, 2, (1, 2)), 20, envs=2)
    record(replay, 10)
    index = torch.randint(0, 20, (2, 6), generator=torch.Generator().manual_seed(0))
    out = torch.full((12, replay.width), torch.nan)
    fresh, given = replay.gather(index), replay.gather(index, out)
    for name in ("s", "a", "r", "cont", "s2", "index"):
        assert torch.equal(getattr(fresh, name), getattr(given, name)), name
    assert given.s.untyped_storage().data_ptr() == out.untyped_storage().data_ptr()
    for lane in range(2):  # each lane reads its own rows
        assert torch.equal(fresh.s[lane], replay.rows("s")[lane][index[lane]])


def test_state_round_trip_restores_every_row_and_the_place_to_write(record):
    def make():
        return Replay(Spec(3, 2, (1, 2)), 8, envs=2, columns=())

    for steps in (2, 4, 7):  # part filled, just full, wrapped
        one, other = make(), make()
        record(one, steps)
        state = {name: tensor.clone() for name, tensor in one.state_dict().items()}
        assert state["rows.0"].shape[0] == one.size  # only what is filled
        record(other, 5, seed=9)
        other.load_state_dict(state)
        record(one, 3, seed=1)
        record(other, 3, seed=1)
        assert other.size == one.size
        for name in ("s", "a", "r", "cont", "last", "s2"):
            assert torch.equal(one.rows(name), other.rows(name))


def test_a_foreign_state_is_refused_and_changes_nothing(record):
    replay, wider = Replay(Spec(3, 2), 8), Replay(Spec(4, 2), 8)
    record(replay, 5)
    before = replay.rows("s").clone()
    with pytest.raises(ValueError, match=r"rows.0 is \(0, 13\).*\(0, 11\)"):
        replay.load_state_dict(wider.state_dict())
    big = Replay(Spec(3, 2), 20)
    record(big, 9)
    with pytest.raises(ValueError, match=r"rows.0 is \(9, 11\).*\(8, 11\)"):
        replay.load_state_dict(big.state_dict())
    with pytest.raises(ValueError, match="are expected"):
        replay.load_state_dict({"rows.0": torch.zeros(1)})
    assert torch.equal(replay.rows("s"), before)


def test_bad_steps_are_refused_before_anything_is_written(record):
    replay = Replay(Spec(3, 2, (0, 1)), 8, envs=2)
    log = record(replay, 4)
    before = replay.rows("s2").clone()
    good = log[-1]
    bad = good["s2"].copy()
    bad[1, 0, 2] = np.inf
    with pytest.raises(ValueError, match="s2 of lane 1, environment 0 holds NaN or infinity"):
        replay.add(**(good | {"s2": bad}))
    with pytest.raises(ValueError, match="r of lane 0, environment 1"):
        replay.add(**(good | {"r": np.array([[0, 1e39], [0, 0]])}))  # overflows float32
    with pytest.raises(ValueError, match=r"r has shape \(2, 1\); \(2, 2\) is expected"):
        replay.add(**(good | {"r": np.zeros((2, 1))}))
    with pytest.raises(ValueError, match="replay has no column 'mc_return'"):
        replay.add(**good, mc_return=np.zeros((2, 2)))
    assert torch.equal(replay.rows("s2"), before)
    assert replay.size == 8


def test_cut_breaks_the_chain_without_claiming_termination(record):
    replay = Replay(Spec(3, 2), 8, envs=2)
    record(replay, 2, end_chance=0)
    replay.cut()
    record(replay, 1, end_chance=0)
    assert replay.rows("last")[0].tolist() == [0, 0, 1, 1, 0, 0]
    assert replay.rows("cont")[0].tolist() == [1] * 6


def test_relabelled_rewards_reach_the_batches(store):
    replay = Replay.from_store(store(), Spec(3, 2), Transforms())
    replay.rows("r").copy_(torch.arange(17.0))
    assert torch.equal(rows_of(replay).r[0], torch.arange(17.0))


def test_a_dataset_can_be_continued_online_in_every_lane(store, record):
    data = store()
    tf = Transforms()
    replay = Replay.from_store(data, Spec(3, 2, (0, 1)), tf, shared=False, capacity=20)
    log = record(replay, 5)
    assert replay.size == 20
    b = rows_of(replay)
    for lane in range(2):
        np.testing.assert_array_equal(b.s[lane, 2:17], data.obs[2:])  # two rows overwritten
        np.testing.assert_allclose(b.s[lane, 17], log[0]["s"][lane, 0], rtol=1e-6)
        np.testing.assert_allclose(b.s[lane, 1], log[4]["s"][lane, 0], rtol=1e-6)


def test_neighbours_stop_at_episode_ends_and_at_the_write_head(record):
    replay = Replay(Spec(3, 2), 4)
    log = record(replay, 6, end_chance=0)  # slots hold times 4, 5, 2, 3
    after, exists = replay.following(torch.tensor([[0, 1, 2, 3]]))
    assert after.tolist() == [[1, 2, 3, 0]]
    assert exists.tolist() == [[True, False, True, True]]
    assert replay.at_oldest(torch.tensor([[0, 1, 2, 3]])).tolist() == [[False, False, True, False]]
    assert log[4]["s"][0, 0, 0] == replay.rows("s")[0, 0, 0] == 4


def test_a_dataset_that_does_not_fit_is_refused(store, record, episode):
    data, tf = store(), Transforms()
    with pytest.raises(ValueError, match=r"observations of shape \(3,\), the spec \(4,\)"):
        Replay.from_store(data, Spec(4, 2), tf)
    with pytest.raises(ValueError, match="continuous actions, the spec discrete"):
        Replay.from_store(data, Spec(3, Discrete(2)), tf)
    with pytest.raises(ValueError, match="actions of 2 dimensions, the spec 3"):
        Replay.from_store(data, Spec(3, 3), tf)
    with pytest.raises(ValueError, match="no column 'level_seed'"):
        Replay.from_store(data, Spec(3, 2), tf, columns=("level_seed",))
    with pytest.raises(ValueError, match="mc_return needs gamma"):
        Replay.from_store(data, Spec(3, 2), tf, columns=("mc_return",))
    with pytest.raises(ValueError, match="capacity 5 is below the 17 steps"):
        Replay.from_store(data, Spec(3, 2), tf, capacity=5)
    few = EpisodeStore.from_episodes([episode(np.random.default_rng(0), 30, actions=7)])
    with pytest.raises(ValueError, match="outside the bounds"):
        Replay.from_store(few, Spec(3, Discrete(4)), tf)
    with pytest.raises(ValueError, match="lanes share these rows"):
        record(Replay.from_store(data, Spec(3, 2), tf), 1)


def test_a_state_of_an_earlier_version_is_read(record):
    replay, other = Replay(Spec(3, 2), 8), Replay(Spec(3, 2), 8)
    record(replay, 19)
    assert replay.written == 19
    state = {k: v for k, v in replay.state_dict().items() if k != "written"}
    other.load_state_dict(state | {"cursor": torch.tensor([3, 8])})
    assert (other.cursor, other.size, other.written) == (3, 8, 11)
    assert torch.equal(other.rows("s"), replay.rows("s"))
    for cursor, filled in ((8, 8), (3, 9), (-1, 2)):
        with pytest.raises(ValueError, match=f"fills {filled} steps, this one has 8"):
            other.load_state_dict(state | {"cursor": torch.tensor([cursor, filled])})


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_ring_takes_its_memory_as_it_fills() -> None:
    """Six gigabytes that no row was written to."""
    before = resident()
    Replay(Spec(100, 2, seeds=(0, 1)), 4_000_000)
    assert resident() - before < 1 << 27


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
