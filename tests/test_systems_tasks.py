"""The tasks that `benchmarks/systems` makes for itself are what their records say."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import gymnasium
import numpy as np
import pytest
import torch

import rlkit
from rlkit.core.spec import Discrete, Spec
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms

FOLDER = Path(rlkit.__file__).parents[1] / "benchmarks" / "systems"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module(request.param)


@pytest.mark.parametrize("script", ["rewards"], indirect=True)
def test_the_weights_of_the_pendulum_are_those_of_its_reward(script: ModuleType) -> None:
    theirs, same, equal = (
        gymnasium.make("Pendulum-v1").unwrapped,
        script.Weighted(),
        script.Weighted((1.0, 1.0, 1.0)),
    )
    for env in (theirs, same, equal):
        env.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(30):
        u = rng.uniform(-3, 3, 1).astype(np.float32)
        steps = [env.step(u) for env in (theirs, same, equal)]
        assert np.array_equal(steps[0][0], steps[1][0])
        assert np.array_equal(steps[0][0], steps[2][0])
        assert steps[1][1] == pytest.approx(steps[0][1])
        assert steps[2][1] < steps[0][1]


@pytest.mark.parametrize("script", ["self_play"], indirect=True)
def test_thirds_of_the_ring_are_one_step_apart(script: ModuleType) -> None:
    env, found = script.Ring(), []
    for right in range(6):
        env.reset(seed=0)
        for t in range(script.STEPS):
            seen, _, ended, *_ = env.step(2 if t < right else 1)
        assert ended
        found.append(int(script.end_of(torch.from_numpy(seen))))
    assert found == [0, 1, 1, 2, 2, 0]
    judge, each = script.Ends(), torch.arange(3.0).unsqueeze(1).double()
    for row, matrix in zip(each, script.CIRCLE, strict=True):
        assert judge.prefer(each, row.expand(3, 1)).tolist() == matrix.tolist()


def test_a_reward_model_in_spos_place_is_told_as_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reward is higher where episodes won, and steps of an episode under way are not drawn."""
    monkeypatch.syspath_prepend(str(FOLDER.parent))
    rewarded = importlib.import_module("systems.rewarded")
    spec = Spec(1, Discrete(2), (0, 3))
    c = rewarded.Config(agent="dqn", given="n_step=1 hidden=8,8 batch_size=8", queue=3, passes=40)
    agent = rewarded.Agent(spec, c)
    replay = Replay(spec, 200, columns=agent.columns)
    streams = Streams(spec.seeds)
    source = rewarded.source(Stock(spec, streams, Transforms(), replay=replay), agent, c)
    rng, no = np.random.default_rng(0), np.zeros((2, 1), bool)
    for t in range(61):  # episodes of two steps; action 1 pays
        a = rng.integers(2, size=(2, 1))
        one = np.ones((2, 1, 1))
        replay.add(one, a, a.astype(float), no | (t % 2 == 1), no | (t % 2 == 1), one)
    source.advance(61)
    answers = [len(x) for x in source.answers]
    assert answers == [0 + 1 + 2 + 27 * 3] * 2
    assert all(y in (0.0, 0.5, 1.0) for x in source.answers for *_, y in x)
    rewards, actions = replay.rows("learned_reward")[:, :60], replay.rows("a")[:, :60]
    for k in range(2):
        paid = rewards[k][actions[k].flatten() == 1]
        assert paid.min() > rewards[k][actions[k].flatten() == 0].max()
    assert source.indices(0, 50).max() < 60
