"""A gymnasium environment whose episodes are of levels from a pool; see `rlkit.envs.pools`."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlkit.core.errors import UsageError
from rlkit.envs.pools import SPLITS, Split, check, level


class Levels(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """An environment whose every episode is of a level drawn from a pool.

    Which ones, and in which order, depends on `seed`, and on that of a `reset(seed=...)` from there
    on. `info["level"]` of a reset has the level's seed.
    """

    def __init__(
        self, env: gymnasium.Env[Any, Any], levels: int, split: Split = "train", seed: int = 0
    ) -> None:
        RecordConstructorArgs.__init__(self, levels=levels, split=split, seed=seed)
        gymnasium.Wrapper.__init__(self, env)
        check(levels)
        if split not in SPLITS:
            raise UsageError(f"split is {split!r}; it must be one of {', '.join(SPLITS)}")
        self.levels, self.split = levels, split
        self.drawn = np.random.default_rng(seed)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self.drawn = np.random.default_rng(seed)
        chosen = level(self.split, int(self.drawn.integers(1 << 31)), self.levels)
        obs, info = self.env.reset(seed=chosen, options=options)
        return obs, info | {"level": chosen}
