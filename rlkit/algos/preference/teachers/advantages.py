"""What a teacher by regret knows: A*(s, a) of every row of a dataset or replay, given or estimated.

Exact values are the caller's to give (solve a tabular task): a number a row of a dataset, or for
rows still to come a function `package.module:function` of (obs, action), tensors in the
environment's units `[..., *obs]` and `[..., A]` (`[...]` when discrete), to `[...]`. Without them
the teacher makes up its own mind by IQL's critics on the true rewards: A(s, a) = min_j Q̄_j(s, a) -
V(s) after fitting with τ = 0.9, which is what the best of the data's actions makes of a state, not
the true optimum. CPL's authors take theirs from a trained SAC agent, which a dataset does not come
with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rlkit.algos import iql
from rlkit.algos.preference.feedback import action_in_env, in_env, true_reward
from rlkit.core.batch import Batch
from rlkit.core.engine import Engine
from rlkit.core.errors import UsageError
from rlkit.core.files import trust
from rlkit.core.files.reading import read_npy
from rlkit.core.streams import Streams
from rlkit.data.replay import Replay
from rlkit.data.sampling.samplers import Uniform
from rlkit.data.stock import Stock
from rlkit.data.transforms import Transforms

Advantages = Callable[[Tensor, Tensor], Tensor]
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


def function(words: str) -> Advantages:
    """The function `package.module:function` of (obs, action). Raises UsageError without one."""
    module = trust.module_of(words)
    if module is None:
        raise UsageError(
            f"advantages {words!r}: name a function of (obs, action), package.module:function"
        )
    try:
        found: Any = getattr(trust.load(module), words.rpartition(":")[2])
    except (ImportError, AttributeError) as error:
        raise UsageError(f"advantages {words!r}: {error}") from error
    if not callable(found):
        raise UsageError(f"advantages {words!r} is a {type(found).__name__}, no function")
    return found  # type: ignore[no-any-return]


def check_asked(words: str | None, regret: bool, teacher: str) -> None:
    """Raises UsageError for advantages, `words`, that a teacher of returns would not look at."""
    if words is not None and not regret:
        raise UsageError(
            f"advantages {words!r} are for a teacher by regret, and teacher {teacher!r} compares "
            "rewards: give teacher regret, or no advantages"
        )


def told(known: Advantages, words: str, s: Tensor, a: Tensor, transforms: Transforms) -> Tensor:
    """What the function says, float64 `[...]`, of observations and actions in agent units; 1-D
    actions are discrete ones. Raises UsageError for numbers that are not finite or not as many."""
    a = action_in_env(a, transforms) if a.is_floating_point() else a
    try:
        found: Any = known(in_env(s, transforms), a)
    except Exception as error:  # whatever a person's function raises
        raise UsageError(
            f"advantages {words!r} fails on observations {tuple(s.shape)} and actions "
            f"{tuple(a.shape)}: {type(error).__name__}: {error}"
        ) from error
    lead = a.shape[:-1] if a.is_floating_point() else a.shape
    if not isinstance(found, Tensor) or found.shape != lead or not found.isfinite().all():
        raise UsageError(f"advantages {words!r} must give finite numbers {tuple(lead)}")
    return found.double()


def at_rows(values: Tensor, rows: Tensor) -> Tensor:
    """`values [S or 1, N]` at `rows [S, ...]`."""
    wide = values.expand(len(rows), -1)
    return wide.gather(1, rows.flatten(1)).view(rows.shape)


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
