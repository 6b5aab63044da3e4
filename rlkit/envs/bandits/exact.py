"""Exact answers by dynamic programming for small environments with memory, to check policies by."""

from itertools import product

import numpy as np

from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.memory import Tallying


def best_tallying_loss(env: Tallying, horizon: int) -> float:
    """The least expected loss of any action sequence of `horizon` rounds from an empty history.

    Dynamic programming over the last m - 1 plays: (K + 1)^(m - 1) states, so for short memories.
    """
    horizon = whole("horizon", horizon)
    losses, weights = np.asarray(env.losses, np.float64), env.tally_weights()
    arms, back = len(losses), weights.size - 1
    grid = np.linspace(0.0, 1.0, losses.shape[1])
    states = list(product(range(-1, arms), repeat=back))  # most recent play first, -1 for none
    place = {state: i for i, state in enumerate(states)}
    loss, move = np.empty((len(states), arms)), np.empty((len(states), arms), int)
    for i, state in enumerate(states):
        for arm in range(arms):
            plays = np.array([arm, *state]) == arm
            loss[i, arm] = np.interp(weights @ plays / weights.sum(), grid, losses[arm])
            move[i, arm] = place[(arm, *state)[:back]]
    value = np.zeros(len(states))
    for _ in range(horizon):
        value = (loss + value[move]).min(1)
    return float(value[place[(-1,) * back]])
