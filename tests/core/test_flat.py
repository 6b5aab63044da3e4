"""One buffer holds every parameter, and the net computes with views of it."""

import copy

import pytest
import torch
from torch import nn

from rlkit import nets
from rlkit.core.flat import flatten
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec

SPEC = Spec(3, 2, (5, 1), torch.float64)


def _net(spec: Spec = SPEC) -> nets.MLP:
    return nets.MLP(nets.Init(spec), 3, (4,), 2, norm="before")


def _x(lanes: int = 2) -> torch.Tensor:
    return torch.linspace(-1, 1, lanes * 6, dtype=torch.float64).view(lanes, 2, 3)


def test_flattening_changes_no_value_and_aliases_every_parameter() -> None:
    plain, net = _net(), _net()
    flat = flatten(net)
    assert torch.equal(net(_x()), plain(_x()))
    assert flat.data.numel() == sum(p.numel() for p in net.parameters())
    assert flat.names == [name for name, _ in net.named_parameters()]
    flat.data.zero_()
    assert all(not p.any() for p in net.parameters())
    assert net(_x()).eq(0).all()
    with torch.no_grad():
        net.last.bias.fill_(3.0)
    assert flat.data.sum() == 3 * net.last.bias.numel()


def test_views_have_the_shapes_of_the_parameters_and_are_contiguous() -> None:
    net = _net()
    flat = flatten(net)
    for p, view in zip(net.parameters(), flat.views(torch.zeros_like(flat.data)), strict=True):
        assert view.shape == p.shape
        assert view.is_contiguous()
        assert p.is_contiguous()
        assert p.is_leaf
        assert p.requires_grad


def test_a_net_is_flattened_once() -> None:
    net = _net()
    assert flatten(net) is flatten(net)


def test_per_lane_values_reach_the_numbers_of_their_lane() -> None:
    net = _net()
    flat = flatten(net)
    spread = flat.per_lane(torch.tensor([[2.0], [3.0]]))
    for view in flat.views(spread):
        assert view[0].eq(2).all()
        assert view[1].eq(3).all()


def test_square_sums_are_per_lane() -> None:
    net = _net()
    expected = [sum(p[k].square().sum() for p in net.parameters()).item() for k in range(2)]
    flat = flatten(net)
    assert flat.square_sums(flat.data).tolist() == pytest.approx(expected, rel=1e-14)


def test_loading_weights_keeps_the_buffer() -> None:
    net, other = _net(), _net(Spec(3, 2, (8, 9), torch.float64))
    flat = flatten(net)
    net.load_state_dict(other.state_dict())
    assert torch.equal(flat.data, flatten(other).data)


def test_nets_without_parameters_or_lanes_are_refused() -> None:
    with pytest.raises(ValueError, match="Identity has no parameters"):
        flatten(nn.Identity())
    with pytest.raises(ValueError, match=r"parameter 'bias' .* nets\.Vmapped"):
        flatten(_without_lanes())


def _without_lanes() -> nn.Module:
    module = nn.Module()
    module.weight = nn.Parameter(torch.zeros(3, 2))
    module.bias = nn.Parameter(torch.zeros(2))
    return module


def _train(net: nn.Module, optimiser: Adam) -> None:
    optimiser(net(_x()).square().mean((1, 2)))


def test_a_copy_of_a_flattened_net_trains_on_its_own() -> None:
    net = _net()
    _train(net, Adam(net, 0.1))
    twin = copy.deepcopy(net)
    before = [p.detach().clone() for p in net.parameters()]
    _train(twin, Adam(twin, 0.1))
    pairs = list(zip(before, net.parameters(), twin.parameters(), strict=True))
    assert all(torch.equal(old, p) for old, p, _ in pairs)
    assert any(not torch.equal(old, p) for old, _, p in pairs), "the copy did not learn"


def test_a_copy_of_a_net_and_its_optimiser_goes_on_like_the_original() -> None:
    net = _net()
    optimiser = Adam(net, 0.1)
    _train(net, optimiser)
    twin, twin_optimiser = copy.deepcopy((net, optimiser))
    for one, its_optimiser in ((net, optimiser), (twin, twin_optimiser)):
        _train(one, its_optimiser)
    pairs = zip(net.parameters(), twin.parameters(), strict=True)
    assert all(torch.equal(p, q) and p.data_ptr() != q.data_ptr() for p, q in pairs)


def test_flattening_a_part_never_strands_the_whole() -> None:
    """Either it is refused, or an optimiser of the whole goes on moving the part."""
    net = _net()
    optimiser = Adam(net, 0.1)
    try:
        flatten(net.layers[0])
    except ValueError:
        return
    before = net.layers[0].weight.detach().clone()
    _train(net, optimiser)
    assert not torch.equal(net.layers[0].weight, before)
