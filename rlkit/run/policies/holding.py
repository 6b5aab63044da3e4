"""Policies that decide once in so many steps, to be evaluated at several frequencies."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from rlkit.core.errors import UsageError
from rlkit.core.spec import Spec
from rlkit.eval.rollout import Slots
from rlkit.run.task import Act, Task, actor


def holding(agent: Any, spec: Spec, task: Task, every: int) -> Act:
    """`act(obs [S, n, *obs], slots)` in environment units of a policy that decides in the steps 0,
    `every`, 2 `every` .. of an episode.

    An agent with `plan(s, before, count)` goes on with what it has planned, any other repeats its
    action. Raises UsageError for one that looks back at every step and plans nothing.
    """
    if every < 1:
        raise UsageError(f"a policy decides once in a number of steps, not in {every}")
    if hasattr(agent, "plan"):
        return _planned(agent, spec, task, every)
    if hasattr(agent, "history"):
        raise UsageError("a policy that looks back at its episode decides in every step")
    now, held = actor(agent, spec, task), np.zeros(0)

    def act(obs: np.ndarray, slots: Slots, noise: Any = None) -> np.ndarray:
        nonlocal held
        fresh = slots.t % every == 0
        if fresh.any():
            new = now(obs)
            held = held if held.shape == new.shape else new
            held = np.where(fresh.reshape(*fresh.shape, *[1] * (new.ndim - 2)), new, held)
        return held

    return act


def _planned(agent: Any, spec: Spec, task: Task, every: int) -> Act:
    plan = torch.zeros(0)

    @torch.no_grad()
    def act(obs: np.ndarray, slots: Slots, noise: Any = None) -> np.ndarray:
        nonlocal plan
        t = torch.as_tensor(np.array(slots.t), device=spec.device)
        s = torch.as_tensor(task.transforms.obs(obs), dtype=spec.dtype, device=spec.device)
        shape = (*t.shape, every, spec.act_size)
        if plan.shape != shape:
            plan = s.new_zeros(shape)
        fresh = t % every == 0
        if fresh.any():  # the action before the first of an episode is 0
            before = plan[:, :, -1] * (t > 0).unsqueeze(-1)
            plan = torch.where(fresh[..., None, None], agent.plan(s, before, every), plan)
        at = (t % every).view(*t.shape, 1, 1).expand(-1, -1, 1, spec.act_size)
        return task.to_env(plan.gather(2, at).squeeze(2).cpu().numpy())

    return act
