"""Observations into features; MiniGrid views against MiniGrid's own numbers."""

import pytest
import torch
from minigrid.core import constants
from torch import Tensor

from rlkit import nets
from rlkit.core.spec import Discrete, Spec
from rlkit.nets.encoders import _KINDS

SEEDS = (6, 0, 9)
SPEC = Spec((7, 7, 3), Discrete(7), SEEDS, torch.float64)


def _views(batch: int = 4, lanes: int = 3, size: tuple[int, int] = (7, 7)) -> Tensor:
    numbers = torch.arange(lanes * batch * size[0] * size[1]).view(lanes, batch, *size, 1) * 7
    return torch.cat([(numbers // 3) % k for k in _KINDS], -1).to(torch.uint8)


def test_vectors_pass_as_they_are() -> None:
    encoder = nets.encoder(nets.Init(Spec(4, 2)))
    x = torch.arange(24.0).view(1, 6, 4)
    assert isinstance(encoder, nets.Flatten)
    assert encoder.size == 4
    assert torch.equal(encoder(x), x)
    assert not list(encoder.parameters())


def test_tables_hold_every_number_minigrid_writes() -> None:
    directions = range(4)  # the agent's own cell has its direction as state
    largest = (
        max(constants.OBJECT_TO_IDX.values()),
        max(constants.COLOR_TO_IDX.values()),
        max(*constants.STATE_TO_IDX.values(), *directions),
    )
    assert tuple(n + 1 for n in largest) == _KINDS
    ids = (constants.OBJECT_TO_IDX, constants.COLOR_TO_IDX, constants.STATE_TO_IDX)
    assert min(min(table.values()) for table in ids) == 0


def test_no_view_of_minigrid_leaves_the_tables() -> None:
    import gymnasium
    from minigrid.wrappers import FullyObsWrapper

    for name in ("MiniGrid-DoorKey-5x5-v0", "MiniGrid-ObstructedMaze-1Dlhb-v0"):
        for wrap in (lambda e: e, FullyObsWrapper):
            with gymnasium.make(name) as env:
                wrapped = wrap(env)
                obs, _ = wrapped.reset(seed=3)
                actions = [0, 2, 2, 3, 1, 5, 2, 1, 3, 4, 2, 5, 0, 2] * 3
                views = [obs["image"], *(wrapped.step(a)[0]["image"] for a in actions)]
            spec = Spec(views[0].shape, Discrete(7), (1, 2))
            encoder = nets.encoder(nets.Init(spec))
            x = torch.stack([torch.from_numpy(v) for v in views])
            assert (x.flatten(0, 2).amax(0) < torch.tensor(_KINDS)).all()
            features = encoder(x.expand(2, *x.shape))
            assert features.shape == (2, len(views), encoder.size)
            assert features.isfinite().all()
            assert features[0].unique(dim=0).shape[0] > 3  # different views, different features


def test_shape_and_size_of_the_features() -> None:
    for size in ((7, 7), (5, 8)):
        spec = Spec((*size, 3), Discrete(7), SEEDS, torch.float64)
        encoder = nets.encoder(nets.Init(spec))
        assert isinstance(encoder, nets.GridEncoder)
        assert encoder.size == 32 * (size[0] - 4) * (size[1] - 4)
        assert encoder(_views(size=size)).shape == (3, 4, encoder.size)


def test_equals_one_hot_convolutions_lane_by_lane() -> None:
    encoder = nets.GridEncoder(nets.Init(SPEC))
    x = _views()
    out = encoder(x)
    for k in range(3):
        cells = [
            torch.nn.functional.one_hot(x[k, ..., c].long(), kinds).double() @ table[k]
            for c, (kinds, table) in enumerate(zip(_KINDS, encoder.tables, strict=True))
        ]
        h = torch.cat(cells, -1).permute(0, 3, 1, 2)  # [B, C, H, W]
        for kernel, bias in zip(encoder.kernels, encoder.biases, strict=True):
            h = torch.nn.functional.conv2d(h, kernel[k], bias[k]).relu()
        assert torch.allclose(out[k], h.flatten(1), rtol=0, atol=1e-12)


def test_lanes_are_independent() -> None:
    encoder = nets.GridEncoder(nets.Init(SPEC))
    before = encoder(_views())
    with torch.no_grad():
        for p in encoder.parameters():
            p[1].add_(0.3)
    x = _views()
    x[1] = 0
    after = encoder(x)
    assert torch.equal(after[[0, 2]], before[[0, 2]])
    assert not torch.equal(after[1], before[1])


def test_a_lane_is_the_same_in_any_company() -> None:
    alone = nets.GridEncoder(nets.Init(Spec((7, 7, 3), Discrete(7), (9,), torch.float64)))
    together = nets.GridEncoder(nets.Init(SPEC))
    for p, q in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(p[2:], q)
    assert torch.allclose(together(_views())[2:], alone(_views()[2:]), rtol=0, atol=1e-12)


def test_gradient_reaches_every_table_row_in_use_and_every_kernel() -> None:
    encoder = nets.GridEncoder(nets.Init(SPEC))
    x = _views(batch=8)
    gradients = torch.autograd.grad(encoder(x).square().sum(), list(encoder.parameters()))
    for gradient in gradients:
        assert gradient.flatten(1).abs().sum(1).gt(0).all()
    for c, gradient in enumerate(gradients[: len(_KINDS)]):
        for k in range(3):
            used = torch.bincount(x[k, ..., c].flatten().long(), minlength=_KINDS[c]) > 0
            assert torch.equal(gradient[k].abs().sum(1) > 0, used)


def test_an_id_outside_a_table_is_an_error_in_every_lane() -> None:
    """It must not read the next lane's table instead."""
    encoder = nets.GridEncoder(nets.Init(SPEC))
    for lane in range(3):
        x = _views()
        x[lane, 0, 0, 0, 0] = _KINDS[0]
        with pytest.raises((IndexError, ValueError, RuntimeError)):
            encoder(x)


@pytest.mark.parametrize("shape", [(4, 7, 3), (7, 3, 3)])
def test_views_too_small_for_the_convolutions(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="not a MiniGrid view"):
        nets.encoder(nets.Init(Spec(shape, Discrete(7))))


@pytest.mark.parametrize("shape", [(84, 84), (84, 84, 4), (2, 7, 7, 3)])
def test_unknown_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no encoder for observations of shape"):
        nets.encoder(nets.Init(Spec(shape, Discrete(7))))
