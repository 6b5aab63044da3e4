"""P-IQL: a reduction to IQL, the effect of a constant, the fit of its reward, resume."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from rlkit.algos import iql, p_iql
from rlkit.algos.preference.feedback import pair_dataset
from rlkit.core import state
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms

OBS = 3
NETS = {"hidden": (16,), "batch_size": 32}


def make_store(discrete=False, seed=0) -> EpisodeStore:
    """Episodes with r = s_0 - |a|²/2 (or s_0 + a/2); every other one terminates."""
    rng = np.random.default_rng(seed)
    episodes = []
    for k in range(30):
        n = int(rng.integers(12, 40))
        obs = rng.normal(size=(n + 1, OBS)).astype(np.float32)
        action = rng.integers(3, size=n) if discrete else rng.uniform(-1, 1, (n, 2))
        cost = action / 2 if discrete else -np.square(action).sum(-1) / 2
        last = np.arange(n) == n - 1
        episodes.append(
            {
                "obs": obs,
                "action": action if discrete else action.astype(np.float32),
                "reward": obs[:-1, 0] + cost,
                "terminated": last & (k % 2 == 0),
                "truncated": last & (k % 2 == 1),
            }
        )
    return EpisodeStore.from_episodes(episodes)


def prepared(seeds=(0, 3), discrete=False, transforms=None, **config):
    spec = Spec(OBS, Discrete(3) if discrete else 2, seeds, torch.float64)
    values = {"pairs": 40, "length": 6, "hidden_reward": (16,), "passes": 5, "lr_reward": 1e-3}
    if "preferences" in config:  # the answers are there: nobody is asked
        del values["pairs"], values["length"]
    c = p_iql.Config(**values | NETS | config)
    transforms = Transforms() if transforms is None else transforms
    data = Replay.from_store(make_store(discrete), spec, transforms)
    stock = Stock(spec, Streams(seeds), transforms, data)
    agent = p_iql.Agent(spec, c)
    return agent, p_iql.source(stock, agent, c), c, stock


def test_the_config_has_all_of_iql() -> None:
    """The agent is IQL's and reads IQL's fields."""
    ours, theirs = asdict(p_iql.Config()), asdict(iql.Config())
    assert {name: ours.get(name, "missing") for name in theirs} == theirs


def test_with_the_true_reward_it_is_iql() -> None:
    """The same updates, to the bit, as IQL on the dataset."""
    agent, source, c, stock = prepared()
    source.reward = stock.data.rows("r").expand(2, -1)
    plain = iql.Config(**NETS)
    theirs = iql.Agent(stock.spec, plain)
    Engine(agent, c, stock.spec, source).run(0, 12)
    Engine(theirs, plain, stock.spec, Uniform(stock.data, 32, stock.streams)).run(0, 12)
    for name, x in state.tensors(theirs).items():
        assert torch.equal(state.tensors(agent)[name], x), name


def test_a_constant_moves_values_and_no_weights() -> None:
    """r̂ + c: V moves by c / (1 - γ) where nothing ends, advantages stay once V has adapted."""
    spec = Spec(2, Discrete(2), (0, 1), torch.float64)  # the second lane's rewards are shifted
    cells = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    eye = torch.eye(2, dtype=torch.float64)
    s, s2 = (eye[x].expand(2, 4, 2) for x in (cells[:, 0], cells.sum(-1) % 2))
    a = cells[:, 1].expand(2, 4)
    gamma, shift = 0.5, 2.0
    r = torch.tensor([0.3, -0.2, 0.8, 0.1], dtype=torch.float64) + torch.tensor([[0.0], [shift]])
    config = p_iql.Config(gamma=gamma, hidden=(), lr=2e-2, polyak=0.1, tau=0.7)
    agent = p_iql.Agent(spec, config)
    for _ in range(1200):
        agent.update(Batch(s, a, r, torch.ones_like(r), s2), config)
    v = agent.v(s).detach()
    advantage = agent.q_bar(s, a).amin(-2).detach() - v
    expected = torch.full((4,), shift / (1 - gamma), dtype=torch.float64)
    torch.testing.assert_close(v[1] - v[0], expected, rtol=0, atol=1e-3)
    torch.testing.assert_close(advantage[1], advantage[0], rtol=0, atol=1e-3)


@pytest.mark.parametrize("discrete", [False, True])
def test_the_learnt_reward_follows_the_true_one(discrete: bool) -> None:
    _, source, _, stock = prepared(
        (0,), discrete, pairs=400, passes=60, stop=2.0, lr_reward=3e-3, bounded=False
    )
    source.begin()
    true = stock.data.rows("r")[0]
    assert float(torch.corrcoef(torch.stack((true, source.reward[0])))[0, 1]) > 0.95
    assert float(source.reward.std(correction=0)) == pytest.approx(1)


def test_labels_and_rewards_belong_to_the_lane_alone() -> None:
    _, both, _, _ = prepared()
    _, alone, _, _ = prepared((3,))
    both.begin()
    alone.begin()
    torch.testing.assert_close(both.reward[1:], alone.reward, rtol=0, atol=1e-12)
    assert not torch.allclose(both.reward[0], both.reward[1])


def test_the_agents_reward_scaling_changes_nothing() -> None:
    """The teacher sees the environment's rewards, the agent none but the learnt ones."""
    _, plain, _, _ = prepared()
    _, scaled, _, _ = prepared(transforms=Transforms(reward_scale=50.0, reward_bias=-7.0))
    plain.begin()
    scaled.begin()
    torch.testing.assert_close(plain.reward, scaled.reward)
    assert "scaled, which changes nothing" in scaled.beginning
    assert "scaled" not in plain.beginning


@pytest.mark.parametrize("scaling", ["scale", "standard", "none"])
def test_resume_is_bit_for_bit(scaling: str) -> None:
    def run(source, agent, c, stock, start, end):
        Engine(agent, c, stock.spec, source).run(start, end - start)

    agent, source, c, stock = prepared(scaling=scaling)
    source.begin()
    run(source, agent, c, stock, 0, 4)
    second, again, _, other = prepared(scaling=scaling)
    state.load(second, state.clone(agent))
    again.load_state_dict({name: x.clone() for name, x in source.state_dict().items()})
    assert torch.equal(again.reward, source.reward)
    run(source, agent, c, stock, 4, 9)
    run(again, second, c, other, 4, 9)
    for name, x in state.tensors(agent).items():
        assert torch.equal(state.tensors(second)[name], x), name


def test_a_saved_dataset_takes_the_teachers_place(tmp_path) -> None:
    path = str(tmp_path / "pairs.npz")
    pair_dataset(make_store(), 40, 6, seed=3).save(path)
    _, read, _, _ = prepared(preferences=path)
    _, asked, _, _ = prepared((3,))
    read.begin()
    asked.begin()
    torch.testing.assert_close(read.reward[1], asked.reward[0], rtol=0, atol=1e-5)
    assert "preferences from" in read.beginning


def test_online_it_is_refused() -> None:
    _, _, c, stock = prepared()
    with pytest.raises(UsageError, match="p_iql learns from a dataset alone"):
        p_iql.source(stock._replace(replay=Replay(stock.spec, 5)), None, c)
