"""Actions and observations of stable-baselines3's agents as an environment has them.

Their policies draw 32-bit floats for every box and count discrete actions from 0, and pass both on
as they are; what is stepped here is always in the environment's own space. MiniGrid's cells are
categories, which their nets would take for sizes (of a picture): they see zeros and ones.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from rlkit.core.boxes import into_box
from rlkit.envs.minigrid import KINDS, is_view, one_hot


def fitted(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """`env` with spaces that their agents act in; itself where it has them."""
    if is_view(env):
        env = _Cells(env)
    space = env.action_space
    if isinstance(space, spaces.Box) and space.dtype != np.float32:
        return _Box(env)
    if isinstance(space, spaces.Discrete) and space.start != 0:
        return _Numbered(env)
    return env


class _Cells(gymnasium.ObservationWrapper[Any, Any, Any], RecordConstructorArgs):
    """MiniGrid's cells as zeros and ones (`rlkit.envs.minigrid.one_hot`)."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        size = int(np.prod(env.observation_space.shape[:2])) * sum(KINDS)  # type: ignore[index]
        self.observation_space = spaces.Box(0, 1, (size,), np.float32)

    def observation(self, observation: Any) -> np.ndarray:
        return one_hot(np.asarray(observation))


class _Box(gymnasium.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """A box of 32-bit floats over one of another type."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ActionWrapper.__init__(self, env)
        space: Any = env.action_space
        self.own = space
        low, high = (np.asarray(x, np.float32) for x in (space.low, space.high))
        self.action_space = spaces.Box(low, high, space.shape, np.float32)

    def action(self, action: Any) -> Any:
        return into_box(action, self.own.low, self.own.high, self.own.dtype)


class _Numbered(gymnasium.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """Actions from 0 on over ones that begin elsewhere."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ActionWrapper.__init__(self, env)
        space: Any = env.action_space
        self.start = space.start
        self.action_space = spaces.Discrete(int(space.n))

    def action(self, action: Any) -> Any:
        return self.start + np.int64(action)
