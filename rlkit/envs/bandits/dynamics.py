"""One numba step for every armed and memory environment: expected reward, noise, memory.

The environments of `armed.py` and `memory.py` are flattened to one `Tables` tuple and told apart by
an integer inside one function, so that a simulator is compiled once and caches on disk.
"""

from typing import NamedTuple

import numpy as np

from rlkit.envs.bandits.jit import inlined, kernel
from rlkit.envs.bandits.streams import normal, uniform

STATIONARY, RANDOM_MEANS, SEGMENTS, TALLYING, LAST_SWITCH, BLOCKING, ROTTING = range(7)
BERNOULLI, GAUSSIAN, NOISELESS = range(3)
IDLE = -1


class Tables(NamedTuple):
    """A K-armed environment as plain arrays; unused ones have one element.

    kind        one of the integers above
    noise       BERNOULLI, GAUSSIAN or NOISELESS; sigma its scale
    first       expected rewards: means [S, K] of S segments, or [K, n] by tally, rest or pulls
    second      [K, n] expected rewards by consecutive plays (LAST_SWITCH)
    weights     [m] tally weights, or (low, high) of RANDOM_MEANS
    integers    starts of segments [S], or rounds an arm is blocked after a play [K]
    reference   [n] reward of the reference in round t, its last entry held on
    """

    kind: int
    noise: int
    sigma: float
    arms: int
    first: np.ndarray
    second: np.ndarray
    weights: np.ndarray
    integers: np.ndarray
    reference: np.ndarray


@kernel()
def reset_memory(env, means, memory, stream):
    """Fill the run's means [K] and its integer memory for round 1."""
    arms = env.arms
    if env.kind == RANDOM_MEANS:
        for a in range(arms):
            means[a] = env.weights[0] + (env.weights[1] - env.weights[0]) * uniform(stream)
    elif env.kind == STATIONARY or env.kind == SEGMENTS or env.kind == BLOCKING:
        for a in range(arms):
            means[a] = env.first[0, a]
    if env.kind == LAST_SWITCH:
        memory[:] = env.first.shape[1]
    elif env.kind == TALLYING:
        memory[:] = IDLE
    else:
        memory[:] = 0


@inlined()
def begin_round(env, t, means, memory, available):
    """Bring means and availability to round t (1-based); returns the reference reward or NaN.

    NaN asks the caller for the largest of `means`, which only changes when this function runs.
    """
    if env.kind == SEGMENTS:
        segment = memory[0]
        if segment + 1 < env.integers.size and t >= env.integers[segment + 1]:
            memory[0] = segment + 1
            for a in range(env.arms):
                means[a] = env.first[segment + 1, a]
    elif env.kind == BLOCKING:
        for a in range(env.arms):
            available[a] = memory[a] < t


@inlined()
def best_mean(env, t, means):
    """Largest expected reward (independent arms) or the reward of the reference in round t."""
    if env.kind <= SEGMENTS:
        best = means[0]
        for a in range(1, env.arms):
            if means[a] > best:
                best = means[a]
        return best
    n = env.reference.size
    return env.reference[t - 1] if t <= n else env.reference[n - 1]


@kernel()
def _tally(env, action, memory):
    """Weighted count of `action` among this and the last m - 1 plays; also stores the play.

    memory[0] is the slot of the next play in the ring memory[1:].
    """
    size = env.weights.size
    memory[0] = (memory[0] + 1) % size
    memory[1 + memory[0]] = action
    total = 0.0
    for j in range(size):
        if memory[1 + (memory[0] - j) % size] == action:
            total += env.weights[j]
    return total


@kernel()
def _interpolate(row, share):
    """Piecewise linear value of `row` at share in [0, 1] of its length."""
    place = share * (row.size - 1)
    low = min(int(place), row.size - 2)
    return row[low] + (place - low) * (row[low + 1] - row[low])


@kernel()
def memory_reward(env, action, t, means, memory):
    """Expected reward of `action` (IDLE allowed) in round t; advances the memory by one round."""
    if env.kind == TALLYING:
        if env.weights.size == 0:
            return _interpolate(env.first[action], 0.0)
        tally = _tally(env, action, memory)
        return _interpolate(env.first[action], min(tally / env.weights.sum(), 1.0))
    if env.kind == LAST_SWITCH:
        cap, reward = env.first.shape[1], 0.0
        for a in range(env.arms):
            state = memory[a]
            if a == action:
                reward = env.first[a, state - 1] if state > 0 else env.second[a, -state - 1]
                memory[a] = -1 if state > 0 else max(state - 1, -cap)
            else:
                memory[a] = min(state + 1, cap) if state > 0 else 1
        return reward
    if action == IDLE:
        return 0.0
    if env.kind == BLOCKING:
        memory[action] = t + env.integers[action]
        return means[action]
    pulls = memory[action]
    memory[action] = pulls + 1
    return env.first[action, min(pulls, env.first.shape[1] - 1)]


@inlined()
def noisy(env, mean, stream):
    """A reward with the environment's noise around its expectation."""
    if env.noise == BERNOULLI:
        return 1.0 if uniform(stream) < mean else 0.0
    if env.noise == GAUSSIAN:
        return mean + env.sigma * normal(stream)
    return mean
