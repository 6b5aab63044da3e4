"""Minimax winner of a preference matrix by self-play, and the win-rate reward of sampled answers.

One Hedge player plays against itself: with A = P - 1/2 its payoff vector in round t is A p_t, and
the average of p_t approaches the minimax winner p*, whose exploitability max_i (A p)_i is 0.
Optimistic Hedge also adds the last payoff as a hint, which makes the last iterate converge too.
Swamy et al. 2024, "A Minimaximalist Approach to RLHF"; Rakhlin & Sridharan 2013 (optimism).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlkit.envs.bandits.counts import whole
from rlkit.envs.bandits.dueling import Dueling


@dataclass(frozen=True, eq=False)
class SelfPlay:
    """average and last [K] mixtures, and the exploitability of the running average [T]."""

    average: np.ndarray
    last: np.ndarray
    exploitability: np.ndarray


def softmax(scores: np.ndarray) -> np.ndarray:
    weights = np.exp(scores - scores.max())
    return weights / weights.sum()


def hedge_self_play(
    preferences: ArrayLike,
    rounds: int,
    *,
    eta: float | None = None,
    optimistic: bool = False,
    start: ArrayLike | None = None,
) -> SelfPlay:
    """The `SelfPlay` of `rounds` rounds on preferences P [K, K].

    `eta` is the step, by default 2 sqrt(ln K / T) (1/2 when optimistic); `start` [K] the first
    mixture, uniform by default.
    """
    game = Dueling(preferences).matrix() - 0.5
    arms = len(game)
    rounds = whole("rounds", rounds)
    if eta is None:
        eta = 0.5 if optimistic else 2.0 * np.sqrt(np.log(max(arms, 2)) / rounds)
    if not eta > 0:
        raise ValueError(f"eta is {eta}; it must be positive")
    score = np.zeros(arms) if start is None else np.log(np.asarray(start, np.float64)) / eta
    hint, total = np.zeros(arms), np.zeros(arms)
    exploitability = np.empty(rounds)
    mixture = softmax(eta * score)
    for t in range(rounds):
        mixture = softmax(eta * (score + hint))
        payoff = game @ mixture
        score = score + payoff
        hint = payoff if optimistic else hint
        total += mixture
        exploitability[t] = (game @ total).max() / (t + 1)
    return SelfPlay(total / rounds, mixture, exploitability)


def win_rate_rewards(wins: ArrayLike) -> np.ndarray:
    """Reward [..., k] of each of k sampled candidates: its mean win against the others.

    wins [..., k, k] holds 1 where the row's candidate is preferred to the column's, 1/2 for a tie
    or a duplicate, and probabilities are allowed. Unbiased for E_{j ~ p} P[i, j].
    """
    w = np.asarray(wins, np.float64)
    if w.ndim < 2 or w.shape[-1] != w.shape[-2] or w.shape[-1] < 2:
        raise ValueError(f"wins must be [..., k, k] with k >= 2, got shape {w.shape}")
    if np.abs(w + np.swapaxes(w, -1, -2) - 1.0)[..., ~np.eye(w.shape[-1], dtype=bool)].max() > 1e-9:
        raise ValueError("wins[i, j] + wins[j, i] must be 1 for every pair")
    others = w.sum(-1) - np.diagonal(w, axis1=-2, axis2=-1)
    return others / (w.shape[-1] - 1)
