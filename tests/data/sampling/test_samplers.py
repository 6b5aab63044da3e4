from __future__ import annotations

import numpy as np
import pytest
import torch

from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Mixed, NStep, Uniform, Weighted, shares
from rlkit.data.transforms import Transforms

SEEDS = (3, 8, 5)


@pytest.fixture
def offline(store):
    def make(seeds=SEEDS, **kw):
        spec = Spec(3, 2, seeds, dtype=torch.float64)
        return Replay.from_store(store(), spec, Transforms(), **kw)

    return make


def kinds(replay, seeds):
    streams = Streams(seeds)
    weights = np.arange(replay.size) + 1.0
    return {
        "uniform": Uniform(replay, 6, streams),
        "weighted": Weighted(replay, 6, streams, weights),
        "nstep": NStep(replay, 6, streams, 3, 0.9),
        "mixed": Mixed(Uniform(replay, 2, streams), Uniform(replay, 4, streams, "second")),
    }


def assert_same(first, second):
    for name, a, b in zip(first._fields, first, second, strict=True):
        assert (a is None) == (b is None), name
        assert a is None or torch.equal(a, b), name


@pytest.mark.parametrize("kind", ["uniform", "weighted", "nstep", "mixed"])
def test_a_lane_draws_the_same_in_any_company(kind, offline):
    together, alone = kinds(offline(), SEEDS)[kind], kinds(offline((8,)), (8,))[kind]
    drawn = together.indices(5, 7)
    assert drawn.shape == (7, 3, 6)
    assert drawn.dtype == torch.int64
    assert torch.equal(drawn[:, 1:2], alone.indices(5, 7))
    assert not torch.equal(drawn[:, 0], drawn[:, 1])  # lanes are independent
    a, b = together.batch(drawn[2]), alone.batch(drawn[2, 1:2])
    for name in ("s", "a", "r", "cont", "s2", "index"):
        assert torch.equal(getattr(a, name)[1:2], getattr(b, name)), name


@pytest.mark.parametrize("kind", ["uniform", "weighted", "nstep", "mixed"])
def test_draws_depend_on_the_step_and_not_on_how_many_are_asked(kind, offline):
    source = kinds(offline(), SEEDS)[kind]
    whole = source.indices(0, 9)
    parts = torch.cat([source.indices(0, 4), source.indices(4, 1), source.indices(5, 4)])
    assert torch.equal(whole, parts)
    assert torch.equal(kinds(offline(), SEEDS)[kind].indices(3)[0], whole[3])
    assert not torch.equal(whole[0], whole[1])


@pytest.mark.parametrize("kind", ["uniform", "weighted", "nstep", "mixed"])
def test_a_restored_replay_gives_bitwise_the_following_batches(kind, record):
    def make():
        return Replay(Spec(3, 2, SEEDS), 14, envs=2)

    one, other = make(), make()
    record(one, 11)
    other.load_state_dict({name: x.clone() for name, x in one.state_dict().items()})
    first, second = kinds(one, SEEDS)[kind], kinds(other, SEEDS)[kind]
    for step in range(4):
        a, b = first.indices(step)[0], second.indices(step)[0]
        assert_same(first.batch(a), second.batch(b))
        record(one, 1, seed=step, start=11 + step)
        record(other, 1, seed=step, start=11 + step)


def test_uniform_draws_every_row_equally_often(offline):
    source = Uniform(offline((0,)), 100, Streams((0,)))
    drawn = source.indices(0, 1000).flatten().numpy()
    counts = np.bincount(drawn, minlength=17)
    expected = len(drawn) / 17
    assert len(counts) == 17
    assert ((counts - expected) ** 2 / expected).sum() < 39.3  # chi2(16), 0.1 %


def test_uniform_only_sees_what_is_filled(record):
    replay = Replay(Spec(3, 2), 1000)
    source = Uniform(replay, 50, Streams((0,)))
    with pytest.raises(ValueError, match="empty"):
        source.indices(0)
    record(replay, 3)
    assert set(source.indices(0, 10).flatten().tolist()) == {0, 1, 2}


def test_weighted_frequencies_lie_within_three_sigma_and_zero_is_never_drawn(offline):
    replay = offline((0, 1))
    weights = np.random.default_rng(1).random((2, 17)) ** 3
    weights[:, [0, 4, 16]] = 0  # first, inner and last
    source = Weighted(replay, 100, Streams((0, 1)), weights)
    drawn = source.indices(0, 2000)
    for lane in range(2):
        p = weights[lane] / weights[lane].sum()
        counts = np.bincount(drawn[:, lane].flatten().numpy(), minlength=17)
        n = counts.sum()
        assert (np.abs(counts - n * p) <= 3 * np.sqrt(n * p * (1 - p)) + 1e-9).all()
        assert counts[[0, 4, 16]].tolist() == [0, 0, 0]


def test_equal_weights_are_uniform_and_reweight_changes_the_draws(offline):
    replay = offline()
    uniform = Uniform(replay, 50, Streams(SEEDS))
    weighted = Weighted(replay, 50, Streams(SEEDS), torch.ones(17))
    assert torch.equal(uniform.indices(0, 5), weighted.indices(0, 5))
    only = np.zeros(17)
    only[11] = 1e-300
    weighted.reweight(only)
    assert set(weighted.indices(0, 5).flatten().tolist()) == {11}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(3), "expected"),
        (np.zeros(17), "nothing to draw"),
        (np.r_[np.ones(16), -1], "row 16 is negative"),
        (np.r_[1, np.nan, np.ones(15)], "row 1 is negative or not finite"),
    ],
)
def test_unusable_weights_are_refused(weights, message, offline):
    with pytest.raises(ValueError, match=message):
        Weighted(offline(), 4, Streams(SEEDS), weights)


def test_mixed_batches_hold_the_exact_shares(record, offline):
    assert shares(256, 0.5) == (128, 128)
    assert shares(10, 0.25) == (2, 8)
    assert shares(256, 0.001) == (1, 255)
    with pytest.raises(ValueError, match="ratio"):
        shares(256, 1.0)
    streams = Streams(SEEDS)
    spec = Spec(3, 2, SEEDS, dtype=torch.float64)
    online = Replay(spec, 30, envs=2)
    record(online, 20)
    n1, n2 = shares(8, 0.25)
    source = Mixed(Uniform(offline(), n1, streams, "off"), Uniform(online, n2, streams, "on"))
    index = source.indices(0, 6)[3]
    b = source.batch(index)
    assert source.batch_size == 8
    assert b.s.shape == (3, 8, 3)
    assert torch.equal(b.s[:, :2], offline().gather(index[:, :2]).s)
    assert torch.equal(b.s2[:, 2:], online.gather(index[:, 2:]).s2)
    assert torch.equal(b.r[:, 2:], online.gather(index[:, 2:]).r)


def test_mixed_sources_may_not_share_a_stream_and_need_the_same_columns(offline):
    replay, streams = offline(), Streams(SEEDS)
    with pytest.raises(ValueError, match="both sources draw from stream 'batch'"):
        Mixed(Uniform(replay, 2, streams), Uniform(replay, 2, streams))
    rich = offline(columns=("mc_return",), gamma=0.9)
    mixed = Mixed(Uniform(replay, 2, streams), Uniform(rich, 2, streams, "second"))
    with pytest.raises(ValueError, match="only one of the mixed sources has 'mc'"):
        mixed.batch(mixed.indices(0)[0])


def brute_force(log, capacity, envs, n, gamma, lane, row):
    """What an n-step transition from `row` must be, walking the recorded steps one by one."""
    slots, newest = capacity // envs, len(log) - 1
    slot, env = divmod(row, envs)
    t = newest - (newest - slot) % slots  # the newest step written to this slot
    total, m = 0.0, 0
    while True:
        step = {name: value[lane, env] for name, value in log[t + m].items()}
        total += gamma**m * step["r"]
        m += 1
        if step["terminated"] or step["truncated"] or m == n or t + m > newest:
            return total, gamma ** (m - 1) * (1 - step["terminated"]), step["s2"]


@pytest.mark.parametrize("steps", [1, 4, 9, 10, 23, 37])  # part filled, full, wrapped
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_n_step_equals_a_loop_over_the_recording(steps, n, record):
    envs, capacity, gamma = 3, 30, 0.8
    replay = Replay(Spec(3, 2, (0, 1), dtype=torch.float64), capacity, envs=envs)
    log = record(replay, steps, seed=steps)
    source = NStep(replay, replay.size, Streams((0, 1)), n, gamma)
    index = torch.arange(replay.size).expand(2, -1)
    b = source.batch(index)
    for lane in range(2):
        for row in range(replay.size):
            r, cont, s2 = brute_force(log, capacity, envs, n, gamma, lane, row)
            assert b.r[lane, row].item() == pytest.approx(r, abs=1e-12)
            assert b.cont[lane, row].item() == pytest.approx(cont, abs=1e-12)
            np.testing.assert_array_equal(b.s2[lane, row], s2)
    plain = replay.gather(index)
    assert torch.equal(b.s, plain.s)
    assert torch.equal(b.a, plain.a)


def test_n_step_offline_never_leaves_its_episode(store):
    data = store(seed=4, lengths=(5, 1, 4, 7))
    replay = Replay.from_store(data, Spec(3, 2, dtype=torch.float64), Transforms())
    gamma = torch.tensor([[0.5]], dtype=torch.float64)
    b = NStep(replay, 17, Streams((0,)), 4, gamma).batch(torch.arange(17)[None])
    for row in range(17):
        end = min(row + 3, int(data.ends[data.episode[row]]))
        powers = 0.5 ** np.arange(end - row + 1)
        assert b.r[0, row].item() == pytest.approx((data.reward[row : end + 1] * powers).sum())
        assert b.cont[0, row] == powers[-1] * (1 - data.terminated[end])
        np.testing.assert_array_equal(b.s2[0, row], data.next_obs[end])


def test_one_step_is_the_plain_batch_and_gamma_may_differ_by_lane(offline):
    replay = offline()
    index = Uniform(replay, 12, Streams(SEEDS)).indices(0)[0]
    assert_same(NStep(replay, 12, Streams(SEEDS), 1, 0.9).batch(index), replay.gather(index))
    gammas = torch.tensor([[0.9], [0.5], [0.1]], dtype=torch.float64)
    several = NStep(replay, 12, Streams(SEEDS), 3, gammas).batch(index)
    for lane, gamma in enumerate((0.9, 0.5, 0.1)):
        single = NStep(replay, 12, Streams(SEEDS), 3, gamma).batch(index)
        torch.testing.assert_close(several.r[lane], single.r[lane], rtol=1e-14, atol=0)
        torch.testing.assert_close(several.cont[lane], single.cont[lane], rtol=1e-14, atol=0)


def test_n_step_starts_can_be_weighted(offline):
    only = np.zeros(17)
    only[10] = 1
    source = NStep(offline(), 4, Streams(SEEDS), 3, 0.9, weights=only)
    assert set(source.indices(0).flatten().tolist()) == {10}


def test_batches_of_a_sampler_reuse_one_buffer(offline):
    source = Uniform(offline(), 6, Streams(SEEDS))
    first, second = source.indices(0, 2)
    s = source.batch(first).s
    kept = s.clone()
    source.batch(second)
    assert not torch.equal(s, kept)
    assert torch.equal(s, source.batch(second).s)


def test_discrete_actions_follow_the_indices(store):
    spec = Spec(3, Discrete(6), (0,))
    replay = Replay.from_store(store(actions=6), spec, Transforms())
    source = Uniform(replay, 40, Streams((0,)))
    index = source.indices(0, 2)
    for one in index:
        b = source.batch(one)
        assert b.a.dtype == torch.int64
        np.testing.assert_array_equal(b.a[0], store(actions=6).action[one[0]])


def test_no_global_generator_is_touched(offline):
    before = torch.get_rng_state()
    for source in kinds(offline(), SEEDS).values():
        source.batch(source.indices(0)[0])
    assert torch.equal(before, torch.get_rng_state())


class _Fixed(Streams):
    """Streams that answer the given numbers."""

    def __init__(self, numbers):
        super().__init__((0,))
        self.numbers = np.asarray(numbers)

    def draw(self, name, kind, step, shape, count=1):
        return self.numbers.reshape(1, 1, -1)


def test_draws_on_the_edge_of_a_weight_take_the_next_row_that_has_one(offline):
    weights = np.zeros(17)
    weights[[3, 8, 9]] = 0.5, 0.25, 0.25
    edges = _Fixed([0.0, 0.5, 0.75, np.nextafter(1, 0)])
    rows = Weighted(offline((0,)), 4, edges, weights).indices(0)
    assert rows.flatten().tolist() == [3, 8, 9, 9]


def test_the_next_action_of_an_n_step_transition_is_the_one_after_its_last_step(store):
    data = store()
    replay = Replay.from_store(data, Spec(3, 2), Transforms(), columns=("next_action",))
    b = NStep(replay, 17, Streams((0,)), 3, 0.9).batch(torch.arange(17)[None])
    for row in range(17):
        after = min(row + 3, data.ends[data.episode[row]])
        np.testing.assert_array_equal(b.a2[0, row], data.action[after])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["uniform", "weighted", "nstep", "mixed"])
def test_a_captured_graph_on_the_device_gives_the_batches_of_the_cpu(kind, record):
    def make(device):
        replay = Replay(Spec(3, 2, SEEDS, device=device), 20, envs=2)
        record(replay, 13)
        return replay, kinds(replay, SEEDS)[kind]

    (host, plain), (_, captured) = make("cpu"), make("cuda")
    indices = captured.indices(0, 5)
    assert torch.equal(indices.cpu(), plain.indices(0, 5))
    index = indices[0].clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        captured.batch(index)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        batch = captured.batch(index)
    for one in indices:
        index.copy_(one)
        graph.replay()
        expected = plain.batch(one.cpu())
        for name in ("s", "a", "r", "cont", "s2", "index"):
            assert torch.equal(getattr(batch, name).cpu(), getattr(expected, name)), name
    assert host.size == 20
