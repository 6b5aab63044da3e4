"""MiniGrid's partial view as one array.

The view is egocentric: it turns with the agent, so nothing in it depends on the compass. The
compass direction that MiniGrid also reports is left out, as is usual: it is a second sensor, and
with it an agent could learn where a fixed goal lies without ever seeing it. The mission text is
left out too; the tasks shipped here have one mission each.
"""

from __future__ import annotations

import sys
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils import RecordConstructorArgs

KINDS = (11, 6, 4)  # numbers of objects, colours and states (carried state included)
# Wrappers that change the observation and leave its cells what they are: object, colour, state.
_KEEPING = {"SymbolicView", "ImgObsWrapper", "FullyObsWrapper", "ViewSizeWrapper"}
_KEEPING |= {"DirectionObsWrapper", "DictObservationSpaceWrapper"}
# MiniGrid's wrappers that do not touch it at all; gymnasium's that do are ObservationWrappers.
_APART = {"ReseedWrapper", "ActionBonus", "PositionBonus", "StochasticActionWrapper", "NoDeath"}
_APART |= {"TimeLimit", "OrderEnforcing", "PassiveEnvChecker", "RecordEpisodeStatistics"}


def one_hot(view: np.ndarray) -> np.ndarray:
    """Cells `[..., H, W, 3]` as vectors `[..., H * W * 21]` float32 of zeros and ones."""
    parts = [np.eye(n, dtype=np.float32)[view[..., k]] for k, n in enumerate(KINDS)]
    joined = np.concatenate(parts, -1)
    return joined.reshape(*view.shape[:-3], -1)


def is_grid(env: gymnasium.Env) -> bool:
    """Whether a MiniGrid environment is inside."""
    if "minigrid" not in sys.modules:
        return False
    from minigrid.minigrid_env import MiniGridEnv

    return isinstance(env.unwrapped, MiniGridEnv)


def is_view(env: gymnasium.Env) -> bool:
    """Whether observations are MiniGrid's own cells, of object, colour and state; an image of the
    same shape is none."""
    if not is_grid(env):
        return False
    while isinstance(env, gymnasium.Wrapper):
        name, inner = type(env).__name__, env.env
        same = env.observation_space == inner.observation_space
        changes = isinstance(env, gymnasium.ObservationWrapper) or not same
        if name not in _KEEPING | _APART and changes:
            return False
        env = inner
    return True


def spec_is_view(spec: EnvSpec) -> bool:
    """`is_view` of what a spec describes, by its words alone: nothing is made."""
    names = {wrapper.name for wrapper in spec.additional_wrappers}
    return str(spec.entry_point).startswith("minigrid.") and names <= _KEEPING | _APART


class SymbolicView(
    gymnasium.ObservationWrapper[np.ndarray, int, dict[str, Any]], RecordConstructorArgs
):
    """Observation `[7, 7, 3]` uint8: object, colour and state of each visible cell.

    The same as MiniGrid's ImgObsWrapper, but recorded in the environment's spec, so that a
    dataset can rebuild its environment.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Dict) or "image" not in space.spaces:
            raise ValueError(f"{env} gives no 'image' observation; is it a MiniGrid environment?")
        self.observation_space = space["image"]

    def observation(self, observation: dict[str, Any]) -> np.ndarray:
        return observation["image"]
