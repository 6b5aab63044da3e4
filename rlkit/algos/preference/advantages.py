"""What a teacher by regret knows: A*(s, a) of every row of a dataset, given or estimated.

Exact values are the caller's to give (solve a tabular task). Without them the teacher makes up its
own mind by IQL's critics on the true rewards: A(s, a) = min_j Q̄_j(s, a) - V(s) after fitting with
τ = 0.9, which is what the best of the data's actions makes of a state, not the true optimum. CPL's
authors take theirs from a trained SAC agent, which a dataset does not come with.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rlkit.algos import iql
from rlkit.algos.preference.feedback import true_reward
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine
from rlkit.core.files.reading import read_npy
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms

_OWN_SEED = 1 << 62  # the teacher is someone else: its streams are no lane's
_CHUNK = 1 << 14
UPDATES = 20_000
TEACHER = iql.Config(gamma=0.99, tau=0.9)


def read(path: str | Path, rows: int) -> np.ndarray:
    """Advantages `[N]` of an .npy file. Raises ValueError naming what does not fit."""
    values = read_npy(path, "an .npy file of advantages")
    if values.shape != (rows,) or values.dtype.kind != "f":
        raise ValueError(f"{path} holds {values.dtype} {values.shape}; floats ({rows},) are needed")
    if not np.isfinite(values).all():
        raise ValueError(f"{path}: row {np.flatnonzero(~np.isfinite(values))[0]} is not finite")
    return values


def of_values(r: Tensor, cont: Tensor, v: Tensor, v2: Tensor, gamma: float) -> Tensor:
    """r + γ cont V(s') - V(s), the advantage where transitions are deterministic; `[...]` each."""
    return r + gamma * cont * v2 - v


class _TrueRewards:
    """Uniform minibatches with the rewards of the environment."""

    def __init__(self, data: Replay, batch: int, transforms: Transforms, streams: Streams) -> None:
        self.rows = Uniform(data, batch, streams)
        self.batch_size, self.transforms = batch, transforms

    def indices(self, step: int, count: int) -> Tensor:
        return self.rows.indices(step, count)

    def batch(self, index: Tensor) -> Batch:
        b = self.rows.batch(index)
        r = true_reward(b.r, torch.ones_like(b.r), self.transforms)
        return b._replace(r=r.to(b.r.dtype))


def estimate(stock: Stock, updates: int = UPDATES, config: iql.Config = TEACHER) -> Tensor:
    """Each lane's own estimate of A*(s, a) of every row of `stock.data`, `[S, N]`."""
    data = stock.data
    assert data is not None
    spec = replace(stock.spec, seeds=tuple(seed + _OWN_SEED for seed in stock.spec.seeds))
    agent = iql.Agent(spec, config)
    source = _TrueRewards(data, config.batch_size, stock.transforms, Streams(spec.seeds))
    Engine(agent, config, spec, source).run(0, updates)
    parts = []
    with torch.no_grad():
        for start in range(0, data.size, _CHUNK):
            piece = (data.rows(name)[:, start : start + _CHUNK] for name in ("s", "a"))
            s, a = (x.expand(spec.lanes, *x.shape[1:]) for x in piece)
            parts.append(agent.q_bar(s, a).amin(-2) - agent.v(s))
    return torch.cat(parts, 1)
