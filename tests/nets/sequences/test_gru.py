"""The laned GRU: torch's own numbers, lanes, resets, gradients."""

import pytest
import torch

from rlkit import nets
from rlkit.core.optim import Adam
from rlkit.core.spec import Spec
from rlkit.nets.sequences.gru import gru_cell

SPEC = Spec(3, 1, (4, 9), torch.float64)


def layer(spec=SPEC, n_in=3, width=5):
    return nets.GRU(nets.Init(spec), n_in, width)


def inputs(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def torch_layer(gru, lane):
    """torch's layer with the weights of a lane."""
    other = torch.nn.GRU(gru.weight.shape[1], gru.width, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        other.weight_ih_l0.copy_(gru.weight[lane].T)
        other.weight_hh_l0.copy_(gru.recurrent[lane].T)
        other.bias_ih_l0.copy_(gru.bias[lane, 0])
        other.bias_hh_l0.copy_(gru.recurrent_bias[lane, 0])
    return other


def test_states_are_those_of_torch():
    gru, x, h = layer(), inputs(2, 4, 6, 3), inputs(2, 4, 5, seed=1)
    out = gru(x, h)
    for lane in range(2):
        expected, _ = torch_layer(gru, lane)(x[lane], h[lane][None])
        torch.testing.assert_close(out[lane], expected)


def test_steps_one_by_one_are_the_sequence():
    gru, x = layer(), inputs(2, 4, 6, 3)
    out, h = gru(x), gru.start(4)
    for t in range(6):
        h = gru.step(x[:, :, t], h)
        torch.testing.assert_close(h, out[:, :, t])


def test_resets_begin_anew():
    gru, x = layer(), inputs(2, 4, 6, 3)
    keep = torch.ones(2, 4, 6, dtype=torch.float64)
    keep[0, 1, 3] = 0
    out, plain = gru(x, keep=keep), gru(x)
    torch.testing.assert_close(out[0, 1, 3:], gru(x[:, :, 3:])[0, 1])
    torch.testing.assert_close(out[0, 1, :3], plain[0, 1, :3])
    torch.testing.assert_close(out[1], plain[1])


def test_lanes_are_their_own():
    x = inputs(2, 4, 6, 3)
    both = layer()
    alone = layer(Spec(3, 1, (9,), torch.float64))
    torch.testing.assert_close(both(x)[1], alone(x[1:])[0])
    assert not torch.allclose(both.weight[0], both.weight[1])
    (grad,) = torch.autograd.grad(both(x)[0].sum(), both.recurrent)
    assert grad[0].abs().sum() > 0
    assert grad[1].abs().sum() == 0


def test_first_weights_lie_within_their_bound():
    gru = layer(width=16)
    for p in gru.parameters():
        assert p.abs().max() <= 0.25
        assert p.abs().max() > 0.2


def test_the_cell_takes_any_leading_axes_and_no_bias():
    """Weights drawn per particle, as variational recommenders have them."""
    given, h, recurrent = inputs(2, 3, 4, 15), inputs(2, 3, 4, 5), inputs(2, 3, 5, 15)
    out = gru_cell(given, h, recurrent)
    assert out.shape == (2, 3, 4, 5)
    torch.testing.assert_close(out[1, 2], gru_cell(given[1, 2], h[1, 2], recurrent[1, 2]))
    zero = torch.zeros(2, 3, 1, 15, dtype=torch.float64)
    torch.testing.assert_close(out, gru_cell(given, h, recurrent, zero))


def test_gates_by_hand():
    h = torch.tensor([[0.4]], dtype=torch.float64)
    given = torch.tensor([[0.3, -0.2, 0.5]], dtype=torch.float64)
    recurrent = torch.tensor([[1.0, 2.0, -1.0]], dtype=torch.float64)
    r, u = torch.sigmoid(torch.tensor(0.7)), torch.sigmoid(torch.tensor(0.6))
    n = torch.tanh(0.5 + r * -0.4)
    expected = (1 - u) * n + u * 0.4
    assert gru_cell(given, h, recurrent).item() == pytest.approx(expected.item(), abs=1e-6)


def test_it_learns_to_carry_the_first_input_to_the_end():
    spec = Spec(1, 1, (0, 1))
    init = nets.Init(spec)
    gru, head = nets.GRU(init, 1, 8), nets.Linear(init, 8, 1)
    net = torch.nn.ModuleList([gru, head])
    optimiser = Adam(net, 0.02)
    rng = torch.Generator().manual_seed(0)
    for _ in range(250):
        x = torch.rand(2, 32, 5, 1, generator=rng) * 2 - 1
        error = head(gru(x)[:, :, -1]).squeeze(-1) - x[:, :, 0, 0]
        loss = optimiser(error.square().mean(-1))
    assert (loss < 0.05).all()  # the variance of the input is 1/3
