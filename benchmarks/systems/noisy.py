"""CartPole whose rewards carry noise that no policy can change: `register` makes the ids.

noisy/CartPole-tails-v0    half of Student's t with 1.5 degrees of freedom: no variance
noisy/CartPole-normal-v0   normal, of deviation 1
"""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

FREEDOM = 1.5
IDS: dict[str, dict[str, Any]] = {
    "noisy/CartPole-tails-v0": {"scale": 0.5, "tails": True},
    "noisy/CartPole-normal-v0": {"scale": 1.0, "tails": False},
}


class NoisyCartPole(CartPoleEnv):
    """CartPole with noise of mean 0 added to every reward."""

    def __init__(self, scale: float, tails: bool, **given: Any) -> None:
        super().__init__(**given)
        self.scale, self.tails = scale, tails

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = super().step(action)
        rng = self.np_random
        noise = rng.standard_t(FREEDOM) if self.tails else rng.standard_normal()
        return obs, float(reward) + self.scale * float(noise), terminated, truncated, info


def register() -> None:
    """Makes the ids known to gymnasium."""
    for name, given in IDS.items():
        if name not in gymnasium.registry:
            gymnasium.register(
                name, entry_point="noisy:NoisyCartPole", max_episode_steps=500, kwargs=given
            )
