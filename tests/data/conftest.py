"""Small random episodes and ring recordings: fixtures that are functions."""

from __future__ import annotations

import numpy as np
import pytest

from rlkit.data.replay import Replay
from rlkit.data.store import EpisodeStore


def _episode(rng, steps, obs=3, act=2, end="truncated", actions=None):
    """One episode as `from_episodes` takes it; `end` is terminated, truncated, both or open."""
    last = np.arange(steps) == steps - 1
    return {
        "obs": rng.normal(size=(steps + 1, obs)).astype(np.float32),
        "action": (
            rng.uniform(-1, 1, (steps, act)).astype(np.float32)
            if actions is None
            else rng.integers(0, actions, steps)
        ),
        "reward": rng.normal(size=steps),
        "terminated": last & (end in ("terminated", "both")),
        "truncated": last & (end in ("truncated", "both")),
    }


def _store(seed=0, lengths=(5, 1, 4, 7), ends=("terminated", "truncated", "open", "both"), **kw):
    rng = np.random.default_rng(seed)
    pairs = zip(lengths, ends, strict=True)
    return EpisodeStore.from_episodes([_episode(rng, n, end=end, **kw) for n, end in pairs])


def _record(replay: Replay, steps: int, seed: int = 0, end_chance: float = 0.2, start: int = 0):
    """Adds `steps` random steps to a ring; returns them in order, each a dict of `[S, E, ...]`."""
    rng = np.random.default_rng(seed)
    lead = (replay.spec.lanes, replay.envs)
    log = []
    for t in range(start, start + steps):
        stamp = np.full((*lead, 1), t, np.float32)  # where each number came from
        place = np.arange(lead[0] * lead[1]).reshape(*lead, 1)
        step = {
            "s": np.concatenate((stamp, place, rng.normal(size=(*lead, 1))), -1),
            "a": rng.uniform(-1, 1, (*lead, 2)),
            "r": rng.normal(size=lead),
            "terminated": rng.random(lead) < end_chance / 2,
            "truncated": rng.random(lead) < end_chance / 2,
            "s2": np.concatenate((stamp + 0.5, place, rng.normal(size=(*lead, 1))), -1),
        }
        replay.add(**step)
        log.append(step)
    return log


@pytest.fixture(scope="session")
def episode():
    return _episode


@pytest.fixture(scope="session")
def store():
    return _store


@pytest.fixture(scope="session")
def record():
    return _record
