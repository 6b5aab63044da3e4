"""Random walks on finite processes as episode stores: fixtures that are functions."""

from __future__ import annotations

import numpy as np
import pytest

from rlkit.data.store import EpisodeStore
from rlkit.theory.mdp import FiniteMDP


def _walk(mdp: FiniteMDP, steps: int, longest: int, seed: int = 0) -> EpisodeStore:
    """At least `steps` steps of the uniform policy, one-hot states, episodes of at most `longest`;
    the extra columns `state` and `state2` hold the states' numbers (state2 -1 after the end)."""
    P, R = mdp.dense()
    rng = np.random.default_rng(seed)
    eye = np.eye(mdp.num_states, dtype=np.float32)
    start = np.cumsum(mdp.initial_law())
    episodes, done = [], 0
    while done < steps:
        s = min(int(np.searchsorted(start, rng.random(), side="right")), mdp.num_states - 1)
        states, actions, rewards, ended = [s], [], [], False
        while len(actions) < longest and not ended:
            a = int(rng.integers(mdp.num_actions))
            reach = np.cumsum(P[s, a])
            u = rng.random()
            ended = u >= reach[-1] - 1e-12
            actions.append(a)
            rewards.append(R[s, a])
            s = s if ended else int(np.searchsorted(reach, u, side="right"))
            states.append(s)
        n = len(actions)
        last = np.arange(n) == n - 1
        after = np.array(states[1:])
        episodes.append(
            {
                "obs": eye[states],
                "action": np.array(actions),
                "reward": np.array(rewards),
                "terminated": last & ended,
                "truncated": last & (not ended),
                "state": np.array(states[:-1]),
                "state2": np.where(last & ended, -1, after),
            }
        )
        done += n
    return EpisodeStore.from_episodes(episodes)


@pytest.fixture(scope="session")
def walk():
    return _walk
