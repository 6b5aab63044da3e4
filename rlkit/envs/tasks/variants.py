"""Ids of ours for gymnasium's environments with something changed."""

from __future__ import annotations

from collections.abc import Mapping

import gymnasium


def register(inner: Mapping[str, str], entry_point: str) -> None:
    """Makes ids known to gymnasium, each with the limits of the one of gymnasium's it changes;
    `entry_point` gets the id as `name`. A second call changes nothing."""
    for env_id, of in inner.items():
        if env_id not in gymnasium.registry:
            theirs = gymnasium.registry[of]
            gymnasium.register(
                env_id,
                entry_point=entry_point,
                max_episode_steps=theirs.max_episode_steps,
                reward_threshold=theirs.reward_threshold,
                kwargs={"name": env_id},
            )
