"""SS-ORL: what is told, what is left alone, and what it is worth."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from rlkit.algos import decision_transformer, rebrac, ss_orl, td3_bc
from rlkit.algos.behind.rows import Completed
from rlkit.algos.imitation.inverse_dynamics import hide
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

SMALL: dict[str, Any] = {
    **{"given": "hidden=16,16 batch_size=64", "steps_idm": 500, "batch_idm": 128},
    **{"hidden_idm": (32, 32), "dropout_idm": 0.0, "lr_idm": 3e-3},
}
B = np.array([[0.5, 0.2], [-0.3, 0.4]])


def linear(episodes: int = 30, steps: int = 12, seed: int = 0) -> EpisodeStore:
    """s' = s + B a, with random actions; the reward is the first action."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(episodes):
        a = rng.uniform(-0.8, 0.8, (steps, 2)).astype(np.float32)
        moved = np.concatenate([0.2 * rng.standard_normal((1, 2)), a @ B.T]).cumsum(0)
        flags = {"terminated": np.zeros(steps, bool), "truncated": np.arange(steps) == steps - 1}
        found.append({"obs": moved.astype(np.float32), "action": a, "reward": a[:, 0], **flags})
    return EpisodeStore.from_episodes(found)


def stock_of(store: EpisodeStore, spec: Spec, columns: tuple[str, ...], gamma: Any = None) -> Stock:
    data = Replay.from_store(store, spec, Transforms(), columns=columns, gamma=gamma)
    return Stock(spec, Streams(spec.seeds), Transforms(), data)


def completed(store: EpisodeStore, c: ss_orl.Config, spec: Spec) -> Completed:
    agent = ss_orl.Agent(spec, c)
    store = ss_orl.select(store, c)
    source = ss_orl.source(stock_of(store, spec, agent.columns, c.gamma), agent, c)
    source.begin()
    return source


@pytest.mark.parametrize("past", [0, 1])
def test_a_linear_system_is_inverted_and_known_rows_stay(past: int) -> None:
    store, spec = linear(300, 4), Spec(2, 2, (0, 4))
    given = {"past": past, "labelled": 0.5, "threshold": 1.0, "hidden_idm": (64, 64)}
    c = ss_orl.Config(**SMALL | given | {"steps_idm": 1500})
    source = completed(store, c, spec)
    hidden = ss_orl.select(store, c)
    known = hidden.extra["action_known"]
    assert np.isnan(hidden.action[~known]).all()
    assert known.mean() == 0.5
    a, truth = source.rows.rows("a"), torch.from_numpy(store.action)
    assert torch.equal(a[:, known], truth[known].expand(2, -1, -1))
    error = (a - truth)[:, ~known].square().mean((-2, -1))
    assert error.max() < 1e-3  # last steps of episodes and, with k = 1, first ones among them
    assert not torch.equal(a[0], a[1])  # each lane has a model of its own
    assert source.maker.labels is not None
    assert source.maker.labels.variance.gt(0).all()


def test_no_action_of_an_unknown_row_is_read() -> None:
    """They are NaN in the replay, and one would spread; others in their place change nothing."""
    spec, c = Spec(2, 2, (0,)), ss_orl.Config(**SMALL | {"steps_idm": 20}, labelled=0.4)
    store = ss_orl.select(linear(), c)
    known = store.extra["action_known"]
    found = []
    for poison in (np.nan, 0.3):
        action = np.where(known[:, None], store.action, np.float32(poison))
        other = dataclasses.replace(store, action=action)
        found.append(completed(other, dataclasses.replace(c, labelled=1.0), spec).rows.rows("a"))
    assert found[0].isfinite().all()
    assert torch.equal(*found)


def test_with_all_actions_known_it_is_the_agent_behind_it() -> None:
    store, spec = linear(), Spec(2, 2, (0, 4))
    c = ss_orl.Config(**SMALL)
    ours = ss_orl.Agent(spec, c)
    stock = stock_of(ss_orl.select(store, c), spec, ours.columns)
    source = ss_orl.source(stock, ours, c)
    source.begin()
    theirs = td3_bc.Agent(spec, own := td3_bc.Config(hidden=(16, 16), batch_size=64))
    assert c.own == own
    plain = Uniform(stock_of(store, spec, ()).data, 64, Streams(spec.seeds))  # type: ignore[arg-type]
    mine = Engine(ours, c, spec, source).run(0, 6)
    its = Engine(theirs, own, spec, plain).run(0, 6)
    for name, value in its.items():
        assert torch.equal(mine[name], value), name
    for p, q in zip(ours.pi.parameters(), theirs.pi.parameters(), strict=True):
        assert torch.equal(p, q)


def test_any_offline_agent_may_stand_behind_it() -> None:
    store, spec = linear(), Spec(2, 2, (0, 4))
    for name, given in (
        ("rebrac", "hidden=8,8 norm=none"),
        ("decision_transformer", "width=8 layers=1 context=3 batch_size=4"),
    ):
        c = ss_orl.Config(**SMALL | {"steps_idm": 5, "agent": name, "given": given}, labelled=0.4)
        agent = ss_orl.Agent(spec, c)
        hidden = ss_orl.select(store, c)
        source = ss_orl.source(stock_of(hidden, spec, agent.columns, c.gamma), agent, c)
        source.begin()
        metrics = Engine(agent, c, spec, source).run(0, 2)
        assert all(torch.isfinite(x).all() for x in metrics.values())
    assert agent.history == 2
    assert isinstance(agent.inner, decision_transformer.Agent)


def test_next_actions_follow_the_labels() -> None:
    spec = Spec(2, 2, (0, 4))
    given = {"agent": "rebrac", "given": "hidden=8,8", "steps_idm": 5}
    source = completed(linear(), ss_orl.Config(**SMALL | given, labelled=0.4), spec)
    assert "next_action" in rebrac.Agent.columns
    a, a2 = source.rows.rows("a"), source.rows.rows("next_action")
    assert torch.equal(a2[:, :11], a[:, 1:12])
    assert torch.equal(a2[:, 11], a[:, 11])  # the last of an episode repeats its own


def test_a_source_goes_on_from_its_state() -> None:
    spec, c = Spec(2, 2, (0, 4)), ss_orl.Config(**SMALL | {"steps_idm": 5}, labelled=0.4)
    first = completed(linear(), c, spec)
    agent = ss_orl.Agent(spec, c)
    stock = stock_of(ss_orl.select(linear(), c), spec, agent.columns)
    second = ss_orl.source(stock, agent, c)
    second.load_state_dict({name: x.clone() for name, x in first.state_dict().items()})
    assert torch.equal(first.rows.rows("a"), second.rows.rows("a"))


def test_actions_are_hidden_as_in_the_paper() -> None:
    store = linear(20)
    hidden = hide(store, 0.2, 0.5, 3)
    known = np.unique(store.episode[hidden.extra["action_known"]])
    assert len(known) == 4
    assert store.returns()[known].max() <= np.sort(store.returns())[9]
    assert np.array_equal(hidden.reward, store.reward)
    assert len(np.unique(store.episode[hide(store, 0.9, 0.5, 3).extra["action_known"]])) == 10
    again = hide(hidden, 1.0, 1.0, 0)  # what was unknown stays unknown
    assert np.array_equal(again.extra["action_known"], hidden.extra["action_known"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agent": "iqll"}, "'iqll' is no algorithm"),
        ({"agent": "dqn"}, "one for continuous, offline is needed"),
        ({"given": "alpha"}, "write name=value"),
        ({"given": "alhpa=1"}, "alhpa"),
        ({"given": "alpha=-1"}, "alpha"),
        ({"given": "alpha=1,2"}, "lanes cannot differ"),
    ],
)
def test_what_is_no_agent_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ss_orl.Config(**given)


def test_data_without_any_action_are_refused() -> None:
    store = linear(2).with_columns(action_known=np.zeros(24, bool))
    with pytest.raises(UsageError, match="no action of the dataset is known"):
        ss_orl.select(store, ss_orl.Config())


def test_good_trajectories_without_actions_are_worth_having() -> None:
    """One step, s' = s + B a, the reward is s'_1: known actions point down, the better ones, which
    point up, are hidden. TD3+BC of a small α goes down on what is known; on the completed data it
    does not."""
    rng = np.random.default_rng(1)
    sign = np.repeat([-1.0, 1.0], 100)
    found = []
    for s in sign:
        a = (0.5 * s + rng.uniform(-0.3, 0.3, (1, 2))).astype(np.float32)
        obs = np.concatenate([np.zeros((1, 2)), a @ B.T]).astype(np.float32)
        flags = {"terminated": np.array([True]), "truncated": np.array([False])}
        found.append({"obs": obs, "action": a, "reward": obs[1:, 0], **flags})
    store, spec = EpisodeStore.from_episodes(found), Spec(2, 2, (0, 4))
    assert store.returns()[:100].max() < store.returns()[100:].min()
    # the model must reach beyond what it saw: it learns from actions on one side alone
    c = ss_orl.Config(
        **SMALL | {"given": "hidden=16,16 batch_size=64 lr=1e-3 alpha=0.3"}, labelled=0.5
    )
    hidden = ss_orl.select(store, c)
    assert hidden.extra["action_known"].tolist() == [True] * 100 + [False] * 100
    ours = ss_orl.Agent(spec, c)
    source = ss_orl.source(stock_of(hidden, spec, ours.columns), ours, c)
    source.begin()
    Engine(ours, c, spec, source).run(0, 400)
    theirs = td3_bc.Agent(spec, c.own)
    alone = Uniform(stock_of(store.select(range(100)), spec, ()).data, 64, Streams(spec.seeds))  # type: ignore[arg-type]
    Engine(theirs, c.own, spec, alone).run(0, 400)
    zero = torch.zeros(2, 1, 2)
    values = [agent.act(zero)[:, 0].detach().numpy() @ B.T[:, 0] for agent in (ours, theirs)]
    assert values[0].min() > 0
    assert values[1].max() < -0.15
