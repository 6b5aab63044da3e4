"""Pools of levels are apart, and an environment draws from one."""

from typing import Any

import gymnasium
import numpy as np
import pytest

from rlkit.core.errors import UsageError
from rlkit.envs.levels import Levels
from rlkit.envs.pools import MOST, SPLITS, check, level


def test_training_levels_are_the_first_and_no_level_is_in_two_pools() -> None:
    drawn = np.random.default_rng(0).integers(1 << 31, size=2000).tolist()
    pools = {split: {level(split, n, 7) for n in drawn} for split in SPLITS}
    assert pools["train"] == set(range(7))
    assert len(pools["test"]) == len(pools["validation"]) == 2000
    assert all(MOST <= seed < 2 * MOST for seed in pools["validation"])
    assert all(2 * MOST <= seed < 3 * MOST for seed in pools["test"])
    assert max(pools["test"]) < 1 << 31  # what some environments take


def test_a_pool_has_levels() -> None:
    check(1)
    check(MOST)
    for levels in (0, MOST + 1):
        with pytest.raises(UsageError, match="a pool has from 1"):
            check(levels)
    with pytest.raises(UsageError, match="one of train, validation, test"):
        Levels(Seeded(), 3, "held out")  # type: ignore[arg-type]


class Seeded(gymnasium.Env[np.ndarray, np.int64]):
    """Shows the seed it was reset with."""

    observation_space = gymnasium.spaces.Box(0, np.inf, (1,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, **_: Any) -> tuple[np.ndarray, dict[str, Any]]:
        return np.array([seed], float), {}


def test_every_episode_of_the_wrapper_is_of_a_level_of_the_pool() -> None:
    def seeds(env: Levels, count: int = 40) -> list[int]:
        found = []
        for _ in range(count):
            obs, info = env.reset()
            assert info["level"] == obs[0]
            found.append(info["level"])
        return found

    first = seeds(Levels(Seeded(), 3, seed=5))
    assert set(first) == {0, 1, 2}
    assert seeds(Levels(Seeded(), 3, seed=5)) == first
    assert seeds(Levels(Seeded(), 3, seed=6)) != first
    env = Levels(Seeded(), 3, "test", seed=9)
    begun = env.reset(seed=5)[1]["level"]
    assert [begun, *seeds(env, 3)] == [begun, *seeds(_begun(5), 3)]


def _begun(seed: int) -> Levels:
    env = Levels(Seeded(), 3, "test")
    env.reset(seed=seed)
    return env
