"""Policies for rotting bandits, whose arms pay less the more they are played: RAW-UCB and FEWA.

m_h is the mean of an arm's last h rewards, c_h = sqrt(2 alpha sigma² ln t / h) its confidence width
for sigma-sub-Gaussian rewards (1/2 for rewards in [0, 1]):
  RAW-UCB  argmax over arms of min over h <= N of m_h + c_h
  FEWA     for h = 1, 2, ... drop the arms with m_h < max m_h - 2 c_h, until a surviving arm has no
           further window (N = h) or is alone: play it
Seznec, Menard, Lazaric & Valko 2020 and Seznec, Locatelli, Carpentier, Lazaric & Valko 2019. alpha
is at least 4 in the theory; the papers' experiments use 1.4 (RAW-UCB) and .06 (FEWA).

Windows h = 1, 2, ... or, with grid > 1, h <- max(h + 1, ceil(grid h)): all of them cost t
operations a round, geometric ones K ln t. Differs from the papers' efficient forms: the sums of all
rewards are kept (K T numbers), so that a geometric window is never out of date.
"""

import math

import numpy as np

from rlkit.algos.bandits.simulation.state import argmax_random_tie
from rlkit.envs.bandits.jit import dense, kernel

RAW_UCB, FEWA = 40, 41


def history(arms: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Work arrays: sums [K, T + 1] of the first n rewards of each arm, and 1/h and 1/sqrt(h)."""
    h = np.arange(1, horizon + 1)
    return np.zeros((arms, horizon + 1)), np.array([1.0 / h, 1.0 / np.sqrt(h)])


@dense()
def _least_bound(sums, pulls, width, inverse):
    """min over h = 1..pulls of (mean of the last h) + width / sqrt(h)."""
    total, best = sums[pulls], math.inf
    for h in range(1, pulls + 1):
        bound = (total - sums[pulls - h]) * inverse[0, h - 1] + width * inverse[1, h - 1]
        best = bound if bound < best else best
    return best


@kernel()
def _next_window(h, grid):
    return max(h + 1, math.ceil(h * grid))


@kernel()
def _least_bound_on_grid(sums, pulls, width, inverse, grid):
    total, best, h = sums[pulls], math.inf, 1
    while h <= pulls:
        bound = (total - sums[pulls - h]) * inverse[0, h - 1] + width * inverse[1, h - 1]
        best = min(best, bound)
        h = _next_window(h, grid)
    return best


@kernel()
def _filter(sums, pulls, width, inverse, grid, score):
    """FEWA: leaves score 1 at the arms that may be played and 0 elsewhere."""
    arms, h = score.size, 1
    score[:] = 1.0
    while True:
        best = -math.inf
        for a in range(arms):
            if score[a] == 1.0:
                n = pulls[a]
                best = max(best, (sums[a, n] - sums[a, n - h]) * inverse[0, h - 1])
        left, done, after = 0, 0, _next_window(h, grid)
        for a in range(arms):
            if score[a] == 1.0:
                n = pulls[a]
                mean = (sums[a, n] - sums[a, n - h]) * inverse[0, h - 1]
                if mean < best - 2.0 * width * inverse[1, h - 1]:
                    score[a] = 0.0
                else:
                    left += 1
                    done += n < after
        if left == 1:
            return
        if done > 0:
            for a in range(arms):
                if pulls[a] >= after:
                    score[a] = 0.0
            return
        h = after


@kernel()
def select_rotting(policy, par, t, pulls, sums, inverse, score, stream):
    """The arm of round t (1-based): each arm once, then by the policy; ties at random."""
    if t <= pulls.size:
        return t - 1
    width = math.sqrt(2.0 * par[0] * math.log(t)) * par[1]
    if policy == FEWA:
        _filter(sums, pulls, width, inverse, par[2], score)
    else:
        for a in range(pulls.size):
            if par[2] == 1.0:
                score[a] = _least_bound(sums[a], pulls[a], width, inverse)
            else:
                score[a] = _least_bound_on_grid(sums[a], pulls[a], width, inverse, par[2])
    return argmax_random_tie(score, stream)


@kernel()
def update_rotting(arm, pulls, reward, sums):
    """Store the reward; `pulls` counts it already."""
    sums[arm, pulls] = sums[arm, pulls - 1] + reward
