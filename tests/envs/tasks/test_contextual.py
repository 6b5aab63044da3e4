"""Families of tasks: what a task changes, where it comes from, and what is refused."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from rlkit.envs.make import make
from rlkit.envs.tasks.contextual import Contextual


def test_the_physics_are_those_of_the_task() -> None:
    with make("rlkit/PendulumTasks-v1") as env, gymnasium.make("Pendulum-v1") as plain:
        obs, info = env.reset(seed=3, options={"task": [0.3, 2.0]})
        first, _ = plain.reset(seed=3)
        plain.unwrapped.l, plain.unwrapped.m = 0.3, 2.0  # type: ignore[attr-defined]
        assert info["task"].tolist() == [0.3, 2.0]
        np.testing.assert_allclose(obs, [*first, -1.0, 1.0])
        for torque in (1.0, -2.0, 0.5):
            action = np.array([torque], np.float32)
            ours, theirs = env.step(action), plain.step(action)
            np.testing.assert_allclose(ours[0][:3], theirs[0])
            assert ours[1] == theirs[1]


def test_what_cart_pole_derives_follows() -> None:
    with make("rlkit/CartPoleTasks-v1") as env:
        env.reset(seed=0, options={"task": [1.5, 0.5, 10.0]})
        inner = env.unwrapped
        assert inner.polemass_length == 0.75  # type: ignore[attr-defined]
        assert inner.total_mass == 1.5  # type: ignore[attr-defined]


def test_without_a_task_the_seed_draws_one_uniformly() -> None:
    with make("rlkit/PendulumTasks-v1") as env:
        tasks = np.array([env.reset(seed=seed)[1]["task"] for seed in range(300)])
        again = env.reset(seed=7)[1]["task"]
    np.testing.assert_array_equal(tasks[7], again)
    assert (tasks > 0.3).all()
    assert (tasks < 2.0).all()
    np.testing.assert_allclose(tasks.mean(0), 1.15, atol=4 * 1.7 / 12**0.5 / 300**0.5)


def test_what_is_none_is_refused() -> None:
    plain = gymnasium.make("CartPole-v1").unwrapped
    with pytest.raises(ValueError, match="no number 'weight'"):
        Contextual(plain, {"weight": (0, 1)})
    with pytest.raises(ValueError, match="length ranges over"):
        Contextual(plain, {"length": (1, 1)})
    with pytest.raises(ValueError, match="no vectors"):
        Contextual(gymnasium.make("FrozenLake-v1"), {"spec": (0, 1)})
    env = Contextual(plain, {"length": (0.5, 1)})
    with pytest.raises(ValueError, match="is not within"):
        env.reset(options={"task": [2.0]})
