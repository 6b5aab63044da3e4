"""Families of tasks: environments of gymnasium's whose physics are a vector, the task.

    rlkit/PendulumTasks-v1    Pendulum-v1 with its length and mass from 0.3 to 2, the torque of 2 as
                              it is: from ones that force alone solves to ones of many swings
    rlkit/CartPoleTasks-v1    CartPole-v1 with half the pole's length from 0.1 to 2, the pole's mass
                              from 0.05 to 1, and a force from 1 to 20

An environment whose tasks a teacher may choose (`--curriculum` of a training) has `task_space`, a
box; takes `reset(options={"task": vector})`; and, if it can, says in `task_returns` what the worst
and the best student return. Where a reset names no task, one is drawn uniformly, by the seed: the
seeds of evaluations are a fixed test set of tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.envs.tasks import variants

# our id -> gymnasium's, range of each attribute of it, returns of the worst and the best student
IDS: dict[str, tuple[str, dict[str, tuple[float, float]], tuple[float, float]]] = {
    "rlkit/PendulumTasks-v1": (
        "Pendulum-v1",
        {"l": (0.3, 2.0), "m": (0.3, 2.0)},
        (-1800.0, 0.0),
    ),
    "rlkit/CartPoleTasks-v1": (
        "CartPole-v1",
        {"length": (0.1, 2.0), "masspole": (0.05, 1.0), "force_mag": (1.0, 20.0)},
        (0.0, 500.0),
    ),
}


class Contextual(gymnasium.Wrapper, RecordConstructorArgs):
    """`env` with attributes of it drawn anew for every episode, uniformly from `ranges`.

    The task `[D]`, scaled to [-1, 1], follows the observation, a vector, and is in the `info` of a
    reset as it is. `reset(options={"task": x})` sets it.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        ranges: Mapping[str, Sequence[float]],
        returns: Sequence[float] | None = None,
    ) -> None:
        """`returns` become `task_returns`. Raises ValueError for attributes that are no numbers of
        the environment, ranges that are none, and observations that are no vectors."""
        RecordConstructorArgs.__init__(
            self,
            ranges={name: list(ends) for name, ends in ranges.items()},
            returns=None if returns is None else list(returns),
        )
        gymnasium.Wrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations {space} are no vectors: a task cannot be appended")
        for name, ends in ranges.items():
            if not isinstance(getattr(env.unwrapped, name, None), int | float):
                raise ValueError(f"{env.unwrapped} has no number {name!r} that a task could set")
            if len(ends) != 2 or not -np.inf < ends[0] < ends[1] < np.inf:
                raise ValueError(f"{name} ranges over {tuple(ends)}; give low and high")
        self.names = list(ranges)
        low, high = np.array([ranges[name] for name in self.names], np.float64).T
        self.task_space = gymnasium.spaces.Box(low, high, dtype=np.float64)
        self.task_returns = None if returns is None else (float(returns[0]), float(returns[1]))
        self.task = (low + high) / 2  # of the episode
        self.drawn = np.random.default_rng(0)  # until a reset has a seed
        dtype = np.result_type(space.dtype, np.float32)
        ones = np.ones(len(low))
        self.observation_space = gymnasium.spaces.Box(
            np.concatenate([space.low, -ones]).astype(dtype),
            np.concatenate([space.high, ones]).astype(dtype),
            dtype=dtype.type,
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Raises ValueError for a task that is none of `task_space`."""
        rest = dict(options or {})
        if seed is not None:
            self.drawn = np.random.default_rng(seed)
        low, high = self.task_space.low, self.task_space.high
        task = self.drawn.uniform(low, high)
        if "task" in rest:
            task = np.asarray(rest.pop("task"), np.float64)
            if task.shape != low.shape or not ((task >= low) & (task <= high)).all():
                raise ValueError(f"task {task} is not within {low} .. {high}")
        self.task = task
        for name, value in zip(self.names, task, strict=True):
            setattr(self.unwrapped, name, float(value))
        _derive(self.unwrapped)
        observation, info = self.env.reset(seed=seed, options=rest or None)
        return self._joined(observation), info | {"task": task.copy()}

    def step(self, action: Any) -> tuple[np.ndarray, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._joined(observation), reward, terminated, truncated, info

    def _joined(self, observation: Any) -> np.ndarray:
        low, high = self.task_space.low, self.task_space.high
        seen = 2 * (self.task - low) / (high - low) - 1
        return np.concatenate([observation, seen]).astype(self.observation_space.dtype)


def _derive(env: Any) -> None:
    """What gymnasium's cart-pole computes of its masses and its length when it is made."""
    if hasattr(env, "polemass_length"):
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length


def tasks(name: str, **kwargs: Any) -> gymnasium.Env:
    """The environment behind one of our `IDS`, without its limit of steps, which the id has."""
    inner, ranges, returns = IDS[name]
    return Contextual(gymnasium.make(inner, **kwargs).unwrapped, ranges, returns)


def register() -> None:
    """Makes the ids known to gymnasium; a second call changes nothing."""
    inner = {name: of for name, (of, _, _) in IDS.items()}
    variants.register(inner, "rlkit.envs.tasks.contextual:tasks")
