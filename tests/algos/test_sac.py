"""SAC against closed forms."""

import math

import pytest
import torch

from rlkit.algos import sac
from rlkit.algos.common import q_loss
from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.testing.cases import Case, make_batch


def test_losses_by_hand() -> None:
    qs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])  # [n, B]
    y = torch.tensor([1.0, 1.0])
    assert float(q_loss(qs, y)) == pytest.approx((0 + 1) / 2 + (4 + 4) / 2)
    log_prob = torch.tensor([-1.0, 0.5])
    assert float(sac.pi_loss(qs, log_prob, torch.tensor(0.2))) == pytest.approx(
        ((-0.2 - 1.0) + (0.1 + 1.0)) / 2
    )
    assert float(sac.alpha_loss(torch.tensor(2.0), log_prob, -3.0)) == pytest.approx(
        -2.0 * (-4.0 - 2.5) / 2
    )


@pytest.mark.parametrize(("entropy_per_dim", "direction"), [(-50.0, -1), (50.0, 1)])
def test_temperature_moves_the_entropy_to_its_target(
    entropy_per_dim: float, direction: int
) -> None:
    """α falls while the entropy is above the target, and grows while it is below."""
    case = Case(sac)
    spec, config = case.spec(), case.make_config(entropy=entropy_per_dim)
    agent = case.agent(spec, config)
    start = agent.log_alpha().detach().clone()
    agent.update(make_batch(spec, agent, 0), config)
    assert ((agent.log_alpha() - start).sign() == direction).all()


def test_target_of_terminal_rows_is_the_reward() -> None:
    case = Case(sac)
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    batch = make_batch(spec, agent, 0)
    metrics = agent.update(batch._replace(cont=torch.zeros_like(batch.cont)), config)
    torch.testing.assert_close(metrics["q"], batch.r.mean(-1))


def test_bandit_policy_is_the_boltzmann_one() -> None:
    """r = -(a - 0.3)² / (2 · 0.1²), α = 1, every step terminal: π ∝ e^r is N(0.3, 0.1²)."""
    spec = Spec(1, 1, (0, 1))
    config = sac.Config(alpha=1.0, learn_alpha=False, hidden=(32, 32), lr=1e-3, lr_q=3e-3)
    agent = sac.Agent(spec, config)
    rng = torch.Generator().manual_seed(0)
    lanes, rows = spec.lanes, 64
    s = torch.ones(lanes, rows, 1)
    for _ in range(2000):
        a = torch.rand(lanes, rows, 1, generator=rng) * 2 - 1
        a[:, ::2] = 0.3 + 0.2 * torch.randn(lanes, rows // 2, 1, generator=rng)
        a = a.clamp(-1, 1)
        r = (-((a - 0.3) ** 2) / (2 * 0.1**2)).squeeze(-1)
        noise = {name: torch.randn(lanes, rows, 1, generator=rng) for name in agent.noise}
        agent.update(Batch(s, a, r, torch.zeros(lanes, rows), s, noise=noise), config)
    eps = torch.randn(lanes, 4000, 1, generator=rng)
    sample = agent.pi(s[:, :1].expand(lanes, 4000, 1)).sample(eps).detach()
    assert (sample.mean(1) - 0.3).abs().max() < 0.03
    assert (sample.std(1) - 0.1).abs().max() < 0.03


def test_actor_waits_for_its_period() -> None:
    case = Case(sac)
    spec, config = case.spec(), case.make_config(actor_period=2)
    agent = case.agent(spec, config)
    before = [p.detach().clone() for p in agent.pi.parameters()]
    metrics = agent.update(make_batch(spec, agent, 0), config, actor=False)
    assert "pi_loss" not in metrics
    assert all(torch.equal(x, y) for x, y in zip(before, agent.pi.parameters(), strict=True))
    assert agent.periods == {"actor": 2}


def test_first_temperature_is_the_configured_one() -> None:
    case = Case(sac)
    agent = case.agent(case.spec(), case.make_config(alpha=0.2))
    assert agent.log_alpha().detach().flatten().tolist() == pytest.approx([math.log(0.2)] * 2)
