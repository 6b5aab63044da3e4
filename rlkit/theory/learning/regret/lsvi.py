"""LSVI-UCB (Jin, Yang, Wang & Jordan 2020): ridge value iteration with elliptic bonuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.learning.regret.episodic import EpisodicRun, exact_value
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import draw, world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.finite_horizon import backward_induction
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import drawn, stream
from rlkit.theory.validate import (
    as_reals,
    check_cap,
    check_counts,
    check_fraction,
    check_positive,
    check_seed,
    settings,
)


@named
@settings(seed=check_seed)
def learn_linear(
    mdp: FiniteMDP | Outcomes, features: Array, horizon: int, episodes: int, *,
    mode: str = "practical", scale: float = 1.0, ridge: float = 1.0, v_max: float = math.inf,
    delta: float = 0.05, replicates: int = 1, seed: int = 0, threads: int = 1,
) -> EpisodicRun:  # fmt: skip
    """LSVI-UCB on row features [L, d] (np.eye(L) is the tabular case), a model per stage.

    With x = phi' Lambda^-1 phi the bonus is scale * d H sqrt(ln(2 d T / delta)) sqrt(x) in mode
    "theory", and scale * sqrt(x) + cap * x in mode "practical". Values are capped at
    min(v_max, H - h). Of an `Outcomes` every step pays the reward of its own outcome, whose means
    are learnt.
    """
    horizon, episodes, replicates, threads = check_counts(
        horizon=horizon, episodes=episodes, replicates=replicates, threads=threads
    )
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale, strict=False)
    check_positive("ridge", ridge)
    m, world = world_of(mdp)
    phi = np.ascontiguousarray(as_reals("features", features, (m.num_rows, None)))
    if mode not in ("practical", "theory"):
        raise ValueError(f"mode must be 'practical' or 'theory', got {mode!r}")
    v_max = check_cap("v_max", v_max)
    d, law = phi.shape[1], m.initial_law()
    root, quadratic = scale, 1.0
    if mode == "theory":
        root = scale * d * horizon * math.sqrt(math.log(2 * d * episodes * horizon / delta))
        quadratic = 0.0
    shape = (replicates, episodes)
    value, returns, planned = np.empty(shape), np.empty(shape), np.empty(shape)
    kernel: Any = _run

    def one(k: int) -> None:
        kernel(
            m.sa_ptr, world, law, phi, horizon, root, quadratic, ridge, v_max, seed, k,
            value[k], returns[k], planned[k],
        )  # fmt: skip

    each(one, replicates, threads)
    best = float(law @ backward_induction(m, horizon).value[0])
    return EpisodicRun(value, returns, planned, best)


@njit(cache=True, nogil=True)
def ridge_plan(
    sa_ptr, row_ptr, col, phi, seen, reward_sum, inverse, root, quadratic, v_max, q, v, policy
):
    """Backward least squares: w_h = Lambda_h^-1 sum phi (r + V_{h+1}), Q = min(cap, phi w + b)."""
    horizon, states = policy.shape
    rows, d = phi.shape
    pull, w = np.empty(d), np.empty(d)
    v[horizon] = 0.0
    for h in range(horizon - 1, -1, -1):
        cap = min(v_max, float(horizon - h))
        pull[:] = 0.0
        for i in range(rows):
            target = reward_sum[h, i]
            for k in range(row_ptr[i], row_ptr[i + 1]):
                target += seen[h, k] * v[h + 1, col[k]]
            if target != 0.0:
                for x in range(d):
                    pull[x] += target * phi[i, x]
        for x in range(d):
            w[x] = 0.0
            for y in range(d):
                w[x] += inverse[h, x, y] * pull[y]
        for s in range(states):
            best = -np.inf
            for i in range(sa_ptr[s], sa_ptr[s + 1]):
                mean, size = 0.0, 0.0
                for x in range(d):
                    if phi[i, x] != 0.0:
                        mean += phi[i, x] * w[x]
                        for y in range(d):
                            size += phi[i, x] * inverse[h, x, y] * phi[i, y]
                size = max(size, 0.0)
                q[h, i] = min(cap, mean + root * math.sqrt(size) + quadratic * cap * size)
                if q[h, i] > best:
                    best = q[h, i]
                    policy[h, s] = i
            v[h, s] = best


@njit(cache=True, nogil=True)
def _run(
    sa_ptr, model, law, phi, horizon, root, quadratic, ridge, v_max, seed, replicate, value,
    returns, planned,
):  # fmt: skip
    row_ptr, col, val, r = model.row_ptr, model.col, model.val, model.r
    states, rows, d = sa_ptr.size - 1, r.size, phi.shape[1]
    rng = stream(seed, replicate, 0)
    seen, reward_sum = np.zeros((horizon, col.size)), np.zeros((horizon, rows))
    inverse = np.zeros((horizon, d, d))
    for h in range(horizon):
        for x in range(d):
            inverse[h, x, x] = 1.0 / ridge
    q, v = np.zeros((horizon, rows)), np.zeros((horizon + 1, states))
    true_v = np.zeros((horizon + 1, states))
    policy, w = np.zeros((horizon, states), np.int64), np.empty(d)
    for episode in range(value.size):
        ridge_plan(
            sa_ptr, row_ptr, col, phi, seen, reward_sum, inverse, root, quadratic, v_max, q, v,
            policy,
        )  # fmt: skip
        value[episode] = exact_value(sa_ptr, row_ptr, col, val, r, policy, 0.0, law, true_v)
        planned[episode] = np.dot(law, v[0])
        s = drawn(rng, law)
        collected = 0.0
        for h in range(horizon):
            i = policy[h, s]
            target, paid = draw(rng, model, i)
            collected += paid
            reward_sum[h, i] += paid
            size = 0.0
            for x in range(d):
                w[x] = 0.0
                for y in range(d):
                    w[x] += inverse[h, x, y] * phi[i, y]
                size += w[x] * phi[i, x]
            for x in range(d):
                for y in range(d):
                    inverse[h, x, y] -= w[x] * w[y] / (1.0 + size)
            if target < 0:
                break
            for k in range(row_ptr[i], row_ptr[i + 1]):
                if col[k] == target:
                    seen[h, k] += 1.0
            s = target
        returns[episode] = collected
