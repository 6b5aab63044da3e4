"""WSRL: what it takes over and what the warm-up leaves alone."""

import dataclasses

import pytest
import torch

from rlkit.algos import iql, sac, wsrl
from rlkit.core import state
from rlkit.testing.cases import Case, make_batch


def test_the_update_is_that_of_sac() -> None:
    """Ensemble, subset and no entropy in the target: SAC given the same configuration."""
    case = Case(sac)
    spec = case.spec()
    config = wsrl.Config(hidden=(8, 8), n_critics=3)
    same = sac.Config(**dataclasses.asdict(config))
    agents = []
    for module, c in ((wsrl, config), (sac, same)):
        agent = module.Agent(spec, c)
        for step in range(4):
            agent.update(make_batch(spec, agent, step), c, actor=step == 3)
        agents.append(state.tensors(agent))
    assert all(torch.equal(tensor, agents[1][name]) for name, tensor in agents[0].items())


def test_frozen_critics_keep_their_targets() -> None:
    case = Case(wsrl, config={"lr_q": 1e-30, "n_critics": 3})
    spec, config = case.spec(), case.make_config()
    agent = case.agent(spec, config)
    before = state.clone(agent)
    for step in range(3):
        agent.update(make_batch(spec, agent, step), config)
    after = state.tensors(agent)
    for name, tensor in before.items():
        if name.startswith(("q.", "q_bar.")):
            torch.testing.assert_close(after[name], tensor, rtol=0, atol=1e-12)


def test_the_policy_of_iql_keeps_its_mode_and_its_deviation_at_the_centre() -> None:
    case = Case(iql)
    spec, config = case.spec(), case.make_config()
    start = case.agent(spec, config)
    with torch.no_grad():
        start.pi.log_std += torch.tensor([-0.5, -1.0, -9.0], dtype=spec.dtype)
    agent = wsrl.Agent(spec, wsrl.inherit(wsrl.Config(), config))
    saved = wsrl.adopt(state.clone(start))
    state.load(agent, saved, only=("pi", "q", "q_bar", "step_q"))
    b = make_batch(spec, agent, 0)
    torch.testing.assert_close(agent.act(b.s), start.act(b.s))
    torch.testing.assert_close(agent.q(b.s, b.a), start.q(b.s, b.a))
    expected = torch.tensor([-0.5, -1.0, -5.0], dtype=spec.dtype)  # IQL's own lower bound
    torch.testing.assert_close(agent.pi(b.s).log_std, expected.expand_as(b.a))


def test_the_shapes_of_the_start_are_taken_over() -> None:
    from rlkit.algos import cql

    start = cql.Config(hidden=(32,), hidden_q=(64, 64), n_critics=5, norm="before")
    c = wsrl.inherit(wsrl.Config(lr=7e-4), start)
    assert (c.hidden, c.hidden_q, c.n_critics, c.norm) == ((32,), (64, 64), 5, "before")
    assert (c.subset, c.lr) == (2, pytest.approx(7e-4))
    assert wsrl.inherit(wsrl.Config(subset=4), iql.Config()).subset == 2
