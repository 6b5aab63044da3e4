"""TD3+BC against closed forms and its reduction to cloning."""

import pytest
import torch

from rlkit.algos import bc, td3_bc
from rlkit.testing.cases import Case, make_batch


def test_value_loss_does_not_change_when_the_values_are_scaled() -> None:
    q = torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(td3_bc.value_loss(q, 2.5), q)
    scaled = (7 * q).detach().requires_grad_()
    (slope_scaled,) = torch.autograd.grad(td3_bc.value_loss(scaled, 2.5), scaled)
    torch.testing.assert_close(7 * slope_scaled, slope)


def test_fixed_point_of_the_one_dimensional_bandit() -> None:
    """Exact Q(a) = 1 - (a - ½)², data around 0, α = 2.5: π = 0.3592."""
    pi = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    for _ in range(4000):
        q = 1 - (pi - 0.5) ** 2
        loss = td3_bc.value_loss(q, 2.5) + (pi - 0.0).square().mean()
        (slope,) = torch.autograd.grad(loss, pi)
        pi = (pi - 0.01 * slope).detach().requires_grad_()
    assert float(pi.detach()) == pytest.approx(0.3592, abs=1e-4)


def test_alpha_zero_is_cloning() -> None:
    case = Case(td3_bc)
    spec, config = case.spec(), case.make_config(alpha=0.0, actor_period=1)
    ours = case.agent(spec, config)
    cloning = bc.Agent(spec, bc.Config(policy="deterministic", hidden=config.hidden))
    cloning.pi.load_state_dict(ours.pi.state_dict())
    for step in range(10):
        batch = make_batch(spec, ours, step)
        ours.update(batch, config)
        cloning.update(batch, bc.Config())
    for mine, its in zip(ours.pi.parameters(), cloning.pi.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-12)
