"""CQL against the closed form of its penalty and its reductions."""

import math

import pytest
import torch

from rlkit.algos import cql, sac
from rlkit.core.streams import Streams
from rlkit.testing.cases import Case, make_batch

CASE = Case(cql, config={"hidden_q": (8, 8), "n_actions": 10})


@pytest.mark.parametrize("value", [4.2, -1.0])
def test_penalty_of_a_constant_critic_and_a_uniform_policy(value: float) -> None:
    """With Q = c and log π = -A log 2 every column is c + A log 2: the penalty is that + log 30."""
    q = torch.full((2, 2, 12), value, dtype=torch.float64)
    drawn = torch.full((2, 2, 12, 30), value, dtype=torch.float64)
    log_prob = torch.full((2, 12, 30), -3 * math.log(2), dtype=torch.float64)
    got = cql.penalty(drawn, log_prob, q, 1.0)
    torch.testing.assert_close(got, torch.full_like(got, 3 * math.log(2) + math.log(30)))


def test_without_importance_the_data_action_joins() -> None:
    q = torch.full((2, 2, 12), -1.0, dtype=torch.float64)
    drawn = torch.full((2, 2, 12, 30), -1.0, dtype=torch.float64)
    got = cql.penalty(drawn, None, q, 1.0)
    torch.testing.assert_close(got, torch.full_like(got, math.log(31)))


def test_temperature_sharpens_the_soft_maximum() -> None:
    """T logsumexp(z / T): towards the maximum for a small T."""
    drawn, q = torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[0.5]]])
    none = torch.zeros(1, 1, 2)
    got = float(cql.penalty(drawn, none, q, 0.5))
    assert got == pytest.approx(0.5 * math.log(1 + math.exp(2)) - 0.5)
    assert float(cql.penalty(drawn, none, q, 0.01)) == pytest.approx(0.5, abs=1e-6)


def test_drawn_actions_are_constants_with_their_own_densities() -> None:
    spec, c = CASE.spec(), CASE.make_config(n_actions=4)
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    drawn = cql.draw(agent.pi, b)
    assert not drawn.actions.requires_grad
    assert not drawn.log_prob.requires_grad
    assert drawn.actions.shape == (2, 12, 12, 3)
    uniform, following, present = drawn.log_prob.chunk(3, -1)
    torch.testing.assert_close(uniform, torch.full_like(uniform, -3 * math.log(2)))
    for s, log_prob, actions in (
        (b.s2, following, drawn.next),
        (b.s, present, drawn.actions.chunk(3, 2)[2]),
    ):
        for k in range(4):
            torch.testing.assert_close(log_prob[..., k], agent.pi(s).log_prob(actions[:, :, k]))


def test_values_of_several_actions_are_those_of_each() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    a = torch.stack([b.a, -b.a, 0 * b.a], 2)
    got = cql.values(agent.q, b.s, a)
    for k in range(3):
        torch.testing.assert_close(got[..., k], agent.q(b.s, a[:, :, k]))


def test_best_backup_takes_the_best_of_the_smaller_values() -> None:
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    a = torch.stack([b.a, -b.a], 2)
    each = torch.stack([agent.q_bar(b.s2, x).amin(-2) for x in (b.a, -b.a)])
    y = b.r + 0.9 * b.cont * each.amax(0)
    found = cql.target(b, 0.9, agent.q_bar, agent.pi, a)
    torch.testing.assert_close(found[:, 0, :, 0], y)


def test_alpha_zero_is_sac_without_entropy_in_the_target() -> None:
    spec, c = CASE.spec(), CASE.make_config(alpha=0.0)
    ours = CASE.agent(spec, c)
    theirs_config = sac.Config(
        entropy_backup=False, lr=c.lr, lr_q=c.lr_q, lr_alpha=c.lr, hidden=(8, 8), batch_size=12
    )
    theirs = sac.Agent(spec, theirs_config)
    for step in range(10):
        b = make_batch(spec, ours, step)
        ours.update(b, c)
        theirs.update(b, theirs_config)
    for name in ("pi", "q", "q_bar", "log_alpha"):
        mine, its = (getattr(x, name).state_dict() for x in (ours, theirs))
        for key, tensor in mine.items():
            torch.testing.assert_close(tensor, its[key], rtol=0, atol=1e-12)


def test_the_critics_loss_does_not_reach_the_policy() -> None:
    """Gradients of target and penalty with respect to the policy do not exist; the critics' do."""
    spec, c = CASE.spec(), CASE.make_config()
    agent = CASE.agent(spec, c)
    b = make_batch(spec, agent, 0)
    drawn = cql.draw(agent.pi, b)
    y = cql.target(b, c.gamma, agent.q_bar, agent.pi)[:, 0, :, 0]
    held = cql.penalty(
        cql.values(agent.q, b.s, drawn.actions), drawn.log_prob, agent.q(b.s, b.a), 1.0
    )
    loss = (held + (agent.q(b.s, b.a) - y.unsqueeze(1)).square()).sum()
    nets = [*agent.pi.parameters(), *agent.q.parameters()]
    slopes = torch.autograd.grad(loss, nets, allow_unused=True)
    policy = len(list(agent.pi.parameters()))
    assert all(slope is None for slope in slopes[:policy])
    assert all(slope is not None for slope in slopes[policy:])


def test_values_of_random_actions_fall_below_the_datas() -> None:
    """The gap between data and uniform actions grows with α."""
    gaps, streams = [], Streams(CASE.spec().seeds)
    for alpha in (0.0, 1.0, 5.0):
        spec, c = CASE.spec(), CASE.make_config(alpha=alpha, lr_q=3e-3)
        agent = CASE.agent(spec, c)
        b = make_batch(spec, agent, 0)
        b = b._replace(cont=torch.zeros_like(b.cont))
        for step in range(60):  # the same rows with other noise
            noise = {
                name: torch.from_numpy(
                    streams.draw(name, d.kind, step, d.shape(spec, 12)).astype(float)[0]
                )
                for name, d in agent.noise.items()
            }
            agent.update(b._replace(noise=noise), c)
        uniform = 2 * noise["uniform"][:, :, 0] - 1
        gaps.append(float((agent.q(b.s, b.a) - agent.q(b.s, uniform)).detach().mean()))
    assert gaps[0] < gaps[1] < gaps[2]


@pytest.mark.parametrize("gap", [-5.0, 100.0])
def test_lagrange_weight_starts_at_alpha_and_follows_the_gap(gap: float) -> None:
    spec, c = CASE.spec(), CASE.make_config(lagrange=True, gap=gap, alpha=(2.0, 7.0))
    agent = CASE.agent(spec, c)
    first = agent.log_weight().detach().clone()
    torch.testing.assert_close(first.exp().flatten(), torch.tensor([2.0, 7.0]).double())
    agent.update(make_batch(spec, agent, 0), CASE.make_config(lagrange=True, gap=gap))
    assert bool((agent.log_weight() > first).all()) == (gap < 0)
