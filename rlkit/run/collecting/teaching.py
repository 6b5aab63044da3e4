"""The curriculum of a training: a teacher a lane chooses the task of every episode collected."""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from torch import Tensor

from rlkit.algos.bandits.teachers import by_name
from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.envs.stepping import closed
from rlkit.run.task import Task


class Tasks(NamedTuple):
    """What an environment says of its tasks."""

    low: np.ndarray  # [D]
    high: np.ndarray  # [D]
    returns: tuple[float, float]  # of the worst and the best student


def tasks(task: Task, named: by_name.Named) -> Tasks:
    """The tasks of an environment. Raises UsageError where it has none, or no range of returns that
    the text of the teacher does not give either."""
    env = task.make_env()
    try:
        space = _said(env, "task_space")
        known = named.returns or _said(env, "task_returns")
    finally:
        closed(env)
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise UsageError(
            f"{task.env} has no task_space, a box that a curriculum draws tasks from (see "
            "rlkit.envs.Contextual): rlkit/PendulumTasks-v1 and rlkit/CartPoleTasks-v1 have"
        )
    if known is None and named.config is not None:
        raise UsageError(
            f"{task.env} does not say what its worst and best students return (task_returns); "
            f"give them: --curriculum {named.name}:worst=LOW,best=HIGH"
        )
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    if not (np.isfinite(low) & np.isfinite(high) & (low < high)).all():
        raise UsageError(f"tasks of {task.env} from {low} to {high}: no box to draw from")
    return Tasks(low, high, (0.0, 1.0) if known is None else (float(known[0]), float(known[1])))


class Teaching:
    """Teachers of S lanes; the E environments of a lane share its one.

    `begin` gives the options of a reset, `ended` tells what an episode returned. An episode that is
    broken off says nothing.
    """

    def __init__(self, text: str, task: Task, spec: Spec, envs: int) -> None:
        """Raises UsageError as `tasks` and `teachers.by_name.read` do."""
        named = by_name.read(text)
        low, high, returns = tasks(task, named)
        self.teachers = [named.make(low, high, returns, seed) for seed in spec.seeds]
        self.tasks = np.zeros((spec.lanes, envs, len(low)))  # of the episodes under way

    def begin(self, lane: int, env: int) -> dict[str, Any]:
        """The options of a reset, with a task from the lane's teacher."""
        self.tasks[lane, env] = self.teachers[lane].sample()
        return {"task": self.tasks[lane, env].copy()}

    def ended(self, lane: int, env: int, outcome: float) -> None:
        """Tell the lane's teacher the return of an episode that is over."""
        self.teachers[lane].update(self.tasks[lane, env], outcome)

    def state(self) -> dict[str, Tensor]:
        """Tasks under way and all that the teachers know."""
        found = {"tasks": torch.from_numpy(self.tasks.copy())}
        for k, teacher in enumerate(self.teachers):
            for name, array in teacher.state_dict().items():
                found[f"{k}.{name}"] = torch.from_numpy(np.array(array))
        return found

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from `state`."""
        self.tasks = state["tasks"].numpy().copy()
        for k, teacher in enumerate(self.teachers):
            begin = f"{k}."
            teacher.load_state_dict(
                {
                    name.removeprefix(begin): t.numpy()
                    for name, t in state.items()
                    if name.startswith(begin)
                }
            )


def _said(env: gymnasium.Env, name: str) -> Any:
    return env.get_wrapper_attr(name) if env.has_wrapper_attr(name) else None
