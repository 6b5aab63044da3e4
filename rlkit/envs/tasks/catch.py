"""A game of catch seen as an image, whose best return is known: 1.

After "catch" of bsuite (Osband et al. 2020, arXiv 1908.03568): a ball falls from the top row of a
board, one row a step, and a paddle in the bottom row moves left, stays or moves right. In the last
row the ball is caught, reward 1, or missed, reward -1. The paddle begins in the middle, and can be
anywhere by then. An image has one pixel a square: 255 for ball and paddle, else 0.

With `drift` the ball moves sideways too, one column a step, in a direction drawn for the episode,
and bounces off the walls. One image does not show which; two do, as of gymnasium's
FrameStackObservation. Differs from bsuite's: the size, and actions that may be one number in
[-1, 1] (`continuous`): below -1/3 is left, above 1/3 right.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FrameStackObservation

BEST = 1.0  # the return of an optimal policy
_IDS: dict[str, dict[str, Any]] = {
    "rlkit/CatchPixels-v0": {},
    "rlkit/CatchPixelsContinuous-v0": {"continuous": True},
    "rlkit/CatchPixelsDrift-v0": {"drift": True},
}


class Catch(gymnasium.Env[np.ndarray, Any]):
    """The game on a board of `size` x `size` squares; see the module."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(
        self,
        size: int = 10,
        continuous: bool = False,
        drift: bool = False,
        render_mode: str | None = None,
    ) -> None:
        """Raises ValueError for a board below 3 x 3."""
        if size < 3:
            raise ValueError(f"size {size} must be at least 3")
        self.size, self.continuous, self.drift = size, continuous, drift
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, (size, size), np.uint8)
        self.action_space = (
            spaces.Box(-1, 1, (1,), np.float32) if continuous else spaces.Discrete(3)
        )
        self.ball, self.paddle, self.way = np.zeros(2, np.int64), 0, 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The first image: a ball in the top row."""
        super().reset(seed=seed)
        self.ball = np.array([0, self.np_random.integers(self.size)])
        self.paddle = self.size // 2
        self.way = int(self.np_random.choice([-1, 1])) if self.drift else 0
        return self._image(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One row down; the reward comes in the last one."""
        if self.continuous:
            x = float(np.asarray(action).reshape(-1)[0])
            move = int(x > 1 / 3) - int(x < -1 / 3)
        else:
            move = int(action) - 1
        self.paddle = int(np.clip(self.paddle + move, 0, self.size - 1))
        if not 0 <= self.ball[1] + self.way < self.size:
            self.way = -self.way
        self.ball = self.ball + np.array([1, self.way])
        over = bool(self.ball[0] == self.size - 1)
        caught = bool(self.ball[1] == self.paddle)
        return self._image(), (1.0 if caught else -1.0) if over else 0.0, over, False, {}

    def render(self) -> Any:
        """The image, every square 32 pixels wide, in grey."""
        return np.repeat(np.kron(self._image(), np.ones((32, 32), np.uint8))[..., None], 3, -1)

    def _image(self) -> np.ndarray:
        image = np.zeros((self.size, self.size), np.uint8)
        image[self.ball[0], self.ball[1]] = image[-1, self.paddle] = 255
        return image


def catch(stack: int = 1, **kwargs: Any) -> gymnasium.Env:
    """The game; with `stack` above 1 observations are the last so many images."""
    env = Catch(**kwargs)
    return env if stack == 1 else FrameStackObservation(env, stack)


def register() -> None:
    """Makes the ids known to gymnasium; a second call changes nothing."""
    for env_id, kwargs in _IDS.items():
        if env_id not in gymnasium.registry:
            gymnasium.register(
                env_id,
                entry_point="rlkit.envs.tasks.catch:catch",
                max_episode_steps=100,
                kwargs=kwargs | ({"stack": 2} if "drift" in kwargs else {}),
            )
