"""The tasks that `benchmarks/systems` makes for itself are what their records say."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import gymnasium
import numpy as np
import pytest

import rlkit

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


@pytest.mark.parametrize("script", ["offline"], indirect=True)
def test_the_likelier_arm_of_the_bandit_is_the_worse(script: ModuleType) -> None:
    store = script.bandit()
    assert (store.action == 0).sum() == 10
    assert (store.action == 1).sum() == 90
    paid = [store.reward[store.action == arm].mean() for arm in (0, 1)]
    assert paid == [pytest.approx(0.5), pytest.approx(0.1)]
    assert (store.reward[store.action == 0] > 0).sum() < (store.reward[store.action == 1] > 0).sum()


@pytest.mark.parametrize("script", ["memory"], indirect=True)
def test_episodes_of_the_controller_end_where_the_pole_falls(script: ModuleType) -> None:
    store = script.controlled(4)
    assert store.obs.shape[1] == 2
    assert store.episodes == 4
    assert store.terminated[store.ends].all()
    assert store.terminated.sum() == 4
    assert store.returns().tolist() == store.lengths.tolist()
    other = script.controlled(4, seed=100)
    assert other.lengths.tolist() != store.lengths.tolist()
