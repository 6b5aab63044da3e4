"""Images of minibatches that are shifted at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.prioritised import Prioritised
from rlkit.data.sampling.samplers import Paired, Uniform
from rlkit.data.sampling.shifting import Shifted, shifted

SPEC = Spec((2, 10, 11), Discrete(3), (5, 2), image=True)


def filled(spec: Spec = SPEC, rows: int = 20) -> Replay:
    replay, rng = Replay(spec, rows), np.random.default_rng(0)
    none = np.zeros((spec.lanes, 1), bool)
    for _ in range(rows):
        s, s2 = (rng.integers(0, 256, (spec.lanes, 1, *spec.obs), np.uint8) for _ in range(2))
        replay.add(s, none * 1, none * 1.0, none, ~none, s2)
    return replay


def padded_crop(images: Tensor, dy: Tensor, dx: Tensor, pad: int) -> Tensor:
    """As the paper has it: the border is repeated outwards, and a window of the old size cut."""
    out = torch.empty_like(images)
    for k, i in np.ndindex(images.shape[:2]):
        wide = F.pad(images[k, i][None].double(), (pad,) * 4, mode="replicate")[0]
        y, x = int(dy[k, i]) + pad, int(dx[k, i]) + pad
        out[k, i] = wide[:, y : y + images.shape[-2], x : x + images.shape[-1]].to(torch.uint8)
    return out


def test_a_shift_is_a_crop_of_the_padded_image() -> None:
    replay, streams = filled(), Streams(SPEC.seeds)
    plain, source = (
        Uniform(replay, 6, streams),
        Shifted(Uniform(replay, 6, streams), SPEC, streams, 4),
    )
    index = source.indices(3, 2)
    assert torch.equal(index[..., :6], plain.indices(3, 2))  # the same rows as without
    for i in range(2):
        own, b = plain.batch(index[i, :, :6]), source.batch(index[i])
        for x, y, numbers in (
            (own.s, b.s, index[i, :, 6:12]),
            (own.s2, b.s2, index[i, :, 12:]),
        ):
            dy, dx = source.offsets(numbers)
            assert torch.equal(y, padded_crop(x, dy, dx, 4))
        assert torch.equal(own.r, b.r)
        assert b.s.dtype == torch.uint8


def test_every_shift_is_as_likely_as_any_other() -> None:
    streams = Streams(SPEC.seeds)
    source = Shifted(Uniform(filled(), 5, streams), SPEC, streams, 1)
    numbers = source.indices(0, 900)[..., 5:]
    dy, dx = source.offsets(numbers)
    assert dy.unique().tolist() == dx.unique().tolist() == [-1, 0, 1]
    counts = torch.bincount(numbers.flatten(), minlength=9).double()
    expected = counts.sum() / 9
    assert ((counts - expected) ** 2 / expected).sum() < 26.1  # 0.1% of chi² with 8 degrees
    assert not torch.equal(numbers[0, 0], numbers[0, 1])  # a lane has its own


def test_lanes_shift_alike_in_any_company() -> None:
    alone = Spec(SPEC.obs, SPEC.act, (2,), image=True)
    many = Shifted(Uniform(filled(), 5, Streams((5, 2))), SPEC, Streams((5, 2)), 3)
    one = Shifted(Uniform(filled(alone), 5, Streams((2,))), alone, Streams((2,)), 3)
    assert torch.equal(many.indices(7, 3)[:, 1:], one.indices(7, 3))


def test_no_shift_at_all_leaves_images_alone() -> None:
    images = torch.arange(2 * 3 * 2 * 10 * 11).reshape(2, 3, 2, 10, 11)
    none = torch.zeros(2, 3, dtype=torch.int64)
    assert torch.equal(shifted(images, none, none, (3, 4)), images)
    with pytest.raises(ValueError, match="pad 0 must be at least 1"):
        Shifted(Uniform(filled(), 5, Streams((5, 2))), SPEC, Streams((5, 2)), 0)


def test_the_rows_of_an_expert_are_shifted_too() -> None:
    streams = Streams(SPEC.seeds)
    pair = Paired(Uniform(filled(), 4, streams, "a"), Uniform(filled(), 3, streams, "b"))
    source = Shifted(pair, SPEC, streams, 2)
    index = source.indices(0, 1)[0]
    own, b = pair.batch(index[:, :7]), source.batch(index)
    assert b.other is not None
    assert own.other is not None
    dy, dx = source.offsets(index[:, 7:14][:, 4:])
    assert torch.equal(b.other.s, padded_crop(own.other.s, dy, dx, 2))


def test_priorities_find_their_rows() -> None:
    streams = Streams(SPEC.seeds)
    source = Shifted(Prioritised(Uniform(filled(), 4, streams), streams), SPEC, streams, 2)
    index = source.indices(0, 1)[0]
    batch: Batch = source.batch(index)
    assert batch.w is not None
    source.learned(index, torch.full((2, 4), 7.0))
    inner = source.source
    powers = torch.from_numpy(inner._sums[:, inner._first_leaf :])
    assert torch.allclose(powers.gather(1, index[:, :4]), torch.tensor(7.0).double() ** 0.6)


def test_vectors_are_not_shifted() -> None:
    spec = Spec(4, 2)
    with pytest.raises(ValueError, match="no images to be shifted"):
        Shifted(Uniform(Replay(spec, 5), 2, Streams((0,))), spec, Streams((0,)), 2)
