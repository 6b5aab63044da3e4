"""Standards of the literature: forest, inventory, ring, Baird's star, theta -> 2 theta, Boyan."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.validate import (
    check_count,
    check_fraction,
    check_number,
    check_positive,
    settings,
)


class FeaturedChain(NamedTuple):
    """An MDP with linear features [S, k], a target and a behaviour policy [S, A]."""

    mdp: FiniteMDP
    features: Array
    target: Array
    behaviour: Array


@settings(
    states=partial(check_count, least=2), r1=check_number, r2=check_number, fire=check_fraction
)
def forest(states: int = 3, r1: float = 4.0, r2: float = 2.0, fire: float = 0.1) -> FiniteMDP:
    """Forest management of pymdptoolbox: 0 waits (grows, or burns to age 0), 1 cuts.

    Waiting in the oldest state pays r1; cutting pays 1 between, r2 in the oldest, 0 at age 0.
    """
    p, r = np.zeros((states, 2, states)), np.zeros((states, 2))
    s = np.arange(states)
    p[s, 0, np.minimum(s + 1, states - 1)] = 1.0 - fire
    p[s, 0, 0] += fire
    p[s, 1, 0] = 1.0
    r[states - 1, 0] = r1
    r[1 : states - 1, 1], r[states - 1, 1] = 1.0, r2
    return FiniteMDP.from_dense(p, r)


@settings(
    capacity=check_count,
    mean_demand=check_positive,
    price=check_number,
    cost=check_number,
    fixed=check_number,
    holding=check_number,
)
def inventory(
    capacity: int = 20, mean_demand: float = 4.0, price: float = 2.0, cost: float = 1.0,
    fixed: float = 1.0, holding: float = 0.05,
) -> FiniteMDP:  # fmt: skip
    """Periodic-review inventory with lost sales: order a <= capacity - stock, then demand.

    Demand is Poisson(mean_demand), cut at the stock. Reward: price * sales - cost * a - fixed
    [a > 0] - holding * stock. State = stock at the start of the period; starts empty.
    """
    d = np.arange(capacity + 1)
    log_mass = d * np.log(mean_demand) - mean_demand
    mass = np.exp(log_mass - np.concatenate([[0.0], np.cumsum(np.log(d[1:]))]))
    n = capacity + 1
    p, r = np.zeros((n, n, n)), np.full((n, n), -np.inf)
    for stock in range(n):
        for order in range(n - stock):
            level = stock + order
            served = mass[:level]
            p[stock, order, level - d[:level]] = served
            p[stock, order, 0] += 1.0 - served.sum()
            sales = served @ d[:level] + (1.0 - served.sum()) * level
            r[stock, order] = price * sales - cost * order - fixed * (order > 0) - holding * stock
    return FiniteMDP.from_dense(p, r, np.eye(n)[0])


@settings(states=partial(check_count, least=3))
def ring(states: int = 6) -> FiniteMDP:
    """Symmetric random walk on a ring, one action, reward 1 in state 0.

    Its eigenvalues are cos(2 pi k / S).
    """
    p, r = np.zeros((states, 1, states)), np.zeros((states, 1))
    s = np.arange(states)
    p[s, 0, (s + 1) % states] = p[s, 0, (s - 1) % states] = 0.5
    r[0] = 1.0
    return FiniteMDP.from_dense(p, r)


def baird() -> FeaturedChain:
    """Baird's seven-state star: off-policy linear TD diverges on it.

    Action 0 ("dashed") goes to one of the first six states, 1 ("solid") to the seventh; no
    reward. Behaviour takes dashed with 6/7, the target is always solid.
    """
    p = np.zeros((7, 2, 7))
    p[:, 0, :6] = 1 / 6
    p[:, 1, 6] = 1.0
    features = np.zeros((7, 8))
    features[np.arange(6), np.arange(6)] = 2.0
    features[:6, 7] = 1.0
    features[6, 6:] = 1.0, 2.0
    mdp = FiniteMDP.from_dense(p, np.zeros((7, 2)))
    return FeaturedChain(
        mdp, features, np.tile([0.0, 1.0], (7, 1)), np.tile([6 / 7, 1 / 7], (7, 1))
    )


def two_theta() -> FeaturedChain:
    """The theta -> 2 theta example: one weight, features 1 and 2, no reward.

    Action 0 leads to the first state, action 1 to the second, from either. The target always
    takes 1, the behaviour flips a coin: updates of the first state then pull the weight towards
    2 gamma times itself, and off-policy TD diverges for gamma > 5/6.
    """
    mdp = FiniteMDP.from_dense(np.tile(np.eye(2), (2, 1, 1)), np.zeros((2, 2)))
    return FeaturedChain(
        mdp, np.array([[1.0], [2.0]]), np.tile([0.0, 1.0], (2, 1)), np.full((2, 2), 0.5)
    )


def boyan_chain() -> FeaturedChain:
    """Boyan's chain: states 12..0 and an end; value -2 s, exactly linear in 4 hat features.

    From s >= 2 one or two steps down, reward -3; 1 -> 0 pays -2; 0 ends with 0. Starts at 12.
    """
    p, r, stop = np.zeros((13, 1, 13)), np.full((13, 1), -3.0), np.zeros((13, 1))
    for s in range(2, 13):
        p[s, 0, s - 1] = p[s, 0, s - 2] = 0.5
    p[1, 0, 0] = stop[0, 0] = 1.0
    r[1], r[0] = -2.0, 0.0
    knots = np.array([12, 8, 4, 0])
    features = np.maximum(0.0, 1.0 - np.abs(np.arange(13)[:, None] - knots) / 4)
    one = np.ones((13, 1))
    return FeaturedChain(FiniteMDP.from_dense(p, r, np.eye(13)[12], stop), features, one, one)
