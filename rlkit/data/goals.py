"""Goal-conditioned environments: what of an observation is a goal, and what a goal pays.

As gymnasium-robotics has them: observations are dictionaries with `achieved_goal` and
`desired_goal` of one space, and `compute_reward(achieved, desired, info)` tells the reward of any
pair, of batches too. `compute_terminated(achieved, desired, info)` may tell where an episode ends;
without it a goal changes no end.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from rlkit.core.errors import UsageError
from rlkit.data.spaces import flat_shape
from rlkit.envs.make import unflattened

_PARTS = ("achieved_goal", "desired_goal")


class Goals(NamedTuple):
    """The goals in the flat observations `[..., *obs]` of an environment."""

    env: gymnasium.Env
    achieved: slice
    desired: slice
    ends: bool  # whether goals decide where episodes end

    def reward(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Rewards `[N]` float64 of flat goals `[N, g]`."""
        return self._told("compute_reward", achieved, desired)

    def terminated(self, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        """Whether an episode ends, `[N]` bool, at flat goals `[N, g]`."""
        return self._told("compute_terminated", achieved, desired).astype(bool)

    def _told(self, name: str, achieved: np.ndarray, desired: np.ndarray) -> np.ndarray:
        space = unflattened(self.env)
        assert isinstance(space, spaces.Dict)
        part = space["desired_goal"]
        pair = [
            x.reshape(len(x), *(part.shape or ())).astype(part.dtype) for x in (achieved, desired)
        ]
        told = getattr(self.env.unwrapped, name)(*pair, {})
        found = np.asarray(told, np.float64)
        if found.shape != (len(achieved),) or not np.isfinite(found).all():
            raise UsageError(
                f"{name} of {self.env.unwrapped} gives {found.shape} for {len(achieved)} pairs of "
                "goals; hindsight needs one finite number a pair"
            )
        return found


def goals(env: gymnasium.Env, name: str) -> Goals:
    """The goals of an environment that `rlkit.envs.make` made, which is kept for its rules.

    Raises UsageError where it has none, or rules that take no batches.
    """
    space = unflattened(env)
    if not isinstance(space, spaces.Dict) or not set(_PARTS) <= set(space.spaces):
        raise UsageError(
            f"{name} is not goal-conditioned: hindsight needs observations with achieved_goal and "
            "desired_goal"
        )
    kinds = [space[part] for part in _PARTS]
    if not all(isinstance(kind, spaces.Box | spaces.MultiBinary) for kind in kinds) or (
        kinds[0].shape != kinds[1].shape
    ):
        raise UsageError(f"goals of {name} are {kinds}; boxes or bits of one shape are needed")
    if not hasattr(env.unwrapped, "compute_reward"):
        raise UsageError(f"{name} has no compute_reward to tell what another goal would have paid")
    places, start = {}, 0
    for part, inside in space.spaces.items():
        stop = start + math.prod(flat_shape(inside))
        places[part], start = slice(start, stop), stop
    ends = hasattr(env.unwrapped, "compute_terminated")
    found = Goals(env, places[_PARTS[0]], places[_PARTS[1]], ends)
    two = np.zeros((2, math.prod(flat_shape(kinds[0]))))
    try:
        found.reward(two, two)
        if ends:
            found.terminated(two, two)
    except UsageError:
        raise
    except Exception as error:  # whatever another's rule stumbles over
        raise UsageError(f"the rules of {name} take no batches of goals: {error}") from error
    return found
