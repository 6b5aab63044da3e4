"""The Bellman operator of a finite MDP on preallocated buffers, with certified brackets."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from rlkit.theory import kernels
from rlkit.theory.mdp import Array, FiniteMDP

UNIT_ROUNDOFF = 2.0**-53

# numba's dispatchers are typed without arguments.
_sweep: Any = kernels.sweep
_sweep_in_place: Any = kernels.sweep_in_place


class Backup:
    """Bellman optimality operator T of an MDP (or of one packed policy), counting its work.

    `touched` counts nonzeros read. With `threads` > 1 states are split into contiguous blocks of
    about equal nonzeros; results are bitwise the same for any number of threads.
    """

    def __init__(self, mdp: FiniteMDP, gamma: float, threads: int = 1) -> None:
        self.mdp, self.gamma, self.threads = mdp, gamma, max(1, int(threads))
        self.touched = 0
        self.best = np.zeros(mdp.num_states, np.int64)  # greedy row of each state
        self._pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None
        self.sum_low, self.sum_high = mdp.row_sum_range
        longest = int(np.diff(mdp.row_ptr).max())
        if mdp.exo is not None:
            longest += 2 * mdp.exo.shape[0]
        # A two-accumulator sum of b products errs by at most about (b/2 + 4) roundings.
        self._rounding = (longest / 2 + 4) * UNIT_ROUNDOFF
        self._reward_scale = float(np.abs(mdp.r).max())
        self._cuts = _even_cuts(mdp.row_ptr[mdp.sa_ptr], self.threads)
        self._packed: tuple[Array, Array, Array] | None = None

    def __call__(self, v: Array, out: Array) -> tuple[float, float]:
        """out = T v; `best` becomes the greedy rows. Returns min and max of out - v."""
        m = self.mdp
        arrays: tuple[Any, ...] = (
            m.sa_ptr,
            m.row_ptr,
            m.col,
            m.val,
            m.r,
            self.gamma,
            m.lookahead(v),
            v,
        )
        self.touched += m.nnz
        return self._run(arrays, out, self.best)

    def _run(self, arrays: tuple[Any, ...], out: Array, best: Array) -> tuple[float, float]:
        if self._pool is None:
            return _sweep(*arrays, 0, out.size, out, best)
        jobs = [
            self._pool.submit(partial(_sweep, *arrays, lo, hi, out, best))
            for lo, hi in pairwise(self._cuts)
        ]
        ends = [job.result() for job in jobs]
        return min(e[0] for e in ends), max(e[1] for e in ends)

    def pack(self, rows: Array) -> PackedPolicy:
        """The operator of the deterministic policy `rows` [S], its rows copied into one block."""
        m = self.mdp
        lengths = m.row_ptr[rows + 1] - m.row_ptr[rows]
        ptr = np.zeros(rows.size + 1, np.int64)
        np.cumsum(lengths, out=ptr[1:])
        if self._packed is None or self._packed[1].size < ptr[-1]:
            self._packed = None  # let the old block go before a larger one is taken
            room = int(ptr[-1])
            self._packed = (ptr, np.empty(room, np.int32), np.empty(room, m.val.dtype))
        _, col, val = self._packed
        kernels.pack_rows(m.row_ptr, m.col, m.val, rows, ptr, col, val)
        self._packed = (ptr, col, val)
        return PackedPolicy(self, ptr, col, val, m.r[rows])

    def sweep_in_place(self, v: Array, order: Array, blocks: Array) -> float:
        """Gauss-Seidel over `order`; threads share a block order[blocks[i]:blocks[i+1]].

        The states of a block must not depend on one another when threads > 1. Returns the
        largest change.
        """
        m = self.mdp
        arrays: tuple[Any, ...] = (m.sa_ptr, m.row_ptr, m.col, m.val, m.r, self.gamma, v, order)
        self.touched += m.nnz
        if self._pool is None:
            return _sweep_in_place(*arrays, 0, order.size, self.best)
        largest = 0.0
        for start, end in pairwise(blocks):
            cuts = np.linspace(start, end, self.threads + 1).astype(np.int64)
            jobs = [
                self._pool.submit(partial(_sweep_in_place, *arrays, lo, hi, self.best))
                for lo, hi in pairwise(cuts)
            ]
            largest = max(largest, *(job.result() for job in jobs))
        return largest

    def bracket(self, v: Array, low: float, high: float) -> tuple[float, float]:
        """Shifts (lo, hi) with T v + lo <= v* <= T v + hi, and <= value of the greedy policy.

        MacQueen's bounds for rows that sum to anything in `row_sum_range`, widened by the
        rounding of the backup. `low`, `high` are min and max of T v - v; needs gamma < 1.
        """
        slack = self._rounding * (self._reward_scale + self.gamma * float(np.abs(v).max()))
        worst = self.gamma * self.sum_high
        if worst >= 1.0:
            return -np.inf, np.inf
        lo = _geometric(low - slack, self.gamma, self.sum_low, self.sum_high)
        hi = -_geometric(-slack - high, self.gamma, self.sum_low, self.sum_high)
        return lo - slack, hi + slack

    def rounding_floor(self, v: Array) -> float:
        """The narrowest bracket that float64 can certify around v."""
        lo, hi = self.bracket(v, 0.0, 0.0)
        return hi - lo

    def close(self) -> None:
        """End the threads, if any."""
        if self._pool is not None:
            self._pool.shutdown()


class PackedPolicy:
    """T of one policy on packed rows; same call as `Backup`, same threads, same counter."""

    def __init__(self, parent: Backup, ptr: Array, col: Array, val: Array, r: Array) -> None:
        self.parent, self.ptr, self.r = parent, _frozen(ptr), _frozen(r)
        self.col, self.val = _frozen(col), _frozen(val)
        self._sa_ptr = _frozen(np.arange(r.size + 1))
        self._best = np.empty(r.size, np.int64)

    def __call__(self, v: Array, out: Array) -> tuple[float, float]:
        parent = self.parent
        parent.touched += int(self.ptr[-1])
        w = parent.mdp.lookahead(v)
        arrays: tuple[Any, ...] = (
            self._sa_ptr,
            self.ptr,
            self.col,
            self.val,
            self.r,
            parent.gamma,
            w,
            v,
        )
        return parent._run(arrays, out, self._best)


def _frozen(array: Array) -> Array:
    """A read-only view: model arrays are read-only everywhere, so kernels compile once."""
    view = array.view()
    view.setflags(write=False)
    return view


def _geometric(d: float, gamma: float, sum_low: float, sum_high: float) -> float:
    """Sum over k >= 1 of (gamma * row sum)^k * d, with the row sums worst for a lower bound."""
    factor = gamma * (sum_low if d >= 0 else sum_high)
    return factor / (1.0 - factor) * d


def _even_cuts(nonzeros_before: Array, parts: int) -> Array:
    """Cuts of the states into `parts` blocks of about equal nonzeros, int64 [parts+1]."""
    goals = np.linspace(0, nonzeros_before[-1], parts + 1)[1:-1]
    inner = np.searchsorted(nonzeros_before, goals)
    return np.concatenate([[0], inner, [nonzeros_before.size - 1]]).astype(np.int64)
