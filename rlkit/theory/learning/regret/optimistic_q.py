"""Optimistic Q-learning for average reward (Wei et al. 2020): model-free, weakly communicating.

Runs discounted Q-learning at gamma = 1 - 1 / H with bonuses, H growing with the number of steps:
regret of order sp (S A)^(1/3) T^(2/3). Q^ is the least Q so far, V^ its maximum; both start at H.
The discount's bias is what keeps the rate from the root of T.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.replicates import each
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.average_reward import relative_value_iteration
from rlkit.theory.streams import categorical, drawn, stream, uniform
from rlkit.theory.validate import check_counts, check_fraction, check_positive, check_seed, settings


class OptimisticQRun(NamedTuple):
    """regret [R, C] at steps [C]; q [R, L] and v [R, S] at the end; H; the best gain."""

    steps: Array
    regret: Array
    q: Array
    v: Array
    horizon: float
    optimal_gain: float

    def __repr__(self) -> str:
        return brief(self)


@named
@settings(seed=check_seed)
def learn_optimistic_q(
    mdp: FiniteMDP, steps: int, span: float, *, delta: float = 0.05, scale: float = 1.0,
    horizon: float | None = None, bernoulli: bool = False, replicates: int = 1, seed: int = 0,
    checkpoints: int = 20, threads: int = 1,
) -> OptimisticQRun:  # fmt: skip
    """Regret T g* - sum r of `steps` steps from the initial law.

    `span` bounds the span of the optimal bias. H = min{sqrt(span T / (S A)), (T / (S A ln(4 T /
    delta)))^(1/3)} unless given; step sizes (H + 1) / (H + n), bonuses scale * 4 span sqrt(H / n
    ln(2 T / delta)), scale 1 being theory. Rewards lie in [0, 1] and are r(s, a), or Bernoulli of
    that mean; the model must not terminate. ValueError otherwise.
    """
    steps, replicates, checkpoints, threads = check_counts(
        steps=steps, replicates=replicates, checkpoints=checkpoints, threads=threads
    )
    check_fraction("delta", delta, closed=False)
    check_positive("scale", scale, strict=False)
    check_positive("span", span)
    if not mdp.is_stochastic:
        raise ValueError("average reward needs a model without termination; see restarting()")
    if not ((mdp.r >= 0) & (mdp.r <= 1)).all():
        raise ValueError("optimistic Q-learning needs rewards in [0, 1]; rescale them")
    if horizon is not None:
        check_positive("horizon", horizon)
    m = mdp.expanded()
    rows = m.num_rows
    if horizon is None:
        rate = steps / (rows * math.log(4 * steps / delta))
        horizon = min(math.sqrt(span * steps / rows), rate ** (1 / 3))
    horizon = max(horizon, 2.0)
    bonus = scale * 4.0 * span * math.sqrt(horizon * math.log(2.0 * steps / delta))
    marks = np.unique(np.linspace(1, steps, checkpoints + 1).astype(np.int64)[1:])
    collected = np.zeros((replicates, marks.size))
    q, v = np.empty((replicates, rows)), np.empty((replicates, m.num_states))
    kernel: Any = _run

    def one(k: int) -> None:
        kernel(
            m.sa_ptr, m.row_ptr, m.col, m.val, m.r, m.initial_law(), horizon, bonus, bernoulli,
            seed, k, marks, collected[k], q[k], v[k],
        )  # fmt: skip

    each(one, replicates, threads)
    gain = float(relative_value_iteration(m, 1e-10).gain[0])
    return OptimisticQRun(marks, marks * gain - collected, q, v, horizon, gain)


@njit(cache=True, nogil=True)
def _run(
    sa_ptr, row_ptr, col, val, r, law, horizon, bonus, bernoulli, seed, replicate, marks,
    collected, best_q, v,
):  # fmt: skip
    world = stream(seed, replicate, 0)
    gamma = 1.0 - 1.0 / horizon
    q, count = np.full(r.size, horizon), np.zeros(r.size)
    best_q[:] = horizon
    v[:] = horizon
    s = drawn(world, law)
    total, mark = 0.0, 0
    for t in range(1, marks[-1] + 1):
        i = sa_ptr[s]
        for j in range(sa_ptr[s], sa_ptr[s + 1]):
            if best_q[j] > best_q[i]:
                i = j
        target = categorical(world, col, val, row_ptr[i], row_ptr[i + 1])
        reward = r[i]
        total += reward
        if bernoulli:
            reward = 1.0 if uniform(world) < reward else 0.0
        count[i] += 1.0
        alpha = (horizon + 1.0) / (horizon + count[i])
        goal = reward + gamma * v[target] + bonus / math.sqrt(count[i])
        q[i] += alpha * (goal - q[i])
        best_q[i] = min(best_q[i], q[i])
        # The value of s itself, not of the next state.
        top = best_q[sa_ptr[s]]
        for j in range(sa_ptr[s], sa_ptr[s + 1]):
            top = max(top, best_q[j])
        v[s] = top
        s = target
        if t == marks[mark]:
            collected[mark] = total
            mark += 1
