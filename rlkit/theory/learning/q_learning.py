"""Discounted tabular control: Q-learning, double, SARSA, expected, n-step, Dyna-Q(+), prioritised.

Whole replicates inside numba on counter-based streams. Sutton & Barto (2018) chapters 6-8, van
Hasselt (2010); `speedy_q` is Azar et al. (2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.brief import brief
from rlkit.theory.learning.q_kernels import METHODS, run_control
from rlkit.theory.learning.replicates import each
from rlkit.theory.learning.sampling import world_of
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.returns.laws import Outcomes
from rlkit.theory.streams import categorical, stream
from rlkit.theory.validate import (
    check_between,
    check_choice,
    check_counts,
    check_fraction,
    check_gamma,
    check_number,
    check_positive,
    check_seed,
    per_row,
    settings,
)


@dataclass(frozen=True)
class ControlRun:
    """Q [R, C, L] per row at steps [C]; first action [R, E] of each episode (-1: not reached)."""

    steps: Array
    q: Array
    first_actions: Array

    def __repr__(self) -> str:
        return brief(self)

    def table(self, mdp: FiniteMDP, replicate: int = 0) -> Array:
        """The last Q as [S, A], -inf where infeasible."""
        return mdp.table(self.q[replicate, -1])


@named
@settings(seed=check_seed)
def learn_control(
    mdp: FiniteMDP | Outcomes, steps: int, *, gamma: float, method: str = "q", epsilon: float = 0.1,
    alpha: float | None = None, omega: float = 0.8, n: int = 3, planning: int = 5,
    kappa: float = 0.0, threshold: float = 1e-4, q0: float = 0.0, max_length: int = 0,
    noise: float | Array = 0.0, episodes: int = 0, replicates: int = 1, seed: int = 0,
    checkpoints: int = 20, threads: int = 1,
) -> ControlRun:  # fmt: skip
    """Q learnt along `steps` transitions of the epsilon-greedy policy (random ties).

    Methods: q, double, sarsa, expected-sarsa, nstep-sarsa (n), dyna (planning updates a step from
    a count model; kappa > 0 is Dyna-Q+ with bonus kappa sqrt(time since the last try)),
    prioritised (queue above `threshold`). Step size `alpha`, or, when None, N(s, a)**-omega with
    omega in (.5, 1]: omega = 1 is exponentially slow in 1 / (1 - gamma). `noise` (a number, or
    one per row) is the standard deviation of Gaussian noise on rewards. Bootstraps through
    truncation (`max_length`), not termination. Of an `Outcomes` every step pays the reward of its
    outcome, of a FiniteMDP the mean of its row.
    `episodes` sets how many first actions are recorded.
    """
    steps, replicates, checkpoints, threads, n = check_counts(
        steps=steps, replicates=replicates, checkpoints=checkpoints, threads=threads, n=n
    )
    planning, max_length, episodes = check_counts(
        0, planning=planning, max_length=max_length, episodes=episodes
    )
    epsilon = check_fraction("epsilon", epsilon)
    kappa = check_positive("kappa", kappa, strict=False)
    threshold = check_positive("threshold", threshold, strict=False)
    check_choice("method", method, METHODS)
    gamma = check_gamma(gamma)
    if alpha is not None:
        alpha = check_positive("alpha", alpha)
    omega, q0 = check_between("omega", omega, 0.5, 1.0), check_number("q0", q0)
    m, world = world_of(mdp)
    marks = np.unique(np.linspace(1, steps, checkpoints + 1).astype(np.int64)[1:])
    q = np.zeros((replicates, marks.size, m.num_rows))
    first = np.full((replicates, max(episodes, 1)), -1)
    owner = m.state_of_row()
    spread = per_row("noise", noise, m.num_rows)
    kernel: Any = run_control

    def one(k: int) -> None:
        kernel(
            METHODS[method], world, m.sa_ptr, m.initial_law(), owner, gamma, epsilon,
            -1.0 if alpha is None else alpha, omega, n, planning, kappa, threshold, q0, max_length,
            spread, seed, k, marks, q[k], first[k],
        )  # fmt: skip

    each(one, replicates, threads)
    actions = np.where(first >= 0, m.a_id[first], -1)
    return ControlRun(marks, q, actions[:, :episodes])


@named
@settings(seed=check_seed)
def speedy_q(
    mdp: FiniteMDP, sweeps: int, gamma: float, replicates: int = 1, seed: int = 0,
    form: str = "increments", q0: float = 0.0, threads: int = 1,
) -> Array:  # fmt: skip
    """Q [R, L] after synchronous speedy Q-learning with a generative model, alpha_k = 1/(k+1).

    Each sweep draws one next state per row and uses it for both T_k Q_k and T_k Q_{k-1}. `form`
    is "increments" (the three-term update) or "average", (1-a) Q_k + a [k T_k Q_k - (k-1) T_k
    Q_{k-1}]; they are equal.
    """
    sweeps, replicates, threads = check_counts(
        sweeps=sweeps, replicates=replicates, threads=threads
    )
    if form not in ("increments", "average"):
        raise ValueError(f"form must be 'increments' or 'average', got {form!r}")
    m, gamma, q0 = mdp.expanded(), check_gamma(gamma), check_number("q0", q0)
    out = np.empty((replicates, m.num_rows))
    kernel: Any = _speedy

    def one(k: int) -> None:
        kernel(
            m.sa_ptr, m.row_ptr, m.col, m.val, m.r, gamma, sweeps, form == "average", q0, seed, k,
            out[k],
        )  # fmt: skip

    each(one, replicates, threads)
    return out


@njit(cache=True, nogil=True)
def _speedy(sa_ptr, row_ptr, col, val, r, gamma, sweeps, average, q0, seed, replicate, out):
    rng = stream(seed, replicate, 0)
    rows, states = r.size, sa_ptr.size - 1
    q, before = np.full(rows, q0), np.full(rows, q0)
    v, v_before, new = np.empty(states), np.empty(states), np.empty(rows)
    for k in range(sweeps):
        for s in range(states):
            v[s] = q[sa_ptr[s] : sa_ptr[s + 1]].max()
            v_before[s] = before[sa_ptr[s] : sa_ptr[s + 1]].max()
        a = 1.0 / (k + 1.0)
        for i in range(rows):
            target = categorical(rng, col, val, row_ptr[i], row_ptr[i + 1])
            now = r[i] + (gamma * v[target] if target >= 0 else 0.0)
            old = r[i] + (gamma * v_before[target] if target >= 0 else 0.0)
            if average:
                new[i] = (1.0 - a) * q[i] + a * (k * now - (k - 1.0) * old)
            else:
                new[i] = q[i] + a * (old - q[i]) + (1.0 - a) * (now - old)
        before[:] = q
        q[:] = new
    out[:] = q
