"""The two experiments of the R2PVI paper, with exact evaluation in the perturbed world.

`turning_chain`: a linear MDP of five states, where a perturbation sends the good branch to the
fail state. `PutOption`: an American put on a binomial price, trained at p = 1/2 and used at others.

Differs from the authors' code: a policy's value is computed, not sampled; in the put the start
price is drawn for every episode, and the strike is the option's own (there, the number of
episodes happens to equal it).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlkit.theory.mdp import Array
from rlkit.theory.robust.r2pvi import OfflineData, PessimisticPlan
from rlkit.theory.validate import (
    check_count,
    check_fraction,
    check_not_negative,
    check_number,
    check_positive,
    settings,
)

FAIL, GOOD = 3, 4  # states x4 and x5 of the chain
SLIP = 0.001  # nominal chance that the long way fails


class LinearSetting(NamedTuple):
    """A finite-horizon linear MDP: features phi [S, A, d], reward weights theta [H, d], the
    states behind each feature mu [H, d, S]; starts in state 0."""

    phi: Array
    theta: Array
    mu: Array

    @settings(episodes=check_count)
    def collect(self, episodes: int, seed: int = 0) -> OfflineData:
        """Episodes of the uniform policy."""
        horizon, (_, actions, d) = len(self.theta), self.phi.shape
        rng = np.random.default_rng(seed)
        phi = np.empty((horizon, episodes, d))
        ahead = np.empty((horizon, episodes, actions, d))
        s = np.zeros(episodes, np.int64)
        for h in range(horizon):
            phi[h] = self.phi[s, rng.integers(actions, size=episodes)]
            ends = np.cumsum(phi[h] @ self.mu[h], axis=1)
            s = (ends < rng.random((episodes, 1)) * ends[:, -1:]).sum(1)
            ahead[h] = self.phi[s]
        return OfflineData(phi, np.einsum("hnd,hd->hn", phi, self.theta), ahead)

    def value(self, plan: PessimisticPlan) -> float:
        """Value of the plan's greedy policy here (ties to the first action)."""
        states = np.arange(len(self.phi))
        v = np.zeros(states.size)
        for h in reversed(range(len(self.theta))):
            chosen = self.phi[states, plan.q(h, self.phi).argmax(1)]  # [S, d]
            v = chosen @ (self.theta[h] + self.mu[h] @ v)
        return float(v[0])


def turning_chain(
    perturbation: float | None = None, delta: float = 0.3, norm: float = 0.2
) -> LinearSetting:
    """Five states, three stages, 16 actions {-1, 1}^4; `perturbation` None is the nominal world.

    With x = <xi, a> in [-norm, norm], states x1, x2, x3 have features (1 - delta - x) e_k +
    (delta + x) e_4, the fail state x4 has e_3, the good one x5 has e_4, which pays 1 from the
    second stage on. e_1 and e_2 lead on along the chain (slipping into x4), e_4 leads to x5; in
    the first stage of a perturbed world it leads to x4 with probability `perturbation` instead.
    """
    if perturbation is not None:
        perturbation = check_fraction("perturbation", perturbation)
    delta, norm = check_fraction("delta", delta), check_number("norm", norm)
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=4)))
    x = signs.sum(1) * norm / 4.0
    phi = np.zeros((5, 16, 4))
    for k in range(3):
        phi[k, :, k], phi[k, :, 3] = 1.0 - delta - x, delta + x
    phi[FAIL, :, 2] = phi[GOOD, :, 3] = 1.0
    theta = np.array([[0.0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]])
    mu = np.zeros((3, 4, 5))
    for h, k in ((0, 0), (1, 1)):
        mu[h, k, k + 1], mu[h, k, FAIL] = 1.0 - SLIP, SLIP
    mu[:, 2, FAIL] = mu[:, 3, GOOD] = 1.0
    mu[1, 0, 1], mu[2, 0, 1], mu[0, 1, 2], mu[2, 1, 2] = 1.0, 1.0, 1.0, 1.0  # never visited
    if perturbation is not None:
        mu[0, 0] = np.eye(5)[1]
        mu[0, 3] = (1.0 - perturbation) * np.eye(5)[GOOD] + perturbation * np.eye(5)[FAIL]
    return LinearSetting(phi, theta, mu)


@settings(horizon=check_count, strike=check_positive, spread=check_not_negative, size=check_count)
@dataclass(frozen=True)
class PutOption:
    """American put: each of `horizon` stages either exercise for strike - price, or wait.

    The price starts uniform within `spread` of the strike and moves by a factor 1.02 with
    probability p, else .98. Waiting has `size` hat features on anchors 80 + i 100 / size, as in
    the paper's code: below 80 - 100 / size they vanish, and waiting is thought worthless.
    """

    horizon: int = 20
    strike: float = 100.0
    spread: float = 5.0
    size: int = 30

    def features(self, price: Array) -> Array:
        """Hat features [..., d]."""
        width = 100.0 / self.size
        anchors = 80.0 + width * np.arange(self.size)
        return np.maximum(0.0, 1.0 - np.abs(np.asarray(price)[..., None] - anchors) / width)

    def exercise(self, price: Array) -> Array:
        return np.maximum(0.0, self.strike - price)

    @settings(episodes=check_count, p=check_fraction)
    def collect(self, episodes: int, p: float = 0.5, seed: int = 0) -> OfflineData:
        """Price paths along which nobody exercises."""
        rng = np.random.default_rng(seed)
        price = np.empty((self.horizon + 1, episodes))
        price[0] = rng.uniform(self.strike - self.spread, self.strike + self.spread, episodes)
        moves = np.where(rng.random((self.horizon, episodes)) < p, 1.02, 0.98)
        price[1:] = price[0] * np.cumprod(moves, 0)
        phi = self.features(price)
        return OfflineData(
            phi[:-1], np.zeros((self.horizon, episodes)), phi[1:, :, None], self.exercise(price[1:])
        )

    @settings(p=check_fraction, starts=check_count)
    def value(self, plan: PessimisticPlan | None, p: float, starts: int = 201) -> float:
        """Expected payoff at up probability p, over start prices on a grid of their range.

        The plan exercises where that pays at least its estimate of waiting. None is the best
        policy, which knows p.
        """
        low, high = self.strike - self.spread, self.strike + self.spread
        first = low + (np.arange(starts) + 0.5) * (high - low) / starts  # midpoints
        v = np.zeros((starts, self.horizon + 1))  # by the number of ups so far
        for h in reversed(range(self.horizon)):
            ups = np.arange(h + 1)
            price = first[:, None] * 1.02**ups * 0.98 ** (h - ups)
            wait = p * v[:, 1:] + (1.0 - p) * v[:, :-1]
            paid = self.exercise(price)
            guess = wait if plan is None else plan.q(h, self.features(price))
            v = np.where((paid > 0) & (paid >= guess), paid, wait)
        return float(v.mean())
