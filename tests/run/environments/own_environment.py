"""An environment of one's own, whose types are not quite those of its spaces."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SMALL = {"hidden": (16, 16), "batch_size": 16}


class Halves(gymnasium.Env):
    """Resets to whole numbers and steps by halves; remembers what it was given."""

    observation_space = spaces.Box(-100, 100, (2,), np.float32)

    def __init__(self, action_space: Any = None, end: int = 4) -> None:
        self.action_space = spaces.Box(-0.3, 0.3, (1,), np.float64)
        if action_space is not None:
            self.action_space = action_space
        self.given: list[Any] = []
        self.end = end

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return np.array([1, 2]), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        self.given.append(action)
        assert self.action_space.contains(action), (action, np.asarray(action).dtype)
        return np.array([1 + self.t / 2, 2.25]), 0.5, self.t >= self.end, False, {}


BOXES = [
    spaces.Box(-0.3, 0.3, (1,), np.float64),
    spaces.Box(-0.1, 0.7, (1,), np.float16),
    spaces.Box(-3, 4, (1,), np.int64),
    spaces.Box(-0.3, 0.3, (1, 1), np.float64),
]
