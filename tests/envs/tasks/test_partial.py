"""Environments without velocities: what is seen, and that nothing else is changed."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

import rlkit
from rlkit.envs.tasks.partial import IDS, Seen


@pytest.mark.parametrize("name", IDS)
def test_what_is_seen_is_part_of_the_whole(name: str) -> None:
    inner, numbers = IDS[name]
    part, whole = rlkit.make(name), gymnasium.make(inner)
    assert part.spec is not None
    assert part.spec.max_episode_steps == whole.spec.max_episode_steps
    seen, all_of_it = part.reset(seed=3)[0], whole.reset(seed=3)[0]
    part.action_space.seed(0)
    for _ in range(20):
        np.testing.assert_array_equal(seen, all_of_it[list(numbers)])
        assert part.observation_space.contains(seen)
        action = part.action_space.sample()
        seen, r, *flags, _ = part.step(action)
        all_of_it, expected, *their_flags, _ = whole.step(action)
        assert r == expected
        assert flags == their_flags
        if any(flags):
            break


def test_what_cannot_be_hidden_is_refused() -> None:
    env = gymnasium.make("CartPole-v1")
    for numbers in ((), (4,), (-1,)):
        with pytest.raises(ValueError, match="not all among 4"):
            Seen(env, numbers)
    with pytest.raises(ValueError, match="are no vectors"):
        Seen(gymnasium.make("FrozenLake-v1"), (0,))
