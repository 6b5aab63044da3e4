"""Targets move by `follow` alone."""

import pytest
import torch

from rlkit import nets
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.core.target import Target

SPEC = Spec(3, 2, (4, 1, 8), torch.float64)


def _net() -> nets.MLP:
    return nets.MLP(nets.Init(SPEC), 3, (4,), 2, n=2, norm="before")


def _x() -> torch.Tensor:
    return torch.linspace(-1, 1, 18, dtype=torch.float64).view(3, 2, 3)


def _train(net: nets.MLP, steps: int = 3) -> None:
    optimiser = Adam(net, 0.1)
    for _ in range(steps):
        optimiser((net(_x()) - 1).square().mean((1, 2, 3)))


def test_starts_as_an_equal_but_separate_copy() -> None:
    net = _net()
    target = Target(net)
    assert torch.equal(target(_x()), net(_x()))
    stored = {p.data_ptr() for p in net.parameters()}
    assert not stored & {p.data_ptr() for p in target.net.parameters()}
    assert not any(p.requires_grad for p in target.net.parameters())
    assert not target(_x()).requires_grad


@pytest.mark.parametrize("trained_before", [False, True])
def test_training_the_net_leaves_the_target_alone(trained_before: bool) -> None:
    net = _net()
    if trained_before:
        _train(net)
    target = Target(net)
    before = target(_x())
    _train(net)
    assert torch.equal(target(_x()), before)
    assert not torch.equal(net(_x()), before)


def test_gradients_pass_through_the_target_to_its_input_only() -> None:
    net = _net()
    target = Target(net)
    x = _x().requires_grad_()
    (gradient,) = torch.autograd.grad(target(x).sum(), [x])
    assert gradient.abs().sum() > 0
    assert all(p.grad is None for p in net.parameters())


def test_moving_the_target_leaves_the_net_alone() -> None:
    net = _net()
    target = Target(net)
    _train(net)
    before = [p.detach().clone() for p in net.parameters()]
    target.follow(net, 0.3)
    target.follow(net)
    assert all(torch.equal(p, q) for p, q in zip(before, net.parameters(), strict=True))


def test_polyak_average_of_every_parameter() -> None:
    net = _net()
    target = Target(net)
    old = [p.clone() for p in target.net.parameters()]
    for _ in range(2):
        _train(net)
        target.follow(net, 0.2)
        new = [p.detach().clone() for p in net.parameters()]
        old = [p + 0.2 * (q - p) for p, q in zip(old, new, strict=True)]
    for expected, p in zip(old, target.net.parameters(), strict=True):
        assert torch.allclose(p, expected, rtol=0, atol=1e-15)


def test_polyak_per_lane_equals_one_number_in_each_lane() -> None:
    net = _net()
    _train(net)
    steps = (0.0, 0.3, 1.0)
    laned = Target(_net())
    laned.follow(net, torch.tensor(steps, dtype=torch.float64).unsqueeze(-1))
    for k, step in enumerate(steps):
        single = Target(_net())
        single.follow(net, step)
        for p, q in zip(laned.net.parameters(), single.net.parameters(), strict=True):
            assert torch.equal(p[k], q[k])


def test_hard_copy_is_exact() -> None:
    net = _net()
    target = Target(net)
    _train(net)
    target.follow(net)
    for p, q in zip(target.net.parameters(), net.parameters(), strict=True):
        assert torch.equal(p, q)


def test_state_loads_in_place_and_is_followed_from_there() -> None:
    net, target, other = _net(), Target(_net()), Target(_net())
    _train(net)
    target.follow(net, 0.4)
    where = other.flat.data.data_ptr()
    other.load_state_dict(target.state_dict())
    assert other.flat.data.data_ptr() == where
    for each in (target, other):
        each.follow(net, 0.5)
    assert torch.equal(target.flat.data, other.flat.data)
    assert torch.equal(target(_x()), other(_x()))
