"""Prioritised replay against the sums it stands for, whatever the ring does meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.torch
import torch

from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.prioritised import EPSILON, Prioritised
from rlkit.data.sampling.samplers import NStep, Uniform
from rlkit.data.transforms import Transforms

SEEDS = (3, 8, 5)


def ring(capacity=20, envs=1, seeds=SEEDS, dtype=torch.float64):
    return Replay(Spec(3, 2, seeds, dtype=dtype), capacity, envs=envs)


def source(replay, batch=6, **kw):
    streams = Streams(replay.spec.seeds)
    return Prioritised(Uniform(replay, batch, streams), streams, **kw)


def powers(prioritised):
    """p^α of the filled rows `[S, size]`."""
    return prioritised.state_dict()["powers"].numpy()


def teach(prioritised, errors):
    """Gives every filled row the error `errors [S, size]`."""
    prioritised.indices(0)
    rows = torch.arange(errors.shape[1]).expand(errors.shape)
    prioritised.learned(rows, torch.as_tensor(errors))


def errors_of(replay, seed=0):
    return np.random.default_rng(seed).exponential(size=(replay.spec.lanes, replay.size))


# --- drawing ----------------------------------------------------------------------------------
@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_frequencies_lie_within_three_sigma_of_the_powers(alpha, record):
    replay = ring(17, seeds=(0, 1))
    record(replay, 17)
    prioritised = source(replay, 8, alpha=alpha)
    teach(prioritised, errors_of(replay))
    drawn = prioritised.indices(0, 3000).numpy()
    for lane in range(2):
        p = (errors_of(replay)[lane] + EPSILON) ** alpha
        p /= p.sum()
        counts, n = np.bincount(drawn[:, lane].ravel(), minlength=17), drawn[:, lane].size
        assert (np.abs(counts - n * p) <= 3 * np.sqrt(n * p * (1 - p)) + 1e-9).all()


def test_every_equal_slice_of_the_sum_gives_one_row(record):
    replay = ring()
    record(replay, 13)
    prioritised, batch = source(replay, alpha=0.8), 6
    teach(prioritised, errors_of(replay))
    u = Streams(SEEDS).draw("batch", "uniform", 4, (batch,), 5)
    drawn = prioritised.indices(4, 5)
    for lane in range(3):
        ends = powers(prioritised)[lane].cumsum()
        places = (np.arange(batch) + u[:, lane]) / batch * ends[-1]
        expected = np.searchsorted(ends, places, side="right")
        np.testing.assert_array_equal(drawn[:, lane], expected)


def test_rows_without_error_are_drawn_and_empty_ones_never(record):
    class Edges(Streams):
        def draw(self, name, kind, step, shape, count=1):
            return np.full((count, len(self.seeds), *shape), np.nextafter(1, 0))

    replay = ring(50)
    record(replay, 3)
    streams = Edges(SEEDS)
    prioritised = Prioritised(Uniform(replay, 6, streams), streams, alpha=0.5)
    teach(prioritised, np.zeros((3, 3)))
    assert prioritised.indices(1).unique().tolist() == [0, 1, 2]


def test_a_lane_draws_the_same_in_any_company(record):
    whole, single = ring(), ring(seeds=(8,))
    log = record(whole, 15)
    for step in log:
        single.add(**{name: value[1:2] for name, value in step.items()})
    alphas = torch.tensor([[0.2], [0.7], [1.0]])
    together = source(whole, alpha=alphas, beta=alphas / 2, beta_steps=10)
    alone = source(single, alpha=float(alphas[1]), beta=float(alphas[1]) / 2, beta_steps=10)
    for step in range(8):
        index, own = together.indices(step)[0], alone.indices(step)[0]
        assert torch.equal(index[1:2], own)
        assert torch.equal(together.batch(index).w[1:2], alone.batch(own).w)
        error = together.batch(index).r.abs()
        together.learned(index, error)
        alone.learned(own, error[1:2])
    np.testing.assert_array_equal(powers(together)[1:2], powers(alone))


def test_a_dataset_shared_by_the_lanes_has_priorities_of_each(store):
    replay = Replay.from_store(store(), Spec(3, 2, SEEDS), Transforms())
    prioritised = source(replay, alpha=1.0)
    teach(prioritised, errors_of(replay))
    for lane, row in enumerate((2, 9, 16)):
        errors = powers(prioritised) - EPSILON
        errors[lane] = 0
        errors[lane, row] = 1e9
        teach(prioritised, errors)
    assert prioritised.indices(1)[0].tolist() == [[2] * 6, [9] * 6, [16] * 6]


# --- weights ----------------------------------------------------------------------------------
def test_weights_are_the_papers_over_the_batchs_largest(record):
    replay = ring()
    record(replay, 13)
    prioritised = source(replay, beta=0.4, beta_steps=100)
    teach(prioritised, errors_of(replay))
    for step, beta in ((0, 0.4), (50, 0.7), (100, 1.0), (1000, 1.0)):
        index = prioritised.indices(step)[0]
        p = powers(prioritised)
        chance = np.take_along_axis(p, index.numpy(), 1) / p.sum(1, keepdims=True)
        w = (13 * chance) ** -beta
        got = prioritised.batch(index).w
        assert got.dtype == torch.float64
        np.testing.assert_allclose(got, w / w.max(1, keepdims=True), rtol=1e-12)


def test_equal_priorities_have_weight_one_and_rows_are_the_readers(record):
    replay = ring(dtype=torch.float32)
    record(replay, 9)
    prioritised = source(replay)
    index = prioritised.indices(0)[0]
    batch, plain = prioritised.batch(index), replay.gather(index)
    assert torch.equal(batch.w, torch.ones(3, 6))
    for name in ("s", "a", "r", "cont", "s2", "index"):
        assert torch.equal(getattr(batch, name), getattr(plain, name)), name


def test_n_step_rows_are_those_of_nstep(record):
    replay, streams = ring(20, envs=2), Streams(SEEDS)
    record(replay, 25)
    reader = NStep(replay, 6, streams, 3, 0.9)
    prioritised = Prioritised(reader, streams)
    teach(prioritised, errors_of(replay))
    index = prioritised.indices(0)[0]
    batch = prioritised.batch(index)
    expected = NStep(replay, 6, streams, 3, 0.9).batch(index)
    for name in ("s", "a", "r", "cont", "s2"):
        assert torch.equal(getattr(batch, name), getattr(expected, name)), name
    assert not torch.equal(batch.r, replay.gather(index).r)
    assert batch.w is not None


# --- the ring ---------------------------------------------------------------------------------
@pytest.mark.parametrize("envs", [1, 3])
def test_any_course_of_adding_and_learning_equals_a_plain_table(envs, record):
    """Against a dictionary that is told of every step; the ring goes round several times."""
    replay, rng, alpha = ring(30, envs), np.random.default_rng(0), 0.7
    prioritised, slots = source(replay, alpha=alpha), 30 // envs
    table = np.zeros((3, 30))
    written = 0
    for turn in range(60):
        steps = int(rng.integers(0, 5 if turn % 10 else slots))
        record(replay, steps, seed=turn)
        places = [(written + k) % slots * envs for k in range(steps)]
        written += steps
        for top in (np.zeros(3), None):  # what is overwritten is gone before the largest is taken
            top = np.where(table.max(1) > 0, table.max(1), 1.0) if top is None else top
            for at in places:
                table[:, at : at + envs] = top[:, None]
        if written == 0:
            continue
        index = prioritised.indices(turn)[0]
        np.testing.assert_array_equal(powers(prioritised), table[:, : replay.size])
        assert int(index.max()) < replay.size
        # several draws of one row come with one error, as they do from a net
        errors = np.take_along_axis(rng.exponential(size=(3, 30)) * 0.95**turn, index.numpy(), 1)
        prioritised.learned(index, torch.from_numpy(errors))
        np.put_along_axis(table, index.numpy(), (errors + EPSILON) ** alpha, 1)
        np.testing.assert_array_equal(powers(prioritised), table[:, : replay.size])
    assert written > 3 * slots


def test_new_rows_get_the_largest_priority_still_there(record):
    replay = ring(5)
    record(replay, 4)
    prioritised = source(replay, alpha=1.0)
    prioritised.indices(0)
    np.testing.assert_array_equal(powers(prioritised), np.ones((3, 4)))
    teach(prioritised, np.array([[0.5, 2.0, 0.1, 0.3]] * 3) - EPSILON)
    record(replay, 2)  # the second overwrites row 0
    prioritised.indices(1)
    np.testing.assert_allclose(powers(prioritised), [[2.0, 2.0, 0.1, 0.3, 2.0]] * 3)
    teach(prioritised, np.array([[0.1, 0.2, 0.1, 0.3, 0.1]] * 3) - EPSILON)
    record(replay, 1)  # row 1; the 2.0 of before is gone
    prioritised.indices(2)
    np.testing.assert_allclose(powers(prioritised), [[0.1, 0.3, 0.1, 0.3, 0.1]] * 3)


def test_rows_overwritten_between_drawing_and_learning_stay_new(record):
    replay = ring(6)
    record(replay, 6)
    prioritised = source(replay, alpha=1.0)
    prioritised.indices(0)
    record(replay, 2)  # rows 0 and 1 are others now
    index = torch.tensor([[0, 1, 2, 3, 0, 5]]).expand(3, -1)
    prioritised.learned(index, torch.full((3, 6), 7.0))
    expected = [1, 1, 7 + EPSILON, 7 + EPSILON, 1, 7 + EPSILON]
    np.testing.assert_array_equal(powers(prioritised), [expected] * 3)


def test_a_change_touches_one_path_a_row(record):
    """Nodes of the tree that change: the depth a row, and each is the sum of its children."""
    replay = ring(1000, seeds=(0,))
    record(replay, 1000)
    prioritised = source(replay, 4)
    prioritised.indices(0)
    before = prioritised._sums.copy(), prioritised._maxima.copy()
    index = torch.tensor([[3, 500, 741, 999]])
    prioritised.learned(index, torch.tensor([[1.0, 20.0, 3.0, 0.1]]))
    for tree, old in zip((prioritised._sums, prioritised._maxima), before, strict=True):
        assert (tree != old).sum() <= 4 * 11
    sums, maxima = prioritised._sums[0], prioritised._maxima[0]
    inner = np.arange(1, 1024)
    np.testing.assert_array_equal(sums[inner], sums[2 * inner] + sums[2 * inner + 1])
    largest = np.maximum(maxima[2 * inner], maxima[2 * inner + 1])
    np.testing.assert_array_equal(maxima[inner], largest)


# --- resuming ---------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [7, 26])
def test_a_restored_source_goes_on_bit_for_bit(steps, record):
    """Whichever of source and replay is restored first."""

    def go_on(replay, prioritised, first):
        found = []
        for step in range(first, first + 6):
            record(replay, 2, seed=step)
            index = prioritised.indices(step)[0]
            batch = prioritised.batch(index)
            found += [index, batch.w.clone(), batch.r.clone()]
            prioritised.learned(index, batch.r.abs())
        return [*found, torch.from_numpy(powers(prioritised))]

    replay = ring(20, envs=2)
    record(replay, steps)
    prioritised = source(replay)
    go_on(replay, prioritised, 0)
    record(replay, 1)  # not yet seen by the source when all is saved
    saved = safetensors.torch.load(safetensors.torch.save(prioritised.state_dict()))
    rows = {name: x.clone() for name, x in replay.state_dict().items()}
    other = ring(20, envs=2)
    restored = source(other)
    restored.load_state_dict(saved)
    other.load_state_dict(rows)
    for a, b in zip(go_on(replay, prioritised, 6), go_on(other, restored, 6), strict=True):
        assert torch.equal(a, b)


def test_state_of_another_shape_is_refused(record):
    replay, small = ring(20), ring(4)
    record(replay, 12)
    prioritised = source(replay)
    prioritised.indices(0)
    with pytest.raises(ValueError, match=r"\(3, 12\); \(3, 4\) is expected"):
        source(small).load_state_dict(prioritised.state_dict())
    with pytest.raises(ValueError, match=r"\(1, 12\) is expected"):
        source(ring(20, seeds=(1,))).load_state_dict(prioritised.state_dict())


# --- errors -----------------------------------------------------------------------------------
def test_unusable_numbers_are_refused(record):
    replay = ring()
    with pytest.raises(ValueError, match="replay is empty"):
        source(replay).indices(0)
    record(replay, 3)
    with pytest.raises(ValueError, match=r"alpha is .*between 0 and 1"):
        source(replay, alpha=torch.tensor([[0.5], [1.5], [0.5]]))
    with pytest.raises(ValueError, match=r"beta is .*-0\.1"):
        source(replay, beta=-0.1)
    with pytest.raises(ValueError, match="beta_steps 0"):
        source(replay, beta_steps=0)
    prioritised = source(replay)
    errors = torch.ones(3, 6)
    errors[1, 2] = torch.nan
    with pytest.raises(ValueError, match="priorities of seed 8 are not finite"):
        prioritised.learned(prioritised.indices(0)[0], errors)


def test_no_global_generator_is_touched(record):
    replay = ring()
    record(replay, 5)
    before = torch.get_rng_state()
    prioritised = source(replay)
    prioritised.batch(prioritised.indices(0)[0])
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_the_device_as_on_the_cpu(record):
    sources = []
    for device in ("cpu", "cuda"):
        replay = Replay(Spec(3, 2, SEEDS, device=device), 20, envs=2)
        record(replay, 13)
        sources.append(source(replay))
    for step in range(5):
        index, other = (s.indices(step)[0] for s in sources)
        assert torch.equal(index, other.cpu())
        first, second = sources[0].batch(index), sources[1].batch(other)
        torch.testing.assert_close(first.w, second.w.cpu())
        sources[0].learned(index, first.r.abs())
        sources[1].learned(other, second.r.abs())


# --- what a new row gets ----------------------------------------------------------------------
def test_a_new_row_gets_the_largest_priority_of_the_rows_still_there(record):
    replay = ring(4, seeds=(0,))
    record(replay, 4)
    prioritised = source(replay, 2, alpha=1.0)
    teach(prioritised, np.array([[100.0, 1.0, 1.0, 1.0]]) - EPSILON)
    record(replay, 1)  # over row 0
    prioritised.indices(0)
    np.testing.assert_allclose(powers(prioritised), [[1, 1, 1, 1]], rtol=1e-12)


@pytest.mark.parametrize("envs", [1, 2])
@pytest.mark.parametrize("between", range(1, 14))
def test_any_number_of_turns_may_pass_between_two_draws(record, between, envs):
    replay = ring(5 * envs, envs, seeds=(0, 1))
    record(replay, 3)
    prioritised = source(replay, 2, alpha=1.0)
    errors = 10.0 + np.arange(2 * 3 * envs).reshape(2, -1)
    teach(prioritised, errors)
    record(replay, between)
    prioritised.indices(0)
    old = [k for k in range(3) if k + 5 >= 3 + between]  # steps not overwritten
    rows = np.array([k * envs + e for k in old for e in range(envs)], int)
    expected = np.ones((2, min(5, 3 + between) * envs))
    if rows.size:
        expected[:] = errors[:, rows].max(1, keepdims=True) + EPSILON
        expected[:, rows] = errors[:, rows] + EPSILON
    np.testing.assert_allclose(powers(prioritised), expected, rtol=1e-12)
