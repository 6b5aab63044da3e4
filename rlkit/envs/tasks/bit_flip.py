"""Bits to be flipped until they are the goal's: Andrychowicz et al. 2017 (arXiv 1707.01495).

State and goal are n bits, drawn uniformly and different; action i flips bit i. A step pays -1, and
0 where it reaches the goal, which ends the episode; n steps are the limit. From a distance of d
bits the best return is 1 - d. With ten bits a random policy hardly ever reaches the goal, so that
what learns from rewards alone has nothing to learn from.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

BITS = 10  # of the id


class BitFlip(gymnasium.Env[Any, Any]):
    """Observations are dictionaries as of gymnasium-robotics' GoalEnv; see the module."""

    metadata = {"render_modes": []}

    def __init__(self, bits: int = BITS) -> None:
        """Raises ValueError for fewer than two bits."""
        if bits < 2:
            raise ValueError(f"bits is {bits}; at least 2 are needed")
        self.bits, self.steps = bits, 0
        part = spaces.Box(0.0, 1.0, (bits,), np.float32)
        self.observation_space = spaces.Dict(
            observation=part, achieved_goal=part, desired_goal=part
        )
        self.action_space = spaces.Discrete(bits)
        self.state = self.goal = np.zeros(bits, np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """A state and another as goal."""
        super().reset(seed=seed)
        self.steps = 0
        self.state, self.goal = self._drawn(), self._drawn()
        while (self.state == self.goal).all():
            self.goal = self._drawn()
        return self._seen(), {}

    def step(self, action: Any) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """One bit flipped."""
        self.state = self.state.copy()
        self.state[int(action)] = 1 - self.state[int(action)]
        self.steps += 1
        reached = bool((self.state == self.goal).all())
        over = self.steps >= self.bits and not reached
        return self._seen(), float(reached) - 1.0, reached, over, {"is_success": reached}

    def compute_reward(self, achieved: Any, desired: Any, info: Any) -> Any:
        """Rewards `[...]` of states and goals `[..., bits]`."""
        return self._reached(achieved, desired).astype(np.float64) - 1.0

    def compute_terminated(self, achieved: Any, desired: Any, info: Any) -> Any:
        """Whether states are their goals, `[...]`."""
        return self._reached(achieved, desired)

    def _reached(self, achieved: Any, desired: Any) -> np.ndarray:
        reached: np.ndarray = np.equal(achieved, desired).all(-1)
        return reached

    def _drawn(self) -> np.ndarray:
        return self.np_random.integers(0, 2, self.bits).astype(np.float32)

    def _seen(self) -> dict[str, np.ndarray]:
        return {
            "observation": self.state.copy(),
            "achieved_goal": self.state.copy(),
            "desired_goal": self.goal.copy(),
        }


def register() -> None:
    """Makes the id known to gymnasium; a second call changes nothing."""
    if "rlkit/BitFlip-v0" not in gymnasium.registry:
        gymnasium.register("rlkit/BitFlip-v0", entry_point="rlkit.envs.tasks.bit_flip:BitFlip")
