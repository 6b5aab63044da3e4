"""Policy iteration (by exact solves, or inexact ones of Krylov) and modified policy iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from rlkit.theory import kernels
from rlkit.theory.backup import Backup, PackedPolicy
from rlkit.theory.evaluation import DENSE_LIMIT, krylov
from rlkit.theory.linear import solve_chain
from rlkit.theory.mdp import Array
from rlkit.theory.planning.iterations import Iterate, Watch, value_iteration
from rlkit.theory.validate import check_count, check_positive

_BANDED_WORK = 1e8  # states times band squared: a banded LU takes about as many operations
_FLOAT32_DEPTH = 1e-5  # of a span: what float32 can tell of a smaller one is noise


def modified_policy_iteration(
    op: Backup, v: Array, watch: Watch, k: int = 10, cut: float = 0.3
) -> Iterate:
    """Backups of the greedy policy between improvements (k = 0 is value iteration).

    A sweep of the policy continues the improvement's change e = T v - v: v + d with d the fixed
    point of d <- e + gamma P d is the policy's value, and d is small, so that on rows that sum to
    one float32 does (the improvement, in float64, sees what it missed). Sweeps read a packed copy
    of the policy's rows. Up to `k` of them follow an improvement; they end early once the span of
    their change is below `cut` times that of the improvement. The root of the share of states
    whose action changed takes its place where it is smaller, and there may be 10 `k` sweeps: the
    policy is nearly right. Where none changed they go on until within eps, for the next improvement
    to certify.
    """
    k = check_count("k", k, 0)
    check_positive("cut", cut, strict=False)
    if k == 0:
        return value_iteration(op, v, watch)
    out, centred = np.empty_like(v), op.nearly_stochastic
    d, other, change = (np.empty(v.size, np.float32 if centred else np.float64) for _ in range(3))
    packed = PackedPolicy(op, d.dtype)
    while True:
        low, high = op(v, out)
        shifts = op.bracket(v, low, high)
        if watch.done(v, *shifts):
            return Iterate(out, *shifts)
        span, share = high - low, packed.take(op.best) / v.size
        depth = min(cut, share**0.5)
        if share == 0.0:  # the bracket's width is proportional to the span of the change
            depth = min(cut, 0.5 * watch.eps / (shifts[1] - shifts[0]))
        goal = max(depth, _FLOAT32_DEPTH) * span
        middle = 0.5 * (low + high) if centred else 0.0  # a constant: it sums in closed form
        np.subtract(out, v, out=change, casting="same_kind")
        np.subtract(change, middle, out=change)
        d[:] = change
        for _ in range(k if depth == cut else 10 * k):
            low, high = packed(d, other, change)
            d, other = other, d
            if high - low <= goal:
                break
        v += d
        v += middle / (1.0 - op.gamma)


def policy_iteration(
    op: Backup, v: Array, watch: Watch, evaluation: str = "auto", forcing: float = 1e-4
) -> Iterate:
    """Howard's policy iteration; an action is replaced only by one that is better.

    `evaluation` is "lu" (dense), "sparse" (sparse LU, hopeless on large random graphs), "krylov"
    or "auto": sparse where successors lie near their states, else dense up to 2000 states. Krylov
    evaluation is inexact: its residual is at most `forcing` times the last Bellman residual.
    """
    check_positive("forcing", forcing)
    if evaluation not in ("auto", "lu", "sparse", "krylov"):
        raise ValueError(
            f"evaluation must be 'auto', 'lu', 'sparse' or 'krylov', got {evaluation!r}"
        )
    if evaluation == "sparse" and op.mdp.exo is not None:
        raise ValueError("a factored model has no sparse rows; choose 'lu', 'krylov' or 'auto'")
    if evaluation == "auto":
        m, width = op.mdp, min(v.size / 8, (_BANDED_WORK / v.size) ** 0.5)
        evaluation = "lu" if v.size <= DENSE_LIMIT else "krylov"
        if m.exo is None and kernels.within_band(m.sa_ptr, m.row_ptr, m.col, width):
            evaluation = "sparse"
    out, kept = np.empty_like(v), np.empty_like(v)
    ends = op(v, out)
    rows, stuck = op.best.copy(), 0
    while True:
        packed = op.pack(rows)
        if evaluation != "krylov":
            v = _exact_value(op, packed, rows, evaluation == "sparse")
        else:
            size = max(abs(ends[0]), abs(ends[1]))
            v = _krylov_value(op, packed, v, forcing ** (1 + stuck) * size)
        ends = op(v, out)
        low, high = op.bracket(v, *ends)
        if watch.done(v, low, high):
            return Iterate(out, low, high)
        packed(v, kept)
        # A tie broken the other way would cycle, so better means better by more than rounding.
        better = out > kept + 1e-12 * max(1.0, float(np.abs(v).max()))
        stuck = 0 if better.any() else stuck + 1
        if not better.any() and (evaluation != "krylov" or stuck > 3):
            watch.reason = f"rounding leaves a certified width of {high - low:.2g}"
            return Iterate(out, low, high)
        rows = np.where(better, op.best, rows)


def _exact_value(op: Backup, packed: PackedPolicy, rows: Array, sparse: bool) -> Array:
    n, used, m = packed.r.size, int(packed.ptr[-1]), op.mdp
    p: Any = sp.csr_array((packed.val[:used], packed.col[:used], packed.ptr), shape=(n, n))
    if m.exo is not None:
        k = m.exo.shape[0]
        p = (p.toarray().reshape(n, -1, k) @ m.exo).reshape(n, n)
    op.touched += used
    stop = None if m.stop is None else m.stop[rows]
    return solve_chain(p, packed.r, op.gamma, stop, sparse=sparse)


def _krylov_value(op: Backup, packed: PackedPolicy, start: Array, tolerance: float) -> Array:
    image, zero = np.empty_like(start), np.zeros_like(start)
    packed(zero, image)
    rewards = image.copy()

    def apply(x: Array) -> Array:
        x = np.array(x, np.float64).ravel()
        packed(x, image)
        return x - image + rewards

    floor = 1e-14 * float(np.linalg.norm(rewards)) + np.finfo(float).tiny
    v, _ = krylov(apply, rewards, start, max(tolerance, floor))
    return v
