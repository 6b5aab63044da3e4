"""Environments of gymnasium's of which a part is seen: positions without velocities.

What is hidden can be told from the observations before: two positions make a velocity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.envs.tasks import variants

# our id -> gymnasium's, the numbers of its observation that are seen
IDS = {
    "rlkit/CartPolePositions-v1": ("CartPole-v1", (0, 2)),  # cart and angle
    "rlkit/PendulumPositions-v1": ("Pendulum-v1", (0, 1)),  # cos and sin of the angle
    "rlkit/AcrobotPositions-v1": ("Acrobot-v1", (0, 1, 2, 3)),  # cos and sin of both angles
}


class Seen(gymnasium.ObservationWrapper, RecordConstructorArgs):
    """`env` with those numbers of its observation that `numbers` lists, in this order."""

    def __init__(self, env: gymnasium.Env, numbers: Sequence[int]) -> None:
        """Raises ValueError for an environment whose observations are no vectors that have them."""
        RecordConstructorArgs.__init__(self, numbers=list(numbers))  # as JSON gives them back
        gymnasium.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
            raise ValueError(f"observations {space} are no vectors: nothing of them can be hidden")
        if not numbers or min(numbers) < 0 or max(numbers) >= space.shape[0]:
            raise ValueError(f"numbers {tuple(numbers)} are not all among {space.shape[0]}")
        self.numbers = list(numbers)
        low, high = space.low[self.numbers], space.high[self.numbers]
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=space.dtype.type)  # type: ignore[arg-type]

    def observation(self, observation: Any) -> np.ndarray:
        return np.asarray(observation)[self.numbers]


def positions(name: str, **kwargs: Any) -> gymnasium.Env:
    """The environment behind one of our `IDS`, without its limit of steps, which the id has."""
    inner, numbers = IDS[name]
    return Seen(gymnasium.make(inner, **kwargs).unwrapped, numbers)


def register() -> None:
    """Makes the ids known to gymnasium; a second call changes nothing."""
    inner = {name: of for name, (of, _) in IDS.items()}
    variants.register(inner, "rlkit.envs.tasks.partial:positions")
