"""Trajectory weighting: sample good episodes more often, whatever the agent.

Hong et al. 2023, "Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory
Weighting" (arXiv 2306.13085). Each function returns one weight a row `[N]` float64, summing to 1
over rows, for `samplers.Weighted`. A row's weight depends on its episode alone, so an episode of
T steps has T times the mass of one of its rows. Returns are undiscounted and in environment
units: the agent's reward scaling does not enter.

Differs from the authors' ports: some of them forget the min-max scaling, or apply it after the
softmax; and equal returns, 0/0 there, give equal weights here.
"""

from __future__ import annotations

import numpy as np

from rlkit.data.store import EpisodeStore

_ROUNDING = 1e-9  # of the returns' scale: a smaller spread is no spread


def return_weights(store: EpisodeStore, alpha: float) -> np.ndarray:
    """RW: weights ∝ exp(Ĝ/α) with Ĝ the episode's return scaled to [0, 1] over the store.

    The authors use α 0.1 with IQL and TD3+BC, 0.2 with CQL; infinity is uniform.
    """
    returns = store.returns()
    return _softmax(store, returns, np.abs(returns).max(), alpha)


def advantage_weights(store: EpisodeStore, alpha: float) -> np.ndarray:
    """AW: as `return_weights` with the advantage G - V(s_0), V being the least-squares fit of the
    return, linear in the first observation.

    It rewards luck where the dynamics are random, and is uniform when there are no more episodes
    than coefficients to fit.
    """
    returns = store.returns()
    first = store.obs[store.starts].reshape(store.episodes, -1).astype(np.float64)
    centred = first - first.mean(0)  # no intercept needed: a constant leaves the weights alone
    scale = centred.std(0)
    features = centred / np.where(scale > 0, scale, 1)
    coefficients = np.linalg.lstsq(features, returns, rcond=None)[0]
    return _softmax(store, returns - features @ coefficients, np.abs(returns).max(), alpha)


def top_weights(store: EpisodeStore, fraction: float) -> np.ndarray:
    """Equal weights on all rows of the best `fraction` of episodes by return, 0 elsewhere."""
    chosen = np.zeros(store.episodes)
    chosen[store.best_episodes(fraction, by="episodes")] = 1
    weights = chosen[store.episode]
    return weights / weights.sum()


def positive_variance(store: EpisodeStore) -> float:
    """E[max(G - E G, 0)²] over episodes: the larger, the more weighting can help."""
    returns = store.returns()
    return float(np.square(np.maximum(returns - returns.mean(), 0)).mean())


def _softmax(store: EpisodeStore, score: np.ndarray, scale: float, alpha: float) -> np.ndarray:
    if not alpha > 0:
        raise ValueError(f"alpha {alpha} must be positive; a large one approaches uniform")
    spread = np.ptp(score)
    if spread <= _ROUNDING * scale:
        return np.full(len(store), 1 / len(store))
    unit = (score - score.max()) / spread  # in [-1, 0]: no overflow for a small alpha
    weights = np.exp(unit / alpha)[store.episode]
    return weights / weights.sum()
