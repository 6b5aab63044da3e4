"""Robust MDPs, (s, a)-rectangular: solving, evaluating, and nature's answer.

Constrained sets (`radius`) and penalised deviations (`weight`) in TV, KL and chi-square. The
robust operator is monotone and a gamma-contraction, so the drivers and brackets of `solve` serve
it unchanged. s-rectangular sets need randomised policies and are out of scope.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from rlkit.core.jit import njit
from rlkit.keywords import named
from rlkit.theory.backup import Backup
from rlkit.theory.brief import brief
from rlkit.theory.evaluation import solve_linear
from rlkit.theory.mdp import Array, FiniteMDP
from rlkit.theory.planning.iterations import Watch, anderson_iteration, value_iteration
from rlkit.theory.robust.rows import DIVERGENCES, divergence, gather, robust_sweep, worst_law
from rlkit.theory.validate import check_choice, check_count, check_gamma, check_positive, per_row


class RobustSet(NamedTuple):
    """Divergence code, constrained (else penalised), and radius or weight of each row [L]."""

    kind: int
    constrained: bool
    strength: Array


class RobustSolution(NamedTuple):
    """Robust value [S] with bounds, policy [S], robust Q per row [L], and work done."""

    value: Array
    policy: Array
    lower: Array
    upper: Array
    q: Array
    backups: float
    converged: bool

    def __repr__(self) -> str:
        return brief(self)


def uncertainty(mdp: FiniteMDP, kind: str, radius: Any = None, weight: Any = None) -> RobustSet:
    """The set {D <= radius} or the penalty weight * D; a number, or one per row [L].

    ValueError unless exactly one is given, radius >= 0 (TV: <= 1), weight > 0.
    """
    check_choice("divergence", kind, DIVERGENCES)
    if (radius is None) == (weight is None):
        raise ValueError("give either a radius (constrained) or a weight (regularised)")
    name, given = ("weight", weight) if radius is None else ("radius", radius)
    strength = per_row(name, given, mdp.num_rows)
    if weight is not None and (strength <= 0).any():
        raise ValueError("weight must be positive (a weight of 0 is an unbounded set)")
    if weight is None and kind == "tv" and (strength > 1).any():
        raise ValueError("a TV radius exceeds 1; an L1 radius is twice the TV radius")
    return RobustSet(DIVERGENCES[kind], weight is None, strength)


class RobustBackup(Backup):
    """The robust Bellman operator, with the interface of `Backup`; `q` holds the row values."""

    def __init__(self, mdp: FiniteMDP, gamma: float, robust: RobustSet) -> None:
        super().__init__(mdp.expanded(), gamma)
        m = self.mdp
        self.robust = robust
        self.stop = np.zeros(m.num_rows) if m.stop is None else m.stop
        width = int(np.diff(m.row_ptr).max()) + 1
        self._values, self._probs = np.empty(width), np.empty(width)
        self._index, self.q = np.empty(width, np.int64), np.empty(m.num_rows)
        if not m.is_stochastic:
            # Nature may choose how much ends: a constant added to v moves Tv by 0 to gamma.
            self.sum_low, self.sum_high = 0.0, 1.0

    def __call__(self, v: Array, out: Array) -> tuple[float, float]:
        m, (kind, constrained, strength) = self.mdp, self.robust
        self.touched += m.nnz
        kernel: Any = robust_sweep
        return kernel(
            m.sa_ptr, m.row_ptr, m.col, m.val, m.r, self.stop, self.gamma, v, self.floor(v), kind,
            constrained, strength, out, self.best, self._values, self._probs, self._index, self.q,
        )  # fmt: skip

    def floor(self, v: Array) -> float:
        """The least value that TV may move mass to: any state, or the end where one exists."""
        least = float(v.min())
        return least if self.mdp.is_stochastic else min(least, 0.0)


@named
def solve_robust(
    mdp: FiniteMDP, gamma: float, kind: str, *, radius: Any = None, weight: Any = None,
    method: str = "vi", eps: float = 1e-6, max_backups: float = 1e6,
) -> RobustSolution:  # fmt: skip
    """Optimal robust value and policy by "vi", "anderson" or "pi", bounds within eps.

    "pi" alternates exact evaluation against nature's best answer with greedy improvement.
    Warns (RuntimeWarning) if eps was not reached.
    """
    check_positive("eps", eps)
    max_backups = check_count("max_backups", max_backups)
    robust = uncertainty(mdp, kind, radius, weight)
    if not 0 <= check_gamma(gamma) < 1:
        raise ValueError("solve_robust needs gamma < 1; use robust_backward_induction")
    op = RobustBackup(mdp, gamma, robust)
    watch = Watch(op, eps, max_backups)
    v = np.zeros(mdp.num_states)
    if method == "vi":
        found = value_iteration(op, v, watch)
    elif method == "anderson":
        found = anderson_iteration(op, v, watch)
    elif method == "pi":
        out = np.empty_like(v)
        op(v, out)
        rows = op.best.copy()
        while True:
            v = _value_against_nature(op, rows, v)
            low, high = op.bracket(v, *op(v, out))
            better = out > op.q[rows] + 1e-12 * max(1.0, float(np.abs(v).max()))
            if watch.done(v, low, high) or not better.any():
                break
            rows = np.where(better, op.best, rows)
        if watch.converged:
            return _solution(op, out, low, high, watch)
        # Rounding can leave the exact policy's bracket a hair too wide: sweeps close it.
        found = value_iteration(op, v, watch)
    else:
        raise ValueError(f"method must be 'vi', 'anderson' or 'pi', got {method!r}")
    return _solution(op, found.value, found.low, found.high, watch)


def _solution(op: RobustBackup, v: Array, low: float, high: float, watch: Watch) -> RobustSolution:
    if not watch.converged:
        warnings.warn(
            f"the robust solve stopped with bounds {watch.width:.3g} apart: {watch.reason}",
            RuntimeWarning,
            stacklevel=4,
        )
    policy, value = op.mdp.a_id[op.best], v + 0.5 * (low + high)
    op(value, np.empty_like(value))  # Q of the value returned, not of the sweep before it
    return RobustSolution(
        value, policy, v + low, v + high, op.q.copy(), watch.backups(), watch.converged
    )


def nature(op: RobustBackup, v: Array, rows: Array) -> tuple[sp.csr_array, Array]:
    """Worst transition rows [n, S] against v, and the penalty each costs nature, [n]."""
    m, (kind, constrained, strength) = op.mdp, op.robust
    width = int(np.diff(m.row_ptr).max()) + 1
    law, moved = np.zeros((rows.size, width)), np.zeros(rows.size)
    price = np.zeros(rows.size)
    kernel: Any = _answer
    kernel(
        m.row_ptr, m.col, m.val, op.stop, v, op.floor(v), kind, constrained, strength, rows, law,
        moved, price,
    )  # fmt: skip
    counts = m.row_ptr[rows + 1] - m.row_ptr[rows]
    owner = np.repeat(np.arange(rows.size), counts)
    place = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
    shape = (rows.size, m.num_states)
    columns = m.col[m.row_ptr[rows[owner]] + place]
    worst = sp.csr_array((law[owner, place], (owner, columns)), shape=shape)
    if v.min() <= op.floor(v):  # else the floor is the end, and the mass is gone
        low = np.full(rows.size, int(v.argmin()))
        worst = worst + sp.csr_array((moved, (np.arange(rows.size), low)), shape=shape)
    return sp.csr_array(worst), price


def _value_against_nature(op: RobustBackup, rows: Array, v: Array) -> Array:
    """Robust value of a policy: nature's own policy iteration, each step a linear solve."""
    for _ in range(1000):
        worst, price = nature(op, v, rows)
        new = solve_linear(worst, op.mdp.r[rows] + op.gamma * price, op.gamma)
        if np.abs(new - v).max() <= 1e-13 * max(1.0, float(np.abs(new).max())):
            return new
        v = new
    return v


@named
def robust_policy_value(
    mdp: FiniteMDP, policy: Array, gamma: float, kind: str, *, radius: Any = None,
    weight: Any = None,
) -> Array:  # fmt: skip
    """Robust value [S] of a deterministic policy [S] of action ids, gamma < 1."""
    if not check_gamma(gamma) < 1:
        raise ValueError("robust_policy_value needs gamma < 1")
    op = RobustBackup(mdp, gamma, uncertainty(mdp, kind, radius, weight))
    return _value_against_nature(op, op.mdp.rows(policy), np.zeros(mdp.num_states))


@named
def robust_backward_induction(
    mdp: FiniteMDP, horizon: int, kind: str, *, radius: Any = None, weight: Any = None
) -> tuple[Array, Array]:
    """Robust value [H+1, S] and policy [H, S] of the finite-horizon problem, undiscounted."""
    horizon = check_count("horizon", horizon)
    op = RobustBackup(mdp, 1.0, uncertainty(mdp, kind, radius, weight))
    value = np.zeros((horizon + 1, mdp.num_states))
    policy = np.zeros((horizon, mdp.num_states), np.int32)
    for h in reversed(range(horizon)):
        op(value[h + 1], value[h])
        policy[h] = op.mdp.a_id[op.best]
    return value, policy


@njit(cache=True, nogil=True)
def _answer(
    row_ptr, col, val, stop, v, floor, kind, constrained, strength, rows, out, moved, price
):
    width = out.shape[1]
    values, probs, law = np.empty(width), np.empty(width), np.empty(width)
    index = np.empty(width, np.int64)
    for j in range(rows.size):
        i = rows[j]
        n = gather(col, val, row_ptr[i], row_ptr[i + 1], stop[i], v, values, probs, index)
        moved[j] = worst_law(kind, constrained, strength[i], values, probs, n, floor, law)
        if not constrained:
            price[j] = strength[i] * divergence(kind, law, probs, n, moved[j])
        for m in range(n):
            if index[m] >= 0:
                out[j, index[m]] = law[m]
