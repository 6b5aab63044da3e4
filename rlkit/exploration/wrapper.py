"""A bonus in the reward of a gymnasium environment, for learners of other libraries."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.core.errors import UsageError
from rlkit.core.spec import Box, Discrete, Spec
from rlkit.exploration.bonus import Bonus


def spec_of(env: gymnasium.Env[Any, Any], seed: int) -> Spec:
    """What a bonus must know of an environment. Raises UsageError for spaces it does not take."""
    obs, act = env.observation_space, env.action_space
    if not isinstance(obs, gymnasium.spaces.Box):
        raise UsageError(f"a bonus needs observations in a box, not {obs}; flatten them")
    if isinstance(act, gymnasium.spaces.Discrete):
        return Spec(obs.shape, Discrete(int(act.n)), (seed,))
    if isinstance(act, gymnasium.spaces.Box):
        return Spec(obs.shape, Box(int(np.prod(act.shape))), (seed,))
    raise UsageError(f"a bonus needs discrete actions or a box, not {act}")


class BonusReward(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """reward + scale · bonus; `info` has the two apart, as "extrinsic" and "bonus".

    `bonus` is a text of `rlkit.exploration.bonus`, or a `Bonus` that several environments share:
    this one is then its environment number `number`.

        env = BonusReward(gymnasium.make("MiniGrid-MultiRoom-N4-S5-v0"), "count*episode", 0.1)
    """

    def __init__(
        self,
        env: gymnasium.Env[Any, Any],
        bonus: str | Bonus,
        scale: float = 0.1,
        number: int = 0,
        seed: int = 0,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, bonus=bonus, scale=scale, number=number, seed=seed, _disable_deepcopy=True
        )
        gymnasium.Wrapper.__init__(self, env)
        given = Bonus(bonus, spec_of(env, seed)) if isinstance(bonus, str) else bonus
        if not 0 <= number < given.envs:
            raise UsageError(f"number is {number}; the bonus has {given.envs} environments")
        self.bonus, self.scale, self.number = given, scale, np.array([number])
        self.obs: Any = None
        space = env.action_space
        self.start = int(space.start) if isinstance(space, gymnasium.spaces.Discrete) else 0

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        self.obs, info = self.env.reset(**kwargs)
        self.bonus.begun_anew(self.number)
        return self.obs, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        obs, reward, terminated, truncated, info = self.env.step(action)
        taken = np.asarray(action) - self.start if self.bonus.spec.discrete else np.ravel(action)
        found = self.bonus.step(
            np.asarray(self.obs)[None, None],
            np.asarray(taken)[None, None],
            np.asarray(obs)[None, None],
            np.array([[terminated or truncated]]),
            self.number,
        )
        self.obs = obs
        bonus = float(found[0, 0])
        told = {"extrinsic": float(reward), "bonus": bonus}
        return obs, float(reward) + self.scale * bonus, terminated, truncated, info | told
