"""Rows that matter more to a model: those near what good episodes have met.

Objective mismatch: the likelihood of a model says little of the return that planning with it earns
(Lambert, Amos, Yadan & Calandra 2020, arXiv 2002.04523). Their remedy weighs the rows of the fit,

    (1)  ω_i = c exp(-κ d_i),  d_i the distance of (s, a, s')_i to the nearest row of good episodes,
         c so that the mean of ω is 1

Differs from the paper: every dimension is in its standard deviations, and d_i is divided by the
root of their number; good are the episodes of the highest return among the rows themselves, no
expert's. `effective_share` tells how many rows a weighting leaves.
"""

from __future__ import annotations

import numpy as np

from rlkit.core.spec import Spec
from rlkit.data.replay import Replay

_CHUNK = 4096  # rows whose distances are computed at once
_MOST = 1000  # good rows that distances are taken to


def good_rows(r: np.ndarray, last: np.ndarray, envs: int, share: float) -> np.ndarray:
    """Numbers of the rows of those finished episodes whose return is among the best `share`, at
    least one episode's; empty when none is finished.

    `r` and `last` `[N]` are rewards and ends in the order of a replay: row t * envs + e is step t
    of environment e.
    """
    numbers = np.arange(len(r)).reshape(-1, envs)
    episodes, returns = [], []
    for column in numbers.T:
        begin = 0
        for end in np.flatnonzero(last[column]).tolist():
            rows = column[begin : end + 1]
            episodes.append(rows)
            returns.append(r[rows].sum())
            begin = end + 1
    if not episodes:
        return np.zeros(0, np.int64)
    count = max(1, round(share * len(episodes)))
    best = np.argsort(returns, kind="stable")[-count:]
    return np.sort(np.concatenate([episodes[k] for k in best]))


def weights(x: np.ndarray, good: np.ndarray, closeness: float) -> np.ndarray:
    """ω of eq. (1) `[N]` for rows `x` `[N, W]`, of which `good` are the good ones' numbers."""
    if len(good) == 0 or closeness == 0:
        return np.ones(len(x))
    std = x.std(0)
    z = x[:, std > 0] / std[std > 0]
    z = z / np.sqrt(max(z.shape[1], 1))
    some = z[good[np.linspace(0, len(good) - 1, min(len(good), _MOST)).astype(int)]]
    norms, nearest = (some**2).sum(1), []
    for part in np.split(z, range(_CHUNK, len(z), _CHUNK)):
        squares = (part**2).sum(1)[:, None] + norms - 2 * part @ some.T
        nearest.append(squares.min(1))
    distance = np.sqrt(np.maximum(np.concatenate(nearest), 0))
    omega = np.exp(-closeness * (distance - distance.min()))
    return omega / omega.mean()


def effective_share(omega: np.ndarray) -> float:
    """(Σω)² / (N Σω²): 1 for equal weights, 1/N when one row has all the weight."""
    return float(omega.sum() ** 2 / (len(omega) * (omega**2).sum()))


def lane_weights(
    real: Replay, spec: Spec, closeness: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """ω of all rows `[S, N]`, and the effective share of each lane `[S]`."""
    fields = {n: real.rows(n).cpu().numpy() for n in ("s", "a", "s2", "r", "last")}
    every = np.concatenate([fields["s"], fields["a"], fields["s2"]], -1).astype(np.float64)
    found = []
    for lane in range(spec.lanes):
        k = lane % len(every)
        good = good_rows(fields["r"][k], fields["last"][k] > 0, real.envs, share)
        found.append(weights(every[k], good, float(closeness[lane])))
    return np.stack(found), np.array([effective_share(omega) for omega in found])
