"""Episodes whose lesson is known: arms that pay by luck, a cart whose velocities are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np

from rlkit.data.store import EpisodeStore

# What a good arm, drawn once in ten, and a bad one have paid: 5 of the 14 rewards are the good
# one's. It is worth 0.5, the other 0.1.
LUCK = ([1.0] * 5 + [0.0] * 5, [1.0] * 9 + [0.0] * 81)


def bandit(pays: Sequence[Sequence[float]]) -> EpisodeStore:
    """One-step episodes: arm k was drawn as often as `pays[k]` is long, and paid these rewards."""
    return EpisodeStore.from_episodes(
        {
            "obs": np.ones((2, 1), np.float32),
            "action": np.array([arm]),
            "reward": np.array([reward], np.float32),
            "terminated": np.array([True]),
            "truncated": np.array([False]),
        }
        for arm, rewards in enumerate(pays)
        for reward in rewards
    )


def positions(episodes: int, seed: int = 0) -> EpisodeStore:
    """CartPole's cart and angle, as rlkit/CartPolePositions-v1 shows them, under a linear
    controller that acts at random half of the time: about 200 steps an episode."""
    rng, env, found = np.random.default_rng(seed), gymnasium.make("CartPole-v1"), []
    gains = np.array([0.02, 0.05, 1.0, 0.3])
    for number in range(episodes):
        state, over = env.reset(seed=seed + number)[0], False
        rows: dict[str, list[Any]] = {"action": [], "reward": [], "terminated": [], "obs": [state]}
        while not over:
            push = int(state @ gains > 0)
            action = int(rng.integers(2)) if rng.random() < 0.5 else push
            state, r, terminated, truncated, _ = env.step(action)
            over = terminated or truncated
            for name, value in zip(rows, (action, r, terminated, state), strict=True):
                rows[name].append(value)
        ended = np.array(rows["terminated"])
        last = np.arange(len(ended)) == len(ended) - 1
        found.append(
            {
                "obs": np.array(rows["obs"], np.float32)[:, [0, 2]],
                "action": np.array(rows["action"]),
                "reward": np.array(rows["reward"], np.float32),
                "terminated": ended,
                "truncated": ~ended & last,
            }
        )
    env.close()
    return EpisodeStore.from_episodes(found)
