"""MiniGrid's partial view as one array.

The view is egocentric: it turns with the agent, so nothing in it depends on the compass. The
compass direction that MiniGrid also reports is left out, as is usual: it is a second sensor, and
with it an agent could learn where a fixed goal lies without ever seeing it. The mission text is
left out too; the tasks shipped here have one mission each.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs


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
