"""Decision Transformer against closed forms: what it sees, what it asks for, and where it fails."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import rlkit
from rlkit import nets
from rlkit.algos import bc
from rlkit.algos import decision_transformer as dt
from rlkit.core.batch import Batch
from rlkit.core.errors import UsageError
from rlkit.core.history import Past
from rlkit.core.lanes import resolve
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.eval.rollout import episode_seed, rollout
from rlkit.run.policies.evaluation import evaluate_run
from rlkit.run.policies.export import export
from rlkit.run.policies.recording import load as load_recordable
from rlkit.run.settings.options import Options
from rlkit.run.task import actor
from rlkit.run.train import train
from rlkit.testing.episode_toys import LUCK, bandit

SMALL: dict[str, Any] = {
    **{"context": 4, "width": 8, "layers": 1, "max_steps": 9, "dropout": 0.0},
    **{"warmup_steps": 5, "clip": 1.0, "weight_decay": 0.0, "lr": 3e-2},
}


def stock_of(store: EpisodeStore, spec: Spec) -> Stock:
    columns, transforms = dt.Agent.columns, Transforms()
    data = Replay.from_store(store, spec, transforms, columns=columns, gamma=1.0)
    return Stock(spec, Streams(spec.seeds), transforms, data)


def trained(store: EpisodeStore, spec: Spec, c: dt.Config, updates: int) -> dt.Agent:
    """After updates on the windows from the beginning of every episode of `store`."""
    agent = dt.Agent(spec, c)
    source = dt.source(
        stock_of(store, spec), agent, dataclasses.replace(c, batch_size=store.episodes)
    )
    batch = source.batch(torch.from_numpy(store.starts).expand(spec.lanes, -1))
    for _ in range(updates):
        agent.update(batch, c)
    return agent


def windows(agent: dt.Agent, spec: Spec, seed: int = 0) -> dt.Steps:
    rows, lead = torch.Generator().manual_seed(seed), (spec.lanes, 3, agent.context)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*lead, *shape, generator=rows, dtype=spec.dtype)

    t = torch.arange(agent.context).expand(lead)
    return dt.Steps(normal(*spec.obs), normal(2), normal(), t, torch.ones(lead, dtype=torch.bool))


def test_a_prediction_sees_neither_its_action_nor_what_follows() -> None:
    spec = Spec(3, 2, (0, 1), torch.float64)
    agent = dt.Agent(spec, dt.Config(**SMALL))
    x, other = windows(agent, spec), windows(agent, spec, seed=1)
    base = agent.policy(x).mode
    for name, first in (("a", 1), ("s", 2), ("to_go", 2)):
        changed = getattr(x, name).clone()
        changed[:, :, first:] = getattr(other, name)[:, :, first:]
        moved = agent.policy(x._replace(**{name: changed})).mode
        assert torch.equal(moved[:, :, :2], base[:, :, :2]), name
        assert not torch.equal(moved[:, :, 2], base[:, :, 2]), name


def test_more_padding_changes_no_prediction() -> None:
    spec = Spec(3, 2, (0, 1), torch.float64)
    agent = dt.Agent(spec, dt.Config(**SMALL))
    x = windows(agent, spec)
    short = dt.Steps(*(field[:, :, 2:] for field in x[:5]))
    padded = dt.Steps(*(torch.cat([torch.zeros_like(f[:, :, :2]), f[:, :, 2:]], 2) for f in x[:5]))
    torch.testing.assert_close(
        agent.policy(padded).mode[:, :, 2:], agent.policy(short).mode, rtol=0, atol=1e-12
    )


def test_the_loss_is_that_of_cloning_over_real_steps() -> None:
    spec = Spec(3, 2, (0, 1), torch.float64)
    c = dt.Config(**SMALL)
    agent = dt.Agent(spec, c)
    x = windows(agent, spec)
    mask = x.mask.clone()
    mask[:, 0, :3] = False
    x = x._replace(mask=mask)
    action = agent.policy(x).mode.detach()
    real = [bc.square_loss(action[k][mask[k]], x.a[k][mask[k]]) for k in range(2)]
    torch.testing.assert_close(agent.update(x, c)["pi_loss"], torch.stack(real))


def test_acting_step_by_step_is_the_window_at_once() -> None:
    """Returns to go fall by what was earned, and the last K steps are seen."""
    spec, c = Spec(3, 2, (0, 1), torch.float64), dt.Config(**SMALL, target=1.0)
    agent = dt.Agent(spec, c)
    agent.aim(-2.0, 6.0, 4.0)
    x = windows(agent, spec)
    r = torch.tensor([1.0, -3.0, 0.5], dtype=spec.dtype).expand(2, 3, 3)
    past = Past(x.s[:, :, :3], x.a[:, :, :3], r, x.mask[:, :, :3], x.t[..., 3], r.sum(-1))
    to_go = torch.tensor([6.0, 5.0, 8.0, 7.5], dtype=spec.dtype).expand(2, 3, 4)
    found = agent.window(x.s[:, :, 3], past)
    torch.testing.assert_close(found.to_go, to_go)
    assert torch.equal(found.t, x.t)
    whole = agent.policy(x._replace(to_go=to_go)).mode[:, :, 3]
    torch.testing.assert_close(agent.act(x.s[:, :, 3], past=past), whole)


def chances(agent: dt.Agent, return_: float) -> torch.Tensor:
    """Probabilities of the arms `[S, A]` when a return is asked for."""
    agent.target = return_
    first = agent.policy(agent.window(torch.ones(agent.low.value.shape[0], 1, 1), None))
    assert isinstance(first, nets.Categorical)
    return first.logits[:, 0, 0].softmax(-1)


ARMS = {"context": 1, "relative": False, "unit": 1.0}


def test_where_rewards_are_certain_the_return_asked_for_is_had() -> None:
    spec = Spec(1, Discrete(3), (0, 1))
    c = dt.Config(**SMALL | ARMS)
    agent = trained(bandit([[0.0] * 6, [1.0] * 2, [-1.0] * 2]), spec, c, 60)
    for return_, arm in ((0.0, 0), (1.0, 1), (-1.0, 2)):
        assert chances(agent, return_)[:, arm].min() > 0.95


def test_luck_is_its_blind_spot() -> None:
    """A good arm, drawn once in ten, pays with chance ½; the other with chance 0.1. Of the episodes
    that paid 5 of 14 are the good arm's, so that is the share it gets when asked for 1: the return
    is 0.243 where 0.5 could be had. Plain cloning has 0.14."""
    c = dt.Config(**SMALL | ARMS)
    agent = trained(bandit(LUCK), Spec(1, Discrete(2), (0, 1, 2)), c, 100)
    share = chances(agent, 1.0)[:, 0]
    torch.testing.assert_close(share, torch.full_like(share, 5 / 14), rtol=0, atol=0.06)
    achieved = 0.5 * share + 0.1 * (1 - share)
    assert achieved.max() < 0.28  # half of what the best arm pays
    assert agent.act(torch.ones(3, 1, 1)).eq(1).all()  # the likelier arm is the worse


def test_without_the_return_it_is_cloning() -> None:
    """Its fixed point is that of BC: the shares of the data, whatever is asked for."""
    spec = Spec(1, Discrete(2), (0, 1))
    store = bandit([[1.0] * 3, [0.0] * 7])
    c = dt.Config(**SMALL | ARMS | {"condition": False})
    agent = trained(store, spec, c, 100)
    torch.testing.assert_close(chances(agent, 1.0), chances(agent, 0.0))
    cloned = bc.Agent(spec, bc_config := bc.Config(lr=1e-2, hidden=(8,)))
    rows = torch.from_numpy(store.action).expand(2, -1)
    one = torch.ones(*rows.shape, 1)
    for _ in range(100):
        cloned.update(Batch(one, rows, one[..., 0], one[..., 0], one), bc_config)
    its = cloned.pi(one).log_probs.exp()[:, 0].detach()
    torch.testing.assert_close(chances(agent, 1.0).detach(), its, rtol=0, atol=0.05)


class Coins(gymnasium.Env):
    """Three steps; action 1 pays 1, action 0 nothing."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.ones(1, np.float32), {}

    def step(self, action: int) -> Any:
        self.t += 1
        return np.ones(1, np.float32), float(action), self.t == 3, False, {}


def coins() -> EpisodeStore:
    """All eight sequences of actions."""
    return EpisodeStore.from_episodes(
        {
            "obs": np.ones((4, 1), np.float32),
            "action": (actions := np.array([n >> k & 1 for k in range(3)])),
            "reward": actions.astype(np.float32),
            "terminated": np.arange(3) == 2,
            "truncated": np.zeros(3, bool),
        }
        for n in range(8)
    )


def test_each_return_of_the_data_is_reached_in_an_environment() -> None:
    """In data of all sequences of three coins the next is 1 with chance R_t / (3 - t), exactly."""
    spec, c = Spec(1, Discrete(2), (0, 1)), dt.Config(**SMALL | {"context": 3})
    agent = trained(coins(), spec, c, 200)
    assert agent.high().eq(3).all()
    assert agent.low().eq(0).all()
    for goal in range(4):
        agent.target = goal / 3
        first = agent.policy(agent.window(torch.ones(2, 1, 1), None))
        assert isinstance(first, nets.Categorical)
        chance = first.logits[:, 0, 0].softmax(-1)[:, 1]
        torch.testing.assert_close(chance, torch.full_like(chance, goal / 3), rtol=0, atol=0.12)
    task: Any = SimpleNamespace(transforms=Transforms(), to_env=lambda a: a)
    for goal in range(4):
        agent.target = goal / 3
        found = rollout(actor(agent, spec, task), Coins, 3, [5, 6], batch=2)
        assert [episode.return_ for episode in found] == [goal] * 6


def test_goals_come_from_the_data_unless_they_are_given() -> None:
    spec = Spec(1, Discrete(2), (0, 1))
    store = bandit([[-3.0], [1.0]])
    for given, low, high, unit in (
        ({}, -3, 1, 3),
        ({"relative": False, "unit": (2.0, 0.0)}, 0, 1, (2, 3)),
    ):
        c = resolve(dt.Config(**SMALL, **given), spec)
        agent = dt.Agent(spec, c)
        dt.source(stock_of(store, spec), agent, c)
        assert agent.low().eq(low).all()
        assert agent.high().eq(high).all()
        assert torch.equal(agent.unit().flatten(), torch.tensor(unit).expand(2).float())


def test_episodes_beyond_the_embedded_times_are_refused() -> None:
    assert len(dt.select(coins(), dt.Config(max_steps=3))) == 24
    with pytest.raises(UsageError, match=r"3 steps, config.max_steps is 2"):
        dt.select(coins(), dt.Config(max_steps=2))


def test_a_loaded_policy_acts_as_in_evaluation(
    minari_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps its episode, told where one begins; files and recordings cannot, and say so."""
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(minari_root))
    given: dict[str, Any] = {"steps": 3, "eval_episodes": 2, "seeds": (0, 4), "quiet": True}
    folder = train(
        Options(
            "decision_transformer",
            dataset="tests/pendulum/random-v0",
            out=str(tmp_path / "run"),
            engine="eager",
            config={**SMALL, "context": 3, "batch_size": 8, "max_steps": 1000},
            **given,
        )
    ).folder
    policy = rlkit.load(folder, lane=1, checkpoint="last")
    found = evaluate_run(folder, 2, "last", [1])[0]
    env = rlkit.make("InvertedPendulum-v5")
    for episode in found:
        obs, _ = env.reset(seed=episode_seed(4 + 1_000_003, episode.episode))
        first, reward, total, ended = True, 0.0, 0.0, False
        while not ended:
            action = policy.act(obs, first=first, reward=reward)
            obs, r, terminated, truncated, _ = env.step(action)
            first, reward, ended = False, float(r), terminated or truncated
            total += reward
        assert total == episode.return_
    with pytest.raises(UsageError, match="looks back at its episode: tell it"):
        policy.act(obs)
    with pytest.raises(UsageError, match="2 episodes go on of which 1 were begun"):
        policy.act(np.stack([obs, obs]), first=False)
    with pytest.raises(UsageError, match="which a file cannot keep"):
        export(folder)
    with pytest.raises(UsageError, match="such policies are not recorded"):
        load_recordable(folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ""),
        ({"target": 1.5}, ""),
        ({"target": 3600.0, "relative": False}, ""),
        ({"target": 3600.0}, "target 3600 is 3600 times the way from the data's lowest return"),
        ({"target": (1.0, -50.0)}, "target 50 is 50 times the way"),
        ({"condition": False, "target": 3600.0}, "target 3600.0 has no effect beside condition"),
        ({"condition": False}, ""),
    ],
)
def test_a_return_is_not_taken_for_a_share_without_a_word(given: dict, said: str) -> None:
    found = dt.notice({}, dt.Config(**given))
    assert found.startswith(said) if said else found == ""
    assert dt.notice({"pi_loss": np.zeros(1)}, dt.Config(**given)) == ""
