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

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from rlkit.core.batch import Batch
from rlkit.core.spec import Spec
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.nets.dynamics import Dynamics

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


# --- minibatches of them --------------------------------------------------------------------------
class Settings(Protocol):
    """Fields of a `Config` that say how rows are weighed."""

    @property
    def batch_size(self) -> int: ...
    @property
    def closeness(self) -> float | Tensor: ...
    @property
    def good(self) -> float: ...
    @property
    def model_every(self) -> int: ...


class Rows(Uniform):
    """Minibatches of real rows, with their weights as `w` when `closeness` asks for them, for a
    `model` whose inputs are normalised by the rows' statistics."""

    beginning = "looking through the dataset"

    def __init__(self, stock: Stock, model: Dynamics, c: Settings) -> None:
        real = stock.data if stock.replay is None else stock.replay
        assert real is not None
        super().__init__(real, c.batch_size, stock.streams)
        self.stock, self.model, self.c, self.every = stock, model, c, c.model_every
        kappa = c.closeness.flatten().tolist() if isinstance(c.closeness, Tensor) else [c.closeness]
        self.closeness = np.broadcast_to(np.array(kappa, np.float64), stock.spec.lanes)
        shape = (stock.spec.lanes, real.capacity)
        self.omega = torch.ones(shape, dtype=stock.spec.dtype, device=stock.spec.device)

    def batch(self, index: Tensor) -> Batch:
        b = super().batch(index)
        return b._replace(w=self.omega.gather(1, index)) if self.closeness.any() else b

    def look(self) -> dict[str, Tensor]:
        """Takes statistics and weights of all rows; metrics `[S]`."""
        x = torch.cat([self.replay.rows("s"), self.replay.rows("a")], -1)
        for lane in range(self.stock.spec.lanes):
            self.model.normalise_by(lane, x[lane % len(x)])
        if not self.closeness.any():
            return {}
        found, share = lane_weights(self.replay, self.stock.spec, self.closeness, self.c.good)
        self.omega[:, : found.shape[1]] = torch.from_numpy(found).to(self.omega)
        return {"effective_share": torch.from_numpy(share).to(self.omega)}

    def state_dict(self) -> dict[str, Tensor]:
        return {"omega": self.omega} if self.closeness.any() else {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        if self.closeness.any():
            self.omega.copy_(state["omega"])


class LookingOn(Rows):
    """Looks at its rows every `model_every` steps."""

    def advance(self, step: int) -> dict[str, Tensor]:
        return self.look()


class LookingOnce(Rows):
    """Looks at the dataset once, before the first update."""

    def begin(self) -> None:
        self.look()
