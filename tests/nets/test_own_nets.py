"""Torch modules of one's own as encoder or critic of any agent, without a copy of its file."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rlkit import nets
from rlkit.algos import cql_discrete, iql, sac
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.testing.cases import make_batch


class Q(nn.Module):
    """An ordinary critic of five numbers and three actions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, s: Tensor, a: Tensor) -> Tensor:
        return self.net(torch.cat([s, a], -1))


def features() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.ELU())


def pixels() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten())


def updated(module: Any, spec: Spec, steps: int = 3, **fields: Any) -> Any:
    c = resolve(module.Config(hidden=(8, 8), batch_size=12, **fields), spec)
    agent = module.Agent(spec, c)
    for step in range(steps):
        agent.update(make_batch(spec, agent, step), c)
    return agent


@pytest.mark.parametrize("module", [iql, sac])
def test_lanes_with_own_nets_equal_separate_runs(module: Any) -> None:
    kinds: dict[str, Any] = {"encoder": features, "critic": Q}
    together = updated(module, Spec(5, 3, (3, 0), torch.float64, **kinds))
    alone = updated(module, Spec(5, 3, (0,), torch.float64, **kinds))
    assert [p.shape[0] for p in together.q.parameters()] == [2] * 4
    assert together.pi.encoder.size == 7
    for mine, its in zip(alone.q.parameters(), together.q.parameters(), strict=True):
        torch.testing.assert_close(mine, its[1:], rtol=0, atol=1e-12)
    for mine, its in zip(alone.pi.parameters(), together.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, its[1:], rtol=0, atol=1e-12)


def test_members_are_copies_with_weights_of_their_own() -> None:
    spec = Spec(5, 3, (3, 0), torch.float64, critic=Q)
    q, b = nets.Critic(nets.Init(spec), n=4), make_batch(spec, None, 0)
    out = q(b.s, b.a)
    assert out.shape == (2, 4, 12)
    module = Q().double()
    for p, weight in zip(module.parameters(), q.parameters(), strict=True):
        p.data = weight[1, 2].detach()
    torch.testing.assert_close(out[1, 2], module(b.s[1], b.a[1]).squeeze(-1))
    assert len({round(float(x), 9) for x in out[..., 0].detach().flatten()}) == 8


def test_images_need_no_encoder_of_ours() -> None:
    spec = Spec((1, 6, 6), Discrete(4), (3, 0), encoder=pixels)
    agent = updated(cql_discrete, spec)
    assert agent.act(torch.rand(2, 3, 1, 6, 6)).shape == (2, 3)


def test_a_wrong_encoder_is_told_what_is_asked_of_it() -> None:
    spec = Spec(5, 3, encoder=lambda: nn.Unflatten(1, (5, 1)))
    with pytest.raises(ValueError, match=r"gives \(2, 5, 1\) .* must give \(2, features\)"):
        nets.Critic(nets.Init(spec))
