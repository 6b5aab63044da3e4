"""CQL against the closed form of its penalty and its reductions; Cal-QL as a bound."""

import math

import pytest
import torch

from rlkit.algos import cql
from rlkit.core.batch import Batch
from rlkit.testing.cases import Case, make_batch

CASE = Case(cql, config={"hidden_q": (8, 8), "n_actions": 10})


def constant_critic(agent: cql.Agent, value: float) -> None:
    with torch.no_grad():
        agent.q.mlp.last.weight.zero_()
        agent.q.mlp.last.bias.fill_(value)


def prepared(value: float, **config: object) -> tuple[cql.Agent, cql.Config, Batch, torch.Tensor]:
    """An agent whose critic says `value` everywhere, a batch, and drawn actions of 3 sources."""
    spec, c = CASE.spec(), CASE.make_config(**config)
    agent = CASE.agent(spec, c)
    constant_critic(agent, value)
    batch = make_batch(spec, agent, 0)
    drawn = torch.zeros(spec.lanes, 12, 30, 3, dtype=torch.float64)
    return agent, c, batch, drawn


def test_penalty_of_a_constant_critic_and_a_uniform_policy() -> None:
    """With Q = c and log π = -A log 2 every column is c + A log 2: the penalty is that + log 30."""
    agent, c, batch, drawn = prepared(4.2)
    log_prob = torch.full((2, 12, 10), -3 * math.log(2), dtype=torch.float64)
    q = agent.q(batch.s, batch.a)
    got = agent.conservative(batch, c, q, drawn, (log_prob, log_prob))
    torch.testing.assert_close(got, torch.full_like(got, 3 * math.log(2) + math.log(30)))


def test_without_importance_the_data_action_joins() -> None:
    agent, c, batch, drawn = prepared(-1.0, importance=False)
    log_prob = torch.full((2, 12, 10), 99.0, dtype=torch.float64)  # must not matter
    q = agent.q(batch.s, batch.a)
    got = agent.conservative(batch, c, q, drawn, (log_prob, log_prob))
    torch.testing.assert_close(got, torch.full_like(got, math.log(31)))


def test_calibration_lifts_the_policys_columns_only() -> None:
    log_prob = torch.zeros(2, 12, 10, dtype=torch.float64)
    agent, c, batch, drawn = prepared(0.0, calibrated=True)
    q = agent.q(batch.s, batch.a)
    low = batch._replace(mc=torch.full_like(batch.r, -1e9))
    plain = agent.conservative(low, c, q, drawn, (log_prob, log_prob))
    again = prepared(0.0)
    torch.testing.assert_close(
        plain, again[0].conservative(low, again[1], q, drawn, (log_prob, log_prob))
    )
    high = batch._replace(mc=torch.full_like(batch.r, 5.0))
    lifted = agent.conservative(high, c, q, drawn, (log_prob, log_prob))
    expected = math.log(10 * 8 + 20 * math.exp(5))  # uniform columns keep 0 + A log 2
    torch.testing.assert_close(lifted, torch.full_like(lifted, expected))


def test_the_critics_loss_leaves_the_policy_alone() -> None:
    """With a policy rate of 0 the penalty still moves the critics, and nothing else."""
    spec, c = CASE.spec(), CASE.make_config(lr=0.0)
    agent = CASE.agent(spec, c)
    before = [p.detach().clone() for p in agent.pi.parameters()]
    agent.update(make_batch(spec, agent, 0), c)
    assert all(torch.equal(x, y) for x, y in zip(before, agent.pi.parameters(), strict=True))


def test_values_of_random_actions_fall_below_the_datas() -> None:
    """The gap between data and uniform actions grows with α."""
    gaps = []
    for alpha in (0.0, 1.0, 5.0):
        spec, c = CASE.spec(), CASE.make_config(alpha=alpha, lr_q=3e-3)
        agent = CASE.agent(spec, c)
        for step in range(60):
            b = make_batch(spec, agent, 0)  # the same rows with other noise
            noise = make_batch(spec, agent, step).noise
            agent.update(b._replace(noise=noise, cont=torch.zeros_like(b.cont)), c)
        uniform = 2 * b.noise["uniform"][:, :, 0] - 1
        gaps.append(float((agent.q(b.s, b.a) - agent.q(b.s, uniform)).detach().mean()))
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize("gap", [-5.0, 100.0])
def test_lagrange_weight_follows_the_gap(gap: float) -> None:
    spec, c = CASE.spec(), CASE.make_config(lagrange=True, gap=gap)
    agent = CASE.agent(spec, c)
    agent.update(make_batch(spec, agent, 0), c)
    rises = (agent.log_weight() > 0).all()
    assert bool(rises) == (gap < 0)
