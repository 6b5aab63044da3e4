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
PER_THREAD = 250_000  # nonzeros: with fewer, handing out the work takes longer than doing it

# numba's dispatchers are typed without arguments.
_sweep: Any = kernels.sweep
_sweep_in_place: Any = kernels.sweep_in_place
_policy_sweep: Any = kernels.policy_sweep


class Backup:
    """Bellman optimality operator T of an MDP (or of one packed policy), counting its work.

    `touched` counts nonzeros read. With `threads` > 1 the states of models that are large enough
    are split into contiguous blocks of about equal nonzeros; results are bitwise the same for any
    number of threads.
    """

    def __init__(self, mdp: FiniteMDP, gamma: float, threads: int = 1) -> None:
        self.mdp, self.gamma, self.threads = mdp, gamma, max(1, int(threads))
        self.touched = 0
        self.best = np.zeros(mdp.num_states, np.int64)  # greedy row of each state
        self._blocks = max(1, min(self.threads, mdp.nnz // PER_THREAD))
        self._pool = ThreadPoolExecutor(self._blocks) if self._blocks > 1 else None
        self.sum_low, self.sum_high = mdp.row_sum_range
        self.nearly_stochastic = max(1.0 - self.sum_low, self.sum_high - 1.0) < 1e-5
        longest = int(np.diff(mdp.row_ptr).max())
        if mdp.exo is not None:
            longest += 2 * mdp.exo.shape[0]
        # A two-accumulator sum of b products errs by at most about (b/2 + 4) roundings.
        self._rounding = (longest / 2 + 4) * UNIT_ROUNDOFF
        self._reward_scale = float(np.abs(mdp.r).max())
        self._cuts = _even_cuts(mdp.row_ptr[mdp.sa_ptr], self._blocks)
        self._packed: PackedPolicy | None = None

    def __call__(self, v: Array, out: Array) -> tuple[float, float]:
        """out = T v; `best` becomes the greedy rows. Returns min and max of out - v."""
        m = self.mdp
        if v.any():
            ends, w, work = m.row_ptr, m.lookahead(v), m.nnz
        else:  # the usual start: T 0 is the best reward, no successor need be read
            ends, w, work = np.zeros_like(m.row_ptr), v, 0
        arrays = (m.sa_ptr, ends, m.col, m.val, m.r, self.gamma, w, v)
        return self.run(_sweep, arrays, work, out, self.best)

    def run(
        self, kernel: Any, arrays: tuple[Any, ...], work: int, *out: Array
    ) -> tuple[float, float]:
        """A sweep kernel over all states that reads `work` nonzeros: its least and largest.

        By blocks if there are threads and the work is worth it.
        """
        self.touched += work
        if self._pool is None or work < 2 * PER_THREAD:
            return kernel(*arrays, 0, out[0].size, *out)
        jobs = [
            self._pool.submit(partial(kernel, *arrays, lo, hi, *out))
            for lo, hi in pairwise(self._cuts)
        ]
        ends = [job.result() for job in jobs]
        return min(e[0] for e in ends), max(e[1] for e in ends)

    def pack(self, rows: Array) -> PackedPolicy:
        """The operator of the deterministic policy `rows` [S], its rows copied into one block.

        There is one such block, so a new policy takes the place of the last.
        """
        if self._packed is None:
            self._packed = PackedPolicy(self, self.mdp.val.dtype)
        self._packed.take(rows)
        return self._packed

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
            cuts = np.linspace(start, end, self._blocks + 1).astype(np.int64)
            jobs = [
                self._pool.submit(partial(_sweep_in_place, *arrays, lo, hi, self.best))
                for lo, hi in pairwise(cuts)
            ]
            largest = max(largest, *(job.result() for job in jobs))
        return largest

    def slack(self, v: Array) -> float:
        """What the rounding of one backup of `v` may add to or take from a state."""
        largest = max(float(v.max()), -float(v.min()))
        return self._rounding * (self._reward_scale + self.gamma * largest)

    def bracket(self, v: Array, low: float, high: float) -> tuple[float, float]:
        """Shifts (lo, hi) with T v + lo <= v* <= T v + hi, and <= value of the greedy policy.

        MacQueen's bounds for rows that sum to anything in `row_sum_range`, widened by the
        rounding of the backup. `low`, `high` are min and max of T v - v; needs gamma < 1.
        """
        slack = self.slack(v)
        worst = self.gamma * self.sum_high
        if worst >= 1.0:
            return -np.inf, np.inf
        lo = _geometric(low - slack, self.gamma, self.sum_low, self.sum_high)
        hi = -_geometric(-slack - high, self.gamma, self.sum_low, self.sum_high)
        return lo - slack, hi + slack

    def centre(self, value: Array, low: float, high: float) -> None:
        """Move `value` by the middle of its shifts, in place, if rows sum almost to one.

        A constant is no news to a stochastic model, and the bracket knows it. Float32 rows miss
        one by 1e-7, and then the bracket stays wide for as long as the values still drift.
        """
        if self.nearly_stochastic and self.sum_high - self.sum_low > 1e-12:
            value += 0.5 * (low + high)

    def rounding_floor(self, v: Array) -> float:
        """The narrowest bracket that float64 can certify around v."""
        lo, hi = self.bracket(v, 0.0, 0.0)
        return hi - lo

    def close(self) -> None:
        """End the threads, if any."""
        if self._pool is not None:
            self._pool.shutdown()


class PackedPolicy:
    """T of one policy on packed rows of `dtype`; the call, threads and counter of `Backup`."""

    def __init__(self, parent: Backup, dtype: Any) -> None:
        m = parent.mdp
        self.parent = parent
        self.ptr, self.r = np.zeros(m.num_states + 1, np.int64), np.empty(m.num_states)
        size = int(kernels.widest_rows(m.sa_ptr, m.row_ptr))  # whatever the policy
        self.col, self.val = np.empty(size, np.int32), np.empty(size, dtype)
        self._held = np.full(m.num_states, -1)

    def take(self, rows: Array) -> int:
        """Become the operator of the policy `rows` [S]; the number of its rows that are new."""
        m = self.parent.mdp
        return kernels.pack_rows(
            m.row_ptr, m.col, m.val, m.r, rows, self._held, self.ptr, self.col, self.val, self.r
        )

    def __call__(self, v: Array, out: Array, r: Array | None = None) -> tuple[float, float]:
        """out = r + gamma P v, with the policy's own rewards unless others [S] are given.

        Returns min and max of out - v.
        """
        parent = self.parent
        w = parent.mdp.lookahead(v).astype(v.dtype, copy=False)
        rewards = self.r if r is None else r
        arrays = (self.ptr, self.col, self.val, rewards, parent.gamma, w, v)
        return parent.run(_policy_sweep, arrays, int(self.ptr[-1]), out)


def _geometric(d: float, gamma: float, sum_low: float, sum_high: float) -> float:
    """Sum over k >= 1 of (gamma * row sum)^k * d, with the row sums worst for a lower bound."""
    factor = gamma * (sum_low if d >= 0 else sum_high)
    return factor / (1.0 - factor) * d


def _even_cuts(nonzeros_before: Array, parts: int) -> Array:
    """Cuts of the states into `parts` blocks of about equal nonzeros, int64 [parts+1]."""
    goals = np.linspace(0, nonzeros_before[-1], parts + 1)[1:-1]
    inner = np.searchsorted(nonzeros_before, goals)
    return np.concatenate([[0], inner, [nonzeros_before.size - 1]]).astype(np.int64)
