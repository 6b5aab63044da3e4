"""Planning for last-switch-dependent bandits: the price-decoupled relaxation and exact answers.

A cycle (a, b) of an arm rests a rounds and then plays b; its reward is
C(a, b) = mu(a) + sum_{j=1}^{b-1} mu(-j). Mixing cycles so that the plays of all arms sum to at most
one a round gives a linear program whose value bounds every policy's average reward. Its only
coupling constraint has a price lambda, so it equals
  min over lambda >= 0 of  lambda + sum_i max(0, max_{a,b} (C_i(a, b) - lambda b) / (a + b)),
"always play" being the limit b -> inf. The function is convex and piecewise linear in one variable
and is minimised by bisection on its slope. Recharging arms: Kleinberg & Immorlica 2018 (cycles with
one play); this form for satiation and deprivation together: derived here.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

ALWAYS = 1 << 40  # plays in a row of the cycle that never rests


@dataclass(frozen=True, eq=False)
class CyclePlan:
    """A solution of the relaxation.

    value       upper bound on the average reward of any policy
    price       lambda, the value of one more play a round
    rest, plays [K, 2] the (at most two) cycles of each arm; plays is ALWAYS for never resting
    share       [K, 2] probability with which the arm follows each of them; the rest it stays idle
    """

    value: float
    price: float
    rest: np.ndarray
    plays: np.ndarray
    share: np.ndarray


def cycle_rewards(rested: np.ndarray, played: np.ndarray) -> np.ndarray:
    """C [K, n, n + 1]: reward of resting a = 1..n rounds and then playing b = 1..n + 1.

    More rest or more plays than that never help: rewards are constant beyond n.
    """
    streak = np.concatenate([np.zeros((len(played), 1)), np.cumsum(played, axis=1)], axis=1)
    return rested[:, :, None] + streak[:, None, :]


def _best_cycles(rewards: np.ndarray, always: np.ndarray, price: float):
    """Per arm the best net rate [K], its rest and plays [K] (0 plays: stay idle) at this price."""
    arms, n, _ = rewards.shape
    rest, plays = np.arange(1, n + 1)[:, None], np.arange(1, n + 2)[None, :]
    rates = ((rewards - price * plays) / (rest + plays)).reshape(arms, -1)
    best = rates.argmax(1)
    rate = rates[np.arange(arms), best]
    a, b = best // (n + 1) + 1, best % (n + 1) + 1
    never_rest = always - price >= rate
    rate = np.where(never_rest, always - price, rate)
    a, b = np.where(never_rest, 0, a), np.where(never_rest, ALWAYS, b)
    idle = rate <= 0
    return np.where(idle, 0.0, rate), np.where(idle, 1, a), np.where(idle, 0, b)


def _load(rest: np.ndarray, plays: np.ndarray) -> np.ndarray:
    return plays / (rest + plays)


def relaxation(rested: ArrayLike, played: ArrayLike) -> CyclePlan:
    """The `CyclePlan` of arms with rewards rested [K, n] and played [K, n], all non-negative."""
    rested, played = np.asarray(rested, np.float64), np.asarray(played, np.float64)
    if rested.shape != played.shape or rested.ndim != 2 or rested.size == 0:
        raise ValueError(f"rested {rested.shape} and played {played.shape} must both be [K, n]")
    if not (rested >= 0).all() or not (played >= 0).all():
        raise ValueError("rewards must be non-negative numbers: shift them first")
    rewards, always = cycle_rewards(rested, played), played[:, -1]
    low, high = 0.0, float(max(rested.max(), played.max())) + 1e-9
    rate, rest, plays = _best_cycles(rewards, always, low)
    if _load(rest, plays).sum() <= 1.0:  # no competition for rounds
        follow = np.stack([(plays > 0).astype(float), np.zeros(len(plays))], axis=1)
        return CyclePlan(rate.sum(), 0.0, np.stack([rest] * 2, 1), np.stack([plays] * 2, 1), follow)
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        _, rest, plays = _best_cycles(rewards, always, middle)
        low, high = (middle, high) if _load(rest, plays).sum() > 1.0 else (low, middle)
    rate, rest_high, plays_high = _best_cycles(rewards, always, high)
    _, rest_low, plays_low = _best_cycles(rewards, always, low)
    # Swap arms one by one from their cycles just below the price to those just above it; the arm
    # at which the load passes 1 mixes both.
    share = np.zeros((len(rested), 2))
    share[:, 0] = 1.0
    load = _load(rest_low, plays_low)
    change = load - _load(rest_high, plays_high)
    excess = load.sum() - 1.0
    for i in range(len(rested)):
        moved = 0.0 if change[i] <= 0 else min(1.0, excess / change[i])
        share[i] = 1.0 - moved, moved
        excess -= moved * max(change[i], 0.0)
    share[:, 0] *= plays_low > 0
    share[:, 1] *= plays_high > 0
    rest, plays = np.stack([rest_low, rest_high], 1), np.stack([plays_low, plays_high], 1)
    return CyclePlan(float(high + rate.sum()), high, rest, plays, share)


def best_average_reward(rested: ArrayLike, played: ArrayLike, tolerance: float = 1e-9) -> float:
    """The largest average reward of any policy, by relative value iteration over all joint states.

    (2n)^K states: for checks on a few arms with short memory, not for planning.
    """
    rested, played = np.asarray(rested, np.float64), np.asarray(played, np.float64)
    arms, n = rested.shape
    values = np.array([*range(-n, 0), *range(1, n + 1)])
    place = {int(v): i for i, v in enumerate(values)}
    after_rest = np.array([place[min(v + 1, n) if v > 0 else 1] for v in values])
    after_play = np.array([place[-1 if v > 0 else max(v - 1, -n)] for v in values])
    payoff = np.concatenate([played[:, ::-1], rested], axis=1)  # [K, 2n]
    states = np.array(list(product(range(2 * n), repeat=arms)))  # [S, K]
    base = (2 * n) ** np.arange(arms - 1, -1, -1)
    moves, gains = [], []
    for action in range(arms + 1):  # the last one idles
        after = after_rest[states]
        gain = np.zeros(len(states))
        if action < arms:
            after[:, action] = after_play[states[:, action]]
            gain = payoff[action, states[:, action]]
        moves.append(after @ base)
        gains.append(gain)
    move, gain = np.array(moves), np.array(gains)
    h = np.zeros(len(states))
    while True:  # half of each step stays put, which makes every chain aperiodic
        step = 0.5 * (gain + h[move]).max(0) - 0.5 * h
        h = h + step
        if np.ptp(step) < tolerance:
            return float(2.0 * step.mean())
