"""Q and V: shapes, independence of members, and the gather of discrete actions."""

import pytest
import torch
from torch import Tensor

from rlkit import nets
from rlkit.core.spec import Discrete, Spec

CONTINUOUS = Spec(4, 2, (6, 0), torch.float64)
DISCRETE = Spec(4, Discrete(3), (6, 0), torch.float64)


def _s(batch: int = 5) -> Tensor:
    return torch.sin(torch.arange(2 * batch * 4, dtype=torch.float64)).view(2, batch, 4)


def test_continuous_critic_sees_observation_then_action() -> None:
    q = nets.Critic(nets.Init(CONTINUOUS), (6,), n=3, norm="before")
    a = torch.cos(_s()[..., :2])
    assert q(_s(), a).shape == (2, 3, 5)
    assert torch.equal(q(_s(), a), q.mlp(torch.cat([_s(), a], -1))[..., 0])
    with pytest.raises(ValueError, match="no finite set"):
        q.all(_s())


def test_discrete_critic_gathers_the_value_of_the_action() -> None:
    q = nets.Critic(nets.Init(DISCRETE), (6,), n=3)
    a = torch.tensor([[0, 2, 1, 1, 0], [2, 2, 0, 1, 0]])
    table = q.all(_s())
    assert table.shape == (2, 3, 5, 3)
    out = q(_s(), a)
    for k in range(2):
        for j in range(3):
            for i in range(5):
                assert out[k, j, i] == table[k, j, i, a[k, i]]


def test_gradient_of_a_gathered_value_reaches_its_output_only() -> None:
    q = nets.Critic(nets.Init(DISCRETE), (), n=2)
    (gradient,) = torch.autograd.grad(q(_s(), torch.full((2, 5), 1)).sum(), [q.mlp.last.bias])
    assert torch.equal(gradient.squeeze(-2), torch.tensor([0.0, 5, 0]).expand(2, 2, 3).double())


@pytest.mark.parametrize("spec", [CONTINUOUS, DISCRETE])
def test_members_are_independent(spec: Spec) -> None:
    q = nets.Critic(nets.Init(spec), (6,), n=3, norm="after")
    a = torch.zeros(2, 5, dtype=torch.int64) if spec.discrete else _s()[..., :2]
    before = q(_s(), a)
    assert (before[:, 0] - before[:, 1]).abs().min() > 0
    with torch.no_grad():
        for p in q.parameters():
            p[:, 1].add_(0.1)
    after = q(_s(), a)
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    assert not torch.equal(after[:, 1], before[:, 1])


def test_values() -> None:
    single, several = (nets.Value(nets.Init(CONTINUOUS), (6,), n) for n in (0, 3))
    assert single(_s()).shape == (2, 5)
    assert several(_s()).shape == (2, 3, 5)


def test_one_member_keeps_its_axis() -> None:
    assert nets.Critic(nets.Init(CONTINUOUS), (6,), n=1)(_s(), _s()[..., :2]).shape == (2, 1, 5)


def test_observations_of_more_axes() -> None:
    grid = Spec((5, 6, 3), Discrete(3), (6, 0), torch.float64)
    s = torch.zeros(2, 4, 5, 6, 3, dtype=torch.uint8)
    assert nets.Critic(nets.Init(grid), (6,)).all(s).shape == (2, 2, 4, 3)
    assert nets.Value(nets.Init(grid), (6,))(s).shape == (2, 4)
