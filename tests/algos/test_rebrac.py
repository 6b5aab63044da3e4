"""ReBRAC against closed forms and its reduction to TD3+BC."""

import numpy as np
import pytest
import torch

from rlkit.algos import bc, rebrac, td3_bc
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.testing.cases import Case, make_batch

CASE = Case(rebrac)


def test_without_the_critics_weight_it_is_td3_bc() -> None:
    """β_c = 0, β_a = 1 / (α A), one critic's value for the minimum: TD3+BC's slope over α."""
    alpha, config = 2.5, CASE.make_config(beta_critic=0.0, norm="none", lr=1e-30, actor_period=1)
    spec = CASE.spec()
    agent = CASE.agent(spec, config)
    with torch.no_grad():  # twins, so that the minimum is the first
        for p in agent.q.parameters():
            p[:, 1] = p[:, 0]
    b = make_batch(spec, agent, 0)
    a = agent.pi(b.s).mode
    params = list(agent.pi.parameters())
    ours = rebrac.distance(a, b.a).mean(-1) / (alpha * spec.act_size) + td3_bc.value_loss(
        agent.q(b.s, a).amin(-2), 1.0
    )
    theirs = td3_bc.value_loss(agent.q(b.s, a)[:, 0], alpha) + bc.square_loss(a, b.a)
    for mine, its in zip(
        torch.autograd.grad(ours.sum(), params, retain_graph=True),
        torch.autograd.grad(theirs.sum(), params),
        strict=True,
    ):
        torch.testing.assert_close(alpha * mine, its, rtol=0, atol=1e-12)


def test_no_penalty_where_the_next_action_is_the_datas() -> None:
    spec, config = CASE.spec(), CASE.make_config(smooth=0.0, actor_period=1)
    targets = []
    for weight in (0.0, 5.0):
        agent = CASE.agent(spec, config)
        b = make_batch(spec, agent, 0)
        b = b._replace(a2=agent.pi_bar(b.s2).mode.detach())
        c = CASE.make_config(smooth=0.0, beta_critic=weight)
        targets.append(agent.update(b, c, actor=False)["q"])
    assert torch.equal(*targets)


def test_the_penalty_is_the_squared_distance_and_ends_with_the_episode() -> None:
    spec = CASE.spec()
    q = {}
    for weight in (0.0, 1.0):
        agent = CASE.agent(spec, CASE.make_config())
        b = make_batch(spec, agent, 0)
        q[weight] = agent.update(b, CASE.make_config(smooth=0.0, beta_critic=weight), actor=False)
    agent = CASE.agent(spec, CASE.make_config())
    far = rebrac.distance(agent.pi_bar(b.s2).mode, b.a2)
    expected = (0.99 * b.cont * far).mean(-1)  # rows with cont 0 pay nothing
    torch.testing.assert_close(q[0.0]["q"] - q[1.0]["q"], expected)


def _stock() -> Stock:
    """Rows of three episodes of 4 steps: one terminates, two are cut off."""
    rng, spec = np.random.default_rng(0), Spec(2, 1, (0,))
    end = np.arange(4) == 3
    episodes = [
        {
            "obs": rng.standard_normal((5, 2)),
            "action": rng.uniform(-1, 1, (4, 1)),
            "reward": np.ones(4),
            "terminated": end & terminates,
            "truncated": end & (not terminates),
        }
        for terminates in (True, False, False)
    ]
    store = EpisodeStore.from_episodes(episodes)
    data = Replay.from_store(store, spec, Transforms(), columns=("next_action",))
    return Stock(spec, Streams(spec.seeds), Transforms(), data=data)


def test_rows_that_were_cut_off_are_not_drawn() -> None:
    stock, c = _stock(), rebrac.Config(batch_size=400)
    drawn = rebrac.source(stock, rebrac.Agent(stock.spec, c), c).indices(0, 1)
    assert set(drawn.flatten().tolist()) == set(range(12)) - {7, 11}


def test_it_wants_a_dataset_alone() -> None:
    stock, c = _stock(), rebrac.Config()
    with pytest.raises(UsageError, match="give a dataset, no env"):
        rebrac.source(stock._replace(data=None, replay=stock.data), None, c)  # type: ignore[arg-type]
