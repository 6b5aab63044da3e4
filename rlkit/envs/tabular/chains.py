"""Chains that reward exploration: RiverSwim, DeepSea, chain, lock, the JAO gadget."""

from __future__ import annotations

from functools import partial

import numpy as np

from rlkit.theory.mdp import FiniteMDP
from rlkit.theory.validate import check_choice, check_count, check_fraction, check_seed, settings

# Many incompatible RiverSwims exist, so a variant is always named: probabilities of the action
# "right" in the first state (stay, ahead), in the middle (back, stay, ahead), in the last
# (back, stay).
RIVER_SWIM = {
    "ucrl": ((0.4, 0.6), (0.05, 0.6, 0.35), (0.4, 0.6)),  # RonanFR/UCRL
    "calm_end": ((0.4, 0.6), (0.05, 0.6, 0.35), (0.05, 0.95)),
    "strong_current": ((0.7, 0.3), (0.1, 0.6, 0.3), (0.4, 0.6)),
}


@settings(n=partial(check_count, least=3))
def river_swim(n: int = 6, variant: str = "ucrl") -> FiniteMDP:
    """RiverSwim of n states: 0 swims left surely, 1 right against the current.

    Reward .005 for left in the first state, 1 for right in the last. Starts in state 0.
    """
    check_choice("variant", variant, RIVER_SWIM)
    first, middle, last = RIVER_SWIM[variant]
    p, r = np.zeros((n, 2, n)), np.zeros((n, 2))
    states = np.arange(n)
    p[states, 0, np.maximum(states - 1, 0)] = 1.0
    p[0, 1, :2] = first
    for s in range(1, n - 1):
        p[s, 1, s - 1 : s + 2] = middle
    p[n - 1, 1, n - 2 :] = last
    r[0, 0], r[n - 1, 1] = 0.005, 1.0
    return FiniteMDP.from_dense(p, r, np.eye(n)[0])


@settings(n=partial(check_count, least=2), seed=check_seed)
def deep_sea(n: int, seed: int | None = None) -> FiniteMDP:
    """DeepSea of an n x n grid, state = row * n + column, exactly n steps an episode.

    Every step goes down one row; right costs .01 / n, and taking it in the bottom-right corner
    pays 1, so the best return is .99. With a `seed` the two actions are swapped in random
    states, so that "right" cannot be learnt once for all.
    """
    size = n * n
    swap = np.zeros(size, bool)
    if seed is not None:
        swap = np.random.default_rng(seed).random(size) < 0.5
    p, r, stop = np.zeros((size, 2, size)), np.zeros((size, 2)), np.zeros((size, 2))
    for row in range(n):
        for column in range(n):
            s = row * n + column
            for right in (0, 1):
                a = right ^ int(swap[s])
                r[s, a] = -0.01 / n * right
                if row == n - 1:
                    stop[s, a] = 1.0
                    r[s, a] += float(right and column == n - 1)
                else:
                    across = min(column + 1, n - 1) if right else max(column - 1, 0)
                    p[s, a, (row + 1) * n + across] = 1.0
    return FiniteMDP.from_dense(p, r, np.eye(size)[0], stop)


@settings(length=partial(check_count, least=2), fail_prob=check_fraction)
def chain(length: int = 5, fail_prob: float = 0.1) -> FiniteMDP:
    """Chain of rlberry: 0 left, 1 right, each doing the other with `fail_prob`.

    Reward .05 in the first state, 1 in the last, whatever is done there. Starts in state 0.
    """
    p, r = np.zeros((length, 2, length)), np.zeros((length, 2))
    for s in range(length):
        left, right = max(s - 1, 0), min(s + 1, length - 1)
        for a, (meant, other) in enumerate(((left, right), (right, left))):
            p[s, a, meant] += 1.0 - fail_prob
            p[s, a, other] += fail_prob
    r[0], r[length - 1] = 0.05, 1.0
    return FiniteMDP.from_dense(p, r, np.eye(length)[0])


@settings(horizon=check_count, actions=partial(check_count, least=2), seed=check_seed)
def lock(horizon: int = 10, actions: int = 2, seed: int = 0) -> FiniteMDP:
    """Combination lock: one action a step is right; a wrong one leads to a dead state.

    States 0..horizon-1 and the dead state `horizon`; the last right action pays 1 and ends the
    episode. Uniform play succeeds with probability actions ** -horizon.
    """
    code = np.random.default_rng(seed).integers(actions, size=horizon)
    p = np.zeros((horizon + 1, actions, horizon + 1))
    r, stop = np.zeros((horizon + 1, actions)), np.zeros((horizon + 1, actions))
    p[:, :, horizon] = 1.0
    steps = np.arange(horizon)
    p[steps, code] = np.eye(horizon + 1)[steps + 1]
    p[horizon - 1, code[-1]] = 0.0
    r[horizon - 1, code[-1]] = stop[horizon - 1, code[-1]] = 1.0
    return FiniteMDP.from_dense(p, r, np.eye(horizon + 1)[0], stop)


@settings(
    actions=check_count,
    leave=check_fraction,
    good=check_fraction,
    which=partial(check_count, least=0),
)
def jao(actions: int = 8, leave: float = 0.2, good: float = 0.5, which: int = 0) -> FiniteMDP:
    """The two-state lower-bound gadget of Jaksch, Ortner & Auer.

    State 1 pays 1 and is left with probability `leave`; state 0 is left with probability
    `leave`, or `good` under action `which`.
    """
    if which >= actions:
        raise ValueError(f"which must lie in 0..{actions - 1}, got {which}")
    p, r = np.zeros((2, actions, 2)), np.zeros((2, actions))
    p[0] = (1.0 - leave, leave)
    p[0, which] = (1.0 - good, good)
    p[1] = (leave, 1.0 - leave)
    r[1] = 1.0
    return FiniteMDP.from_dense(p, r, np.array([1.0, 0.0]))
