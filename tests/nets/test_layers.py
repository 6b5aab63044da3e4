"""Laned layers against torch's own, lane by lane and member by member."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlkit import nets
from rlkit.core.spec import Spec

SPEC = Spec(4, 2, (6, 0, 9), torch.float64)


def _x(batch: int = 5, size: int = 4, lanes: int = 3) -> Tensor:
    numbers = torch.arange(lanes * batch * size, dtype=torch.float64)
    return torch.sin(numbers * 0.9).view(lanes, batch, size)


def test_linear_equals_torch_in_every_lane() -> None:
    layer, x = nets.Linear(nets.Init(SPEC), 4, 7), _x()
    out = layer(x)
    assert out.shape == (3, 5, 7)
    for k in range(3):
        expected = F.linear(x[k], layer.weight[k].T, layer.bias[k, 0])
        assert torch.allclose(out[k], expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shared", [True, False])
def test_linear_of_an_ensemble_equals_torch_in_every_member(shared: bool) -> None:
    layer = nets.Linear(nets.Init(SPEC), 4, 7, n=2)
    x = _x() if shared else torch.stack([_x(), _x() + 1], 1)  # [S, B, in] or [S, n, B, in]
    out = layer(x)
    assert out.shape == (3, 2, 5, 7)
    for k in range(3):
        for j in range(2):
            own = x[k] if shared else x[k, j]
            expected = F.linear(own, layer.weight[k, j].T, layer.bias[k, j, 0])
            assert torch.allclose(out[k, j], expected, rtol=0, atol=1e-14)


def test_first_weights_have_the_law_of_torch() -> None:
    layer = nets.Linear(nets.Init(Spec(1, 1)), 100, 300, scale=0.5)
    bound = 0.5 / math.sqrt(100)
    weight, bias = layer.weight.detach(), layer.bias.detach()
    for p in (weight, bias):
        assert 0.95 * bound < float(p.abs().max()) <= bound
    assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert abs(float(weight.mean())) < 4 * bound / math.sqrt(3 * 30_000)


def test_a_lane_starts_the_same_in_any_company() -> None:
    together = nets.MLP(nets.Init(SPEC), 4, (6, 6), 2, n=3, norm="before")
    alone = nets.MLP(nets.Init(Spec(4, 2, (9,), torch.float64)), 4, (6, 6), 2, n=3, norm="before")
    for p, q in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(p[2:], q)


def test_every_lane_member_layer_and_net_starts_differently() -> None:
    init = nets.Init(SPEC)
    one, two = nets.Linear(init, 4, 4, n=2), nets.Linear(init, 4, 4, n=2)
    weights = torch.cat([one.weight.flatten(), two.weight.flatten(), one.bias.flatten()])
    assert weights.unique().numel() == weights.numel()


def test_constants() -> None:
    init = nets.Init(SPEC)
    single = init.constant((2, 3), 0.5)
    assert single.shape == (3, 2, 3)
    assert single.eq(0.5).all()
    per_lane = init.constant((2, 3), torch.tensor([[1.0], [2.0], [3.0]]))
    assert per_lane[:, 1, 2].tolist() == [1, 2, 3]
    assert per_lane.dtype == torch.float64
    values = torch.tensor([[1.0], [2.0], [3.0]])
    assert torch.equal(nets.Scalar(init, values)(), values.double())
    assert nets.Scalar(init, -0.5)().tolist() == [[-0.5]] * 3


@pytest.mark.parametrize("n", [0, 2])
def test_layer_norm_equals_torch(n: int) -> None:
    layer = nets.LayerNorm(nets.Init(SPEC), 4, n)
    with torch.no_grad():
        layer.gain.copy_(torch.cos(torch.arange(layer.gain.numel())).view_as(layer.gain))
        layer.shift.copy_(torch.sin(torch.arange(layer.gain.numel())).view_as(layer.gain))
    x = torch.stack([_x(), 3 * _x() + 1], 1) if n else _x()
    out = layer(x)
    for k in range(3):
        for j in range(max(n, 1)):
            at = (k, j) if n else (k,)
            expected = F.layer_norm(x[at], (4,), layer.gain[at][0], layer.shift[at][0], 1e-5)
            assert torch.allclose(out[at], expected, rtol=0, atol=1e-13)


def _reference(net: nets.MLP, at: tuple[int, ...], norm: str) -> nn.Sequential:
    """The same net of one lane (and member) in torch's own layers."""

    def linear(layer: nets.Linear) -> nn.Linear:
        own = nn.Linear(*layer.weight.shape[-2:], dtype=torch.float64)
        own.weight.data, own.bias.data = layer.weight[at].T, layer.bias[at][0]
        return own

    def layer_norm(layer: nets.LayerNorm) -> nn.LayerNorm:
        own = nn.LayerNorm(layer.gain.shape[-1], dtype=torch.float64)
        own.weight.data, own.bias.data = layer.gain[at][0], layer.shift[at][0]
        return own

    stack: list[nn.Module] = []
    for k, layer in enumerate(net.layers):
        tail: list[nn.Module] = [nn.ReLU()]
        if norm != "none":
            tail.insert(0 if norm == "before" else 1, layer_norm(net.norms[k]))
        stack += [linear(layer), *tail]
    return nn.Sequential(*stack, linear(net.last))


@pytest.mark.parametrize("norm", ["none", "before", "after"])
@pytest.mark.parametrize("n", [0, 2])
def test_mlp_equals_a_stack_of_torch_layers(norm: nets.Norm, n: int) -> None:
    net = nets.MLP(nets.Init(SPEC), 4, (6, 5), 2, n, norm)
    with torch.no_grad():
        for p in net.norms.parameters():
            p.add_(torch.sin(torch.arange(p.numel())).view_as(p))
    x = _x()
    out = net(x)
    assert out.shape == ((3, n, 5, 2) if n else (3, 5, 2))
    for k in range(3):
        for j in range(max(n, 1)):
            at = (k, j) if n else (k,)
            expected = _reference(net, at, norm)(x[k])
            assert torch.allclose(out[at], expected, rtol=0, atol=1e-13)
    assert len(net.norms) == (0 if norm == "none" else 2)


def test_no_hidden_layers_is_linear_and_last_scale_shrinks_the_end() -> None:
    net = nets.MLP(nets.Init(SPEC), 4, (), 2)
    assert torch.allclose(net(_x()) + net(-_x()), 2 * net(0 * _x()), rtol=0, atol=1e-14)
    small = nets.MLP(nets.Init(SPEC), 4, (6,), 2, last_scale=0.01)
    plain = nets.MLP(nets.Init(SPEC), 4, (6,), 2)
    assert torch.allclose(small(_x()), 0.01 * plain(_x()), rtol=1e-12, atol=0)


def test_unknown_norm() -> None:
    with pytest.raises(ValueError, match="norm 'batch' is unknown; use none, before or after"):
        nets.MLP(nets.Init(SPEC), 4, (6,), 2, norm="batch")  # type: ignore[arg-type]
