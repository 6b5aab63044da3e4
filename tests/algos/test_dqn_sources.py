"""Where DQN's rows come from: uniform, several steps, mixed with a dataset, prioritised."""

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from rlkit import nets
from rlkit.algos import dqn
from rlkit.core import state
from rlkit.core.engine import Engine
from rlkit.core.lanes import resolve
from rlkit.core.spec import Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.prioritised import EPSILON, Prioritised
from rlkit.data.sampling.samplers import Mixed, NStep, Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms
from rlkit.testing import Case

HEADS = get_args(nets.Head)

SMALL = {"bins": 7, "low": -2.0, "high": 3.0, "target_period": 2, "n_step": 1}
CASE = Case(dqn, discrete=True, config=SMALL)


def ring(spec: Spec, steps: int, capacity: int = 40) -> Replay:
    """A ring of random episodes; what lane k holds depends on its seed alone."""
    replay = Replay(spec, capacity)
    for _ in range(steps):
        grow(replay)
    return replay


def grow(replay: Replay) -> None:
    spec, t = replay.spec, replay._cursor
    rngs = [np.random.default_rng((seed, t)) for seed in spec.seeds]
    replay.add(
        np.stack([rng.normal(size=(1, *spec.obs)) for rng in rngs]),
        np.stack([rng.integers(0, spec.act_size, 1) for rng in rngs]),
        np.stack([rng.normal(size=1) for rng in rngs]),
        np.stack([rng.random(1) < 0.1 for rng in rngs]),
        np.stack([rng.random(1) < 0.1 for rng in rngs]),
        np.stack([rng.normal(size=(1, *spec.obs)) for rng in rngs]),
    )


def stock(replay: Replay | None, data: Replay | None = None) -> Stock:
    spec = (replay or data).spec  # type: ignore[union-attr]
    return Stock(spec, Streams(spec.seeds), Transforms(), data, replay)


def test_the_source_is_uniform_unless_more_is_asked_for() -> None:
    spec = CASE.spec()
    replay = ring(spec, 30)
    config = CASE.make_config()
    plain = dqn.source(stock(replay), None, config)
    assert isinstance(plain, Uniform)
    uniform = Uniform(replay, config.batch_size, Streams(spec.seeds))
    assert torch.equal(plain.indices(0, 5), uniform.indices(0, 5))
    assert isinstance(dqn.source(stock(None, replay), None, config), Uniform)
    several = dqn.source(stock(replay), None, dataclasses.replace(config, n_step=3))
    assert isinstance(several, NStep)
    by_error = dataclasses.replace(
        config, prioritised=True, n_step=3, alpha=0.5, beta=0.7, beta_updates=8
    )
    drawn = dqn.source(stock(replay), None, by_error)
    assert isinstance(drawn, Prioritised)
    index = drawn.indices(4)[0]
    assert torch.equal(drawn.batch(index).r, several.batch(index).r)
    drawn.learned(index, several.batch(index).r.abs())
    powers = drawn.state_dict()["powers"]
    expected = (several.batch(index).r.abs() + EPSILON) ** 0.5
    torch.testing.assert_close(powers.gather(1, index), expected, rtol=1e-14, atol=0)
    chance = expected / powers.sum(1, keepdim=True)
    w = (30 * chance) ** -0.85  # β is half-way from 0.7 to 1
    drawn.indices(4)
    torch.testing.assert_close(drawn.batch(index).w, w / w.amax(-1, keepdim=True))


def test_a_dataset_and_collected_rows_give_their_shares() -> None:
    spec = CASE.spec()
    data, replay = ring(spec, 20), ring(spec, 10)
    given = stock(replay, data)._replace(mix=0.25)
    both = dqn.source(given, None, CASE.make_config(n_step=2))
    assert isinstance(both, Mixed)
    assert both.batch_size == 12
    assert both.indices(0)[..., 3:].max() < 10 <= both.indices(0, 9)[..., :3].max()
    with pytest.raises(ValueError, match="prioritised=False"):
        dqn.source(given, None, CASE.make_config(prioritised=True))


def test_three_steps_bootstrap_three_steps_ahead() -> None:
    spec, config = CASE.spec((3,)), CASE.make_config(n_step=3, gamma=0.9)
    replay = Replay(spec, 8)
    s = np.arange(6 * 5).reshape(6, 1, 1, 5) / 30
    for t in range(5):
        flags = np.zeros((1, 1), bool)
        replay.add(s[t], np.zeros((1, 1)), np.full((1, 1), t + 1.0), flags, flags, s[t + 1])
    agent = CASE.agent(spec, config)
    batch = dqn.source(stock(replay), agent, config).batch(torch.zeros(1, 12, dtype=torch.int64))
    ahead = torch.from_numpy(s[3]).expand(1, 12, 5)
    best = agent.q(ahead).squeeze(-1).argmax(-1, keepdim=True)
    v3 = agent.q_bar(ahead).squeeze(-1).gather(-1, best).squeeze(-1)
    expected = 1 + 0.9 * 2 + 0.81 * 3 + 0.729 * v3
    torch.testing.assert_close(agent.target(batch, config)[:, 0, :, 0], expected)


def prioritised_training(spec: Spec, config: dqn.Config) -> tuple[Any, Any, Engine]:
    resolved = resolve(config, spec)
    replay, agent = ring(spec, 25), dqn.Agent(spec, resolved)
    return replay, agent, Engine(agent, resolved, spec, dqn.source(stock(replay), agent, resolved))


def run_on(replay: Replay, engine: Engine, first: int, count: int) -> dict[str, Tensor]:
    metrics: dict[str, Tensor] = {}
    for step in range(first, first + count):
        grow(replay)
        metrics = engine.run(step, 1)
    return metrics


PRIORITISED = {"prioritised": True, "n_step": 2, "beta_updates": 10, "head": "c51"}


def test_errors_go_back_to_the_rows_they_came_from() -> None:
    spec, config = CASE.spec(), CASE.make_config(**{**PRIORITISED, "head": "scalar"})
    replay, agent, engine = prioritised_training(spec, config)
    before = state.clone(agent)
    index = engine.source.indices(0)[0]
    batch = engine.source.batch(index)
    metrics = engine.run(0, 1)
    assert "priority" not in metrics
    after = state.clone(agent)
    state.load(agent, before)
    q = agent.q(batch.s).squeeze(-1).gather(-1, batch.a.unsqueeze(-1)).squeeze(-1)
    error = (agent.target(batch, config)[:, 0, :, 0] - q).detach().abs()
    state.load(agent, after)
    powers = engine.source.state_dict()["powers"]
    torch.testing.assert_close(powers.gather(1, index), (error + EPSILON) ** config.alpha)
    assert (powers == 1).any()
    assert len(replay) == 25


def test_a_lane_with_its_own_exponents_trains_the_same_alone() -> None:
    lanes = {"alpha": (0.3, 0.9), "beta": (0.2, 1.0), "epsilon": (1.0, 0.2), "gamma": (0.9, 0.5)}
    config = CASE.make_config(**PRIORITISED)
    results = []
    for seeds, at in (((3, 0), slice(None)), ((0,), slice(1, 2))):
        own = {name: values[at] for name, values in lanes.items()}
        replay, agent, engine = prioritised_training(
            CASE.spec(seeds), dataclasses.replace(config, **own)
        )
        run_on(replay, engine, 0, 20)
        results.append((state.tensors(agent), engine.source.state_dict()["powers"]))
    for name, tensor in results[1][0].items():
        other = results[0][0][name]
        other = other[1:] if tensor.dim() else other
        torch.testing.assert_close(other, tensor, rtol=0, atol=1e-12)
    torch.testing.assert_close(results[0][1][1:], results[1][1], rtol=1e-9, atol=0)


def test_a_prioritised_training_goes_on_bit_for_bit() -> None:
    spec, config = CASE.spec(dtype=torch.float32), CASE.make_config(**PRIORITISED)
    replay, agent, engine = prioritised_training(spec, config)
    run_on(replay, engine, 0, 12)
    source: Any = engine.source
    parts = [state.clone(agent), source.state_dict(), replay.state_dict()]
    saved = [safetensors.torch.load(safetensors.torch.save(part)) for part in parts]
    again, other, resumed = prioritised_training(spec, config)
    state.load(other, saved[0])
    restored: Any = resumed.source
    restored.load_state_dict(saved[1])
    again.load_state_dict(saved[2])
    first, second = run_on(replay, engine, 12, 10), run_on(again, resumed, 12, 10)
    pairs = [(first, second), (state.tensors(agent), state.tensors(other))]
    pairs.append((source.state_dict(), restored.state_dict()))
    for ours, theirs in pairs:
        for name, tensor in ours.items():
            assert torch.equal(tensor, theirs[name]), name
