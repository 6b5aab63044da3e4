"""The batch of grids as a vector environment of gymnasium, for code of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlkit.core.errors import UsageError
from rlkit.envs.grid.batch import Grids
from rlkit.envs.make import make


class GridVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """`num_envs` MiniGrid environments of an id: views `[n, V, V, 3]`, the same as those of
    `gymnasium.make_vec(id)` with ImgObsWrapper and the same seeds and actions, at hundreds of times
    the speed.

    `kwargs` go to the environment. An ended grid is reset by the next step, or with
    `autoreset_mode="SameStep"` by the same, its last view in `info["final_obs"]`; "Disabled" leaves
    resets to `reset(options={"reset_mask": [n] bool})`. Raises UsageError for an environment that
    has no kernel (`rlkit.envs.grid.families`).
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        **kwargs: Any,
    ) -> None:
        try:
            self.mode = AutoresetMode(autoreset_mode)
        except ValueError as error:
            modes = ", ".join(mode.value for mode in AutoresetMode)
            raise UsageError(f"autoreset_mode must be one of {modes}") from error
        env = make(env_id, **kwargs)
        self.grids = Grids.of(env, num_envs)
        self.num_envs = num_envs
        self.spec = env.spec
        self.metadata = {"autoreset_mode": self.mode}
        self.single_observation_space = env.observation_space
        self.single_action_space = env.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._ended = np.zeros(num_envs, bool)
        env.close()

    def reset(
        self,
        *,
        seed: int | list[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """First views; an integer seeds grid k with `seed + k`. A grid without a seed draws on from
        the generator it has, the first time from one of the system's. Raises ValueError for seeds
        or a mask that are not one a grid."""
        mask = (options or {}).get("reset_mask")
        if mask is not None and (np.shape(mask) != (n := self.num_envs,) or not np.any(mask)):
            raise ValueError(f"reset_mask must be {n} flags, one at least True, got {mask}")
        rows = np.arange(self.num_envs) if mask is None else np.flatnonzero(mask)
        if isinstance(seed, int | np.integer):
            seeds: list[int | None] = [int(seed) + k for k in range(self.num_envs)]
        else:
            seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} grids")
        fresh = np.random.SeedSequence().generate_state(self.num_envs)
        for k in np.flatnonzero(~self.grids.seeded):
            seeds[k] = int(fresh[k]) if seeds[k] is None else seeds[k]
        self.grids.reset([seeds[k] for k in rows], rows)
        self._ended[rows] = False
        return self.grids.image.copy(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        again = np.flatnonzero(self._ended)
        if len(again) and self.mode is AutoresetMode.DISABLED:
            raise ValueError(f"grids {again.tolist()} have ended: reset them with a reset_mask")
        reward, terminated, truncated = self.grids.step(actions, np.flatnonzero(~self._ended))
        info: dict[str, Any] = {}
        self.grids.reset([None] * len(again), again)  # this step of theirs is the reset
        over = terminated | truncated
        if self.mode is AutoresetMode.SAME_STEP and over.any():
            info = {"final_obs": self.grids.image.copy(), "_final_obs": over}
            rows = np.flatnonzero(over)
            self.grids.reset([None] * len(rows), rows)
        else:
            self._ended = over
        return self.grids.image.copy(), reward, terminated, truncated, info
