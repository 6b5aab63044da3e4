"""The gymnasium environment behind `rlkit.envs.tabular.latent.make`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rlkit.theory.learning.latent import LatentMDP


class LatentEnv(gymnasium.Env[Any, Any]):
    """Draws a context an episode and reveals it, in hindsight, in the last step's info.

    Observations are state indices, rewards the context's, `terminated` after the horizon.
    """

    metadata = {"render_modes": []}

    def __init__(self, model: LatentMDP) -> None:
        self.model = model
        _, states, actions = model.shape
        self.observation_space: Any = gymnasium.spaces.Discrete(states)
        self.action_space: Any = gymnasium.spaces.Discrete(actions)
        self.stage = -1

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.context = int(self.np_random.choice(self.model.w.size, p=self.model.w))
        law = self.model.nu[self.context]
        self.state = int(self.np_random.choice(law.size, p=law))
        self.stage = 0
        return self.state, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        if not 0 <= self.stage < self.model.horizon:
            raise RuntimeError("call reset before step")
        a = int(action)
        reward = float(self.model.R[self.context, self.state, a])
        law = np.asarray(self.model.P[self.context, self.state, a])
        self.state = int(self.np_random.choice(law.size, p=law))
        self.stage += 1
        over = self.stage == self.model.horizon
        return self.state, reward, over, False, {"context": self.context} if over else {}
