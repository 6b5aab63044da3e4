"""A gymnasium environment whose task a teacher chooses anew for every episode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs


class Teacher(Protocol):
    """What `Taught` asks of a teacher, such as those of `rlkit.algos.bandits.teachers.mixtures`."""

    def sample(self) -> np.ndarray: ...

    def update(self, task: np.ndarray, outcome: float) -> None: ...


class Taught(gymnasium.Wrapper, RecordConstructorArgs):
    """`env` with a task from `teacher` in every episode.

    `set_task(env, task)` puts a task into the environment before it is reset, for instance
    `lambda env, task: setattr(env.unwrapped, "length", task[0])`. The episode's return goes to the
    teacher when the episode ends; one that is broken off by a reset says nothing and is dropped.
    The task is in the `info` of `reset`. Several environments may share a teacher, and one that is
    made again from this one's spec does.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        teacher: Teacher,
        set_task: Callable[[gymnasium.Env, np.ndarray], None],
    ) -> None:
        RecordConstructorArgs.__init__(
            self, teacher=teacher, set_task=set_task, _disable_deepcopy=True
        )
        gymnasium.Wrapper.__init__(self, env)
        self.teacher, self.set_task = teacher, set_task
        self.task: np.ndarray | None = None  # of the running episode
        self.total = 0.0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.task, self.total = self.teacher.sample(), 0.0
        self.set_task(self.env, self.task)
        observation, info = self.env.reset(**kwargs)
        return observation, info | {"task": self.task.copy()}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.total += float(reward)
        if (terminated or truncated) and self.task is not None:
            self.teacher.update(self.task, self.total)
            self.task = None  # told once, whatever steps follow
        return observation, reward, terminated, truncated, info
