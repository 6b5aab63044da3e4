"""Foreign modules with a lane axis: equal to S separate modules, and refused where that fails."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target

SEEDS = (6, 0, 9)


def _spec(seeds: tuple[int, ...] = SEEDS) -> Spec:
    return Spec(4, 2, seeds, torch.float64)


def _stack() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(36, 5),
        nn.LayerNorm(5),
    )


def _x(lanes: int = 3) -> Tensor:
    return torch.sin(torch.arange(lanes * 6 * 2 * 25).double()).view(lanes, 6, 2, 5, 5)


def _separate(net: nets.Vmapped, lane: int, factory: Callable[[], nn.Module]) -> nn.Module:
    module = factory().double()
    names = [name for name, _ in module.named_parameters()]
    weights = {name: w[lane].detach() for name, w in zip(names, net.weights, strict=True)}
    module.load_state_dict(weights)
    return module


def test_equals_separate_modules_in_values_and_gradients() -> None:
    net, x = nets.Vmapped(nets.Init(_spec()), _stack), _x()
    out = net(x)
    assert out.shape == (3, 6, 5)
    gradients = torch.autograd.grad(out.pow(3).sum(), list(net.parameters()))
    for k in range(3):
        module = _separate(net, k, _stack)
        expected = module(x[k])
        assert torch.allclose(out[k], expected, rtol=0, atol=1e-12)
        own = torch.autograd.grad(expected.pow(3).sum(), list(module.parameters()))
        for laned, single in zip(gradients, own, strict=True):
            assert torch.allclose(laned[k], single, rtol=0, atol=1e-10)


def test_trains_and_is_followed_like_any_other_net() -> None:
    together = nets.Vmapped(nets.Init(_spec()), _stack)
    alone = nets.Vmapped(nets.Init(_spec((0,))), _stack)
    targets = []
    for net, x in ((together, _x()), (alone, _x()[1:2])):
        optimiser, target = Adam(net, 0.01, clip=0.5), Target(net)
        targets.append(target)
        before = target(x)
        for _ in range(5):
            optimiser((net(x) - 1).square().mean((1, 2)))
        assert torch.equal(target(x), before)
        target.follow(net, 0.5)
        assert not torch.equal(target(x), before)
    for p, q in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.allclose(p[1:2], q, rtol=0, atol=1e-11)
    assert torch.allclose(targets[0](_x())[1:2], targets[1](_x()[1:2]), rtol=0, atol=1e-11)


def test_a_lane_starts_the_same_in_any_company_and_all_differ() -> None:
    together = nets.Vmapped(nets.Init(_spec()), _stack)
    alone = nets.Vmapped(nets.Init(_spec((9,))), _stack)
    for p, q in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(p[2:], q)
    first = together.weights[0]
    assert not torch.equal(first[0], first[1])
    init = nets.Init(_spec())
    one, two = nets.Vmapped(init, _stack), nets.Vmapped(init, _stack)
    assert not torch.equal(one.weights[0], two.weights[0])


def test_global_generators_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state(), repr(np.random.get_state()), random.getstate()  # noqa: NPY002
    nets.Vmapped(nets.Init(_spec()), _stack)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert repr(np.random.get_state()) == before[1]  # noqa: NPY002
    assert random.getstate() == before[2]
    assert seeded == [], "the generators of CUDA were seeded and not restored"


def test_weights_come_from_the_seed_whatever_the_global_generator_holds() -> None:
    first = nets.Vmapped(nets.Init(_spec()), _stack)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(123)
        second = nets.Vmapped(nets.Init(_spec()), _stack)
    assert all(
        torch.equal(p, q) for p, q in zip(first.parameters(), second.parameters(), strict=True)
    )


class _TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.value = nn.Linear(4, 2), nn.Linear(3, 2), nn.Linear(2, 1)

    def forward(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        h = (self.one(x) * self.two(z)).tanh()
        return h, self.value(h).squeeze(-1)


def test_several_inputs_and_outputs() -> None:
    net = nets.Vmapped(nets.Init(_spec()), _TwoHeads)
    x = torch.sin(torch.arange(60).double()).view(3, 5, 4)
    outs = net(x, x[..., :3])
    assert [tuple(out.shape) for out in outs] == [(3, 5, 2), (3, 5)]
    for k in range(3):
        for out, own in zip(outs, _separate(net, k, _TwoHeads)(x[k], x[k, :, :3]), strict=True):
            assert torch.allclose(out[k], own, rtol=0, atol=1e-12)


class _Centred(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("centre", torch.rand(4))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x - self.centre)


def test_constant_buffers_are_per_lane_and_part_of_the_state() -> None:
    net, other = (
        nets.Vmapped(nets.Init(_spec()), _Centred),
        nets.Vmapped(nets.Init(_spec((1, 2, 3))), _Centred),
    )
    x = torch.ones(3, 5, 4).double()
    centre, bias = net.buffer_0, net.weights[1]
    assert centre.shape == (3, 4)
    assert not torch.equal(centre[0], centre[1])
    assert torch.equal(net(centre.unsqueeze(1)), bias.unsqueeze(1))
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x), net(x))
    assert torch.equal(other.buffer_0, centre)


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, nn.SyncBatchNorm])
def test_batch_norm_is_refused(layer: type[nn.Module]) -> None:
    with pytest.raises(ValueError, match="use LayerNorm or GroupNorm"):
        nets.Vmapped(nets.Init(_spec()), lambda: nn.Sequential(nn.Conv2d(2, 4, 3), layer(4)))


def test_other_layers_with_changing_buffers_are_refused() -> None:
    def factory() -> nn.Module:
        return nn.Sequential(nn.Conv2d(2, 4, 3), nn.InstanceNorm2d(4, track_running_stats=True))

    with pytest.raises(ValueError, match="keeps statistics"):
        nets.Vmapped(nets.Init(_spec()), factory)


def test_dropout_cannot_use_the_global_generator_silently() -> None:
    net = nets.Vmapped(nets.Init(_spec()), lambda: nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)))
    with pytest.raises(RuntimeError, match="random"):
        net(torch.ones(3, 5, 4).double())
