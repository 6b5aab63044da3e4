"""CQL on histories against closed forms, its reduction to discrete CQL, and a task with a cue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

import rlkit
from rlkit.algos import cql_discrete
from rlkit.algos import history_cql as history
from rlkit.core.engine import Engine
from rlkit.core.history import Past
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.store import EpisodeStore
from rlkit.data.transforms import Transforms
from rlkit.eval.rollout import rollout
from rlkit.run.task import actor
from rlkit.testing.episode_toys import positions

LENGTH = 3  # steps before the junction
SMALL: dict[str, Any] = {
    **{"context": 4, "latent": 12, "hidden": (16,), "lr": 1e-2, "lr_model": 1e-2},
    **{"alpha": 0.01, "gamma": 0.9, "target_period": 20, "bisimulation": 0.0},
}


def seen(cue: int, t: int) -> list[float]:
    """What is seen at step t: the cue at first, nothing in the corridor, then the junction."""
    return [(2.0 * cue - 1) * (t == 0), float(t == LENGTH)]


def cues() -> EpisodeStore:
    """All episodes: the action at the junction pays 1 if it is the cue; those before do nothing."""
    found = []
    for number in range(32):
        cue, actions = number % 2, np.array([number >> k & 1 for k in range(1, 5)])
        flags = {"terminated": np.arange(4) == LENGTH, "truncated": np.zeros(4, bool)}
        obs = np.array([seen(cue, t) for t in range(5)], np.float32)
        reward = (actions == cue) * (np.arange(4) == LENGTH)
        found.append({"obs": obs, "action": actions, "reward": reward.astype(np.float32), **flags})
    return EpisodeStore.from_episodes(found)


def everything(spec: Spec, c: history.Config) -> history.History:
    """Every row of the data with its history."""
    data = Replay.from_store(cues(), spec, Transforms())
    stock = Stock(spec, Streams(spec.seeds), Transforms(), data)
    wide = history.Config(**SMALL | {"batch_size": 128, "context": c.context})
    source = history.source(stock, history.Agent(spec, wide), wide)
    return source.batch(torch.arange(128).expand(spec.lanes, -1))


def trained(
    c: history.Config, updates: int, lanes: int = 2
) -> tuple[history.Agent, history.History]:
    spec = Spec(2, Discrete(2), range(lanes))
    agent, batch = history.Agent(spec, c), everything(spec, c)
    for step in range(updates):
        agent.update(batch, c, target=(step + 1) % c.target_period == 0)
    return agent, batch


class Cue(gymnasium.Env):
    """The task of `cues`."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t, self.cue = 0, int(self.np_random.integers(2))
        return np.array(seen(self.cue, 0), np.float32), {}

    def step(self, action: int) -> Any:
        over, self.t = self.t == LENGTH, self.t + 1
        obs = np.array(seen(self.cue, self.t), np.float32)
        return obs, float(over and action == self.cue), over, False, {}


def test_memory_pays_where_one_observation_does_not_tell() -> None:
    """With K = 4 the values are the exact ones, γ^(3 - t) of the cue's action and below it at the
    junction; with K = 1 both actions are worth ½ there."""
    task: Any = SimpleNamespace(transforms=Transforms(), to_env=lambda a: a)
    returns = {}
    for context in (4, 1):
        c = history.Config(**SMALL | {"context": context})
        agent, batch = trained(c, 250)
        q = agent.q.values(agent.q.latent(batch.s, batch.a, batch.mask)).detach()
        store = cues()
        junction, cue = store.t == LENGTH, np.arange(128) // 4 % 2
        for arm in (0, 1):
            right = q[:, junction & (cue == arm)][..., arm]
            wrong = q[:, junction & (cue == arm)][..., 1 - arm]
            expected = (1.0, 0.0) if context == 4 else (0.5, 0.5)
            assert (right - expected[0]).abs().max() < 0.12
            assert (wrong - expected[1]).abs().max() < 0.12
        if context == 4:
            first = q[:, store.t == 0].amax(-1)
            torch.testing.assert_close(first, torch.full_like(first, 0.9**3), rtol=0, atol=0.12)
        spec = Spec(2, Discrete(2), range(2))
        found = rollout(actor(agent, spec, task), Cue, 20, [3, 4], batch=3)
        returns[context] = np.mean([e.return_ for e in found])
    assert returns[4] == 1
    assert returns[1] < 0.8


@pytest.mark.parametrize("same_action", [True, False])
def test_histories_of_one_hidden_state_come_together(same_action: bool) -> None:
    """What was done in the corridor changes nothing, the cue does: with the loss, latents at the
    junction lie closer within a cue, those of two cues stay apart, and the values stay right."""
    inside, between = {}, {}
    for weight in (0.0, 0.03):
        c = history.Config(**SMALL | {"bisimulation": weight, "same_action": same_action})
        agent, batch = trained(c, 250)
        z = agent.q.latent(batch.s, batch.a, batch.mask).detach()
        junction = np.flatnonzero(cues().t == LENGTH)
        cue = torch.from_numpy(junction // 4 % 2)
        apart = torch.cdist(z[:, junction], z[:, junction], p=1)
        same = (cue[:, None] == cue).expand_as(apart)
        inside[weight], between[weight] = apart[same].mean(), apart[~same].mean()
        q = agent.q.values(z)[:, junction]
        assert torch.equal(q.argmax(-1), cue.expand(2, -1))
    assert inside[0.03] < 0.05
    assert inside[0.0] > 3 * inside[0.03]
    assert between[0.03] > 0.3


def test_too_large_a_weight_lets_the_latents_collapse() -> None:
    """A known risk: all latents equal is a minimum of the loss itself."""
    agent, batch = trained(history.Config(**SMALL | {"bisimulation": 30.0}), 100)
    z = agent.q.latent(batch.s, batch.a, batch.mask).detach()
    assert torch.cdist(z, z, p=1).mean() < 0.2


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_bisimulation_loss_is_over_pairs_and_moves_the_latents_alone() -> None:
    z = random(1, 4, 3, seed=0).requires_grad_()
    r = random(1, 2, 4, seed=1).requires_grad_()
    mean, std = random(1, 2, 4, 3, seed=2).requires_grad_(), random(1, 2, 4, 3, seed=3).exp()
    loss = history.bisimulation_loss(z, r, mean, std, 0.5)
    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        for j in range(4):
            m, s = mean[0, :, i] - mean[0, :, j], std[0, :, i] - std[0, :, j]
            w2 = (m.square() + s.square()).sum(-1).sqrt()
            wanted = ((r[0, :, i] - r[0, :, j]).abs() + 0.5 * w2).max()
            total = total + ((z[0, i] - z[0, j]).abs().sum() - wanted).square() / 16
    torch.testing.assert_close(loss[0], total)
    (slope, *rest) = torch.autograd.grad(loss.sum(), [z, r, mean], allow_unused=True)
    assert slope.isfinite().all()  # distances of 0 on the diagonal among them
    assert rest == [None, None]
    same = torch.zeros(1, 4, 3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(history.bisimulation_loss(same, r, mean, std, 1.0).sum(), same)
    assert slope.isfinite().all()


def test_the_models_loss_is_the_gaussians_likelihood() -> None:
    mean, std, z2 = random(1, 5, 3, seed=0), random(1, 5, 3, seed=1).exp(), random(1, 5, 3, seed=2)
    r, said = random(1, 5, seed=3), random(1, 5, seed=4)
    law = torch.distributions.Normal(mean, std)
    constant = 1.5 * np.log(2 * np.pi)
    expected = ((r - said).square() - law.log_prob(z2).sum(-1) - constant).mean(-1)
    torch.testing.assert_close(history.model_loss(r, mean, std, said, z2), expected)


def test_without_the_loss_it_is_discrete_cql_on_latents() -> None:
    c = history.Config(**SMALL | {"alpha": 0.7, "huber": 0.3})
    spec = Spec(2, Discrete(2), (0, 1))
    agent, b = history.Agent(spec, c), everything(spec, c)
    z, a = agent.q.latent(b.s, b.a, b.mask), b.a[..., -1]
    ahead = agent.q.further(z, a, b.s2)
    best = agent.q.values(ahead).argmax(-1, keepdim=True)
    y = b.r + 0.9 * b.cont * agent.q.values(ahead).gather(-1, best)[..., 0]
    qs = agent.q.values(z)
    q = qs.gather(-1, a.unsqueeze(-1))[..., 0]
    expected = cql_discrete.td_loss(q, y, 0.3) + 0.7 * cql_discrete.conservative_loss(qs, q)
    torch.testing.assert_close(agent.update(b, c)["q_loss"], expected.detach())


@pytest.mark.parametrize("context", [1, 3])
def test_acting_sees_what_training_sees(context: int) -> None:
    """And neither padding, nor its own action, nor an action before the window."""
    c = history.Config(**SMALL | {"context": context})
    spec = Spec(2, Discrete(2), (0, 1))
    agent, b = history.Agent(spec, c), everything(spec, c)
    greedy = agent.q.values(agent.q.latent(b.s, b.a, b.mask)).argmax(-1)
    junction = np.flatnonzero(cues().t == LENGTH)
    size = agent.history
    rows = torch.from_numpy(junction)[:, None] + torch.arange(-size, 0)
    data = Replay.from_store(cues(), spec, Transforms())
    s, a = data.rows("s")[0][rows].expand(2, -1, -1, -1), data.rows("a")[0][rows].expand(2, -1, -1)
    zeros, real = torch.zeros(s.shape[:3]), torch.ones(s.shape[:3], dtype=torch.bool)
    past = Past(s, a, zeros, real, zeros[..., 0], zeros[..., 0])
    found = agent.act(b.s[:, junction, -1], past=past)
    assert torch.equal(found, greedy[:, junction])
    longer = b.s[:, :4], b.a[:, :4], b.mask[:, :4]
    fills = zip(longer, (7, 1, 0), strict=True)
    padded = [torch.cat([torch.full_like(x[:, :, :1], fill), x], 2) for x, fill in fills]
    torch.testing.assert_close(agent.q.latent(*padded), agent.q.latent(*longer))
    other = b.a.clone()
    other[..., -1] = 1 - other[..., -1]
    assert torch.equal(agent.q.latent(b.s, other, b.mask), agent.q.latent(b.s, b.a, b.mask))


def hidden() -> gymnasium.Env:
    return rlkit.make("rlkit/CartPolePositions-v1")


@pytest.mark.slow
def test_memory_pays_where_velocities_are_hidden() -> None:
    store, spec = positions(60), Spec(2, Discrete(2), (0, 1, 2))
    transforms = Transforms.fit(store, (0, 1), True)
    data = Replay.from_store(store, spec, transforms)
    stock = Stock(spec, Streams(spec.seeds), transforms, data)
    task: Any = SimpleNamespace(transforms=transforms, to_env=lambda a: a)
    shared = {"gamma": 0.98, "target_period": 200, "lr": 1e-3, "batch_size": 64}
    plain = cql_discrete.Config(hidden=(64, 64), **shared)
    c = history.Config(hidden=(64,), context=4, latent=32, lr_model=1e-3, **shared)
    agents = history.Agent(spec, c), cql_discrete.Agent(spec, plain)
    sources = history.source(stock, agents[0], c), Uniform(data, 64, stock.streams)
    means = []
    for agent, config, source in zip(agents, (c, plain), sources, strict=True):
        Engine(agent, config, spec, source).run(0, 1500)
        found = rollout(actor(agent, spec, task), hidden, 5, [5, 6, 7])
        means.append(np.mean([e.return_ for e in found]))
    assert means[0] > 100
    assert means[1] < 70
