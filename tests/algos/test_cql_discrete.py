"""Discrete CQL against its closed-form fixed points and its reduction to double DQN."""

import pytest
import torch
import torch.nn.functional as F

from rlkit.algos import cql_discrete
from rlkit.testing.cases import Case, make_batch


@pytest.mark.parametrize(
    ("alpha", "values"),
    [(0.1, (0.0587, 0.7652)), (0.5, (0.1930, 0.2281)), (1.0, (0.2687, -0.0748))],
)
def test_fixed_point_of_the_tabular_bandit(alpha: float, values: tuple[float, float]) -> None:
    """π_β = (0.8, 0.2), r = (0, 1), ½ squared error: the sheet's table, and E_β Q = E_β r."""
    a = torch.tensor([0, 0, 0, 0, 1])
    r = torch.tensor([0.0, 0, 0, 0, 1], dtype=torch.float64)
    q = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    for _ in range(8000):
        error = cql_discrete.td_loss(q[a], r, 1e9)
        loss = error + alpha * cql_discrete.conservative_loss(q.expand(5, 2), q[a])
        (slope,) = torch.autograd.grad(loss, q)
        q = (q - 0.2 * slope).detach().requires_grad_()
    assert q.tolist() == pytest.approx(values, abs=1e-4)
    assert float(q.detach() @ torch.tensor([0.8, 0.2], dtype=torch.float64)) == pytest.approx(0.2)


def test_td_loss_is_hubers() -> None:
    q, y = torch.linspace(-3, 3, 13), torch.zeros(13)
    torch.testing.assert_close(cql_discrete.td_loss(q, y, 0.7), F.huber_loss(q, y, delta=0.7))


def test_alpha_zero_is_double_dqn() -> None:
    case = Case(cql_discrete, discrete=True)
    spec, config = case.spec(), case.make_config(alpha=0.0)
    agent = case.agent(spec, config)
    batch = make_batch(spec, agent, 0)
    best = agent.q.all(batch.s2)[:, 0].argmax(-1, keepdim=True)
    target = agent.q_bar.net.all(batch.s2)[:, 0].gather(-1, best).squeeze(-1)
    y = batch.r + config.gamma * batch.cont * target
    expected = F.huber_loss(agent.q(batch.s, batch.a)[:, 0], y, reduction="none").mean(-1)
    torch.testing.assert_close(agent.update(batch, config)["q_loss"], expected.detach())


def test_action_missing_from_the_data_loses_value() -> None:
    case = Case(cql_discrete, discrete=True)
    spec, config = case.spec(), case.make_config(alpha=5.0)
    agent = case.agent(spec, config)
    batch = make_batch(spec, agent, 0)
    batch = batch._replace(a=batch.a.clamp(max=1))  # the last action never occurs
    before = agent.q.all(batch.s)[:, 0, :, -1].mean(-1)
    for _ in range(20):
        agent.update(batch, config)
    assert (agent.q.all(batch.s)[:, 0, :, -1].mean(-1) < before).all()
