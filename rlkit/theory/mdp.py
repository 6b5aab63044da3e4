"""The finite MDP that every tabular solver, learner and metric of rlkit shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from rlkit.theory import build
from rlkit.theory.validate import (
    INT32_MAX,
    ROW_ROUNDING,
    ROW_ROUNDING_F32,
    as_integers,
    as_reals,
    check_gamma,
    check_index,
    explain,
    first_decrease,
    scan_rows,
)

Array = np.ndarray
MAX_STATES = INT32_MAX  # of successors
MOST_UNUSED = 1024  # columns of a table of actions without any feasible one


@dataclass(frozen=True, eq=False, repr=False)
class FiniteMDP:
    """Immutable finite MDP: rows are feasible (state, action) pairs, successors in CSR.

    Row i in `sa_ptr[s]:sa_ptr[s+1]` belongs to state s and action `a_id[i]`; its successors are
    `col[row_ptr[i]:row_ptr[i+1]]` with probabilities `val[...]`; entries of probability 0 are
    left out. Mass missing from a row is termination with value 0 and must be declared in `stop`
    (or by `stop="deficit"`). A row may miss one by 1e-9 a successor (float32: 1e-6), which is
    rounding: it terminates nothing, declared or not, and `laws` makes up for it. Infeasible
    actions are absent rows. A semi-Markov row of duration k is the row times gamma**(k-1), its
    remainder declared in `stop`. Arrays are taken over without a copy and made read-only.

    `exo`, if present, is a K x K stochastic matrix of an exogenous chain and the transition
    matrix is P = M (I (x) exo), where M is what `col` and `val` hold and state s = i*K + k has
    the exogenous part k. Code that reads `col` and `val` itself must call `expanded()` first;
    `matrix`, `q`, `q_table`, `dense` and `solve` know.

    Raises ValueError naming the first offending state and action.
    """

    sa_ptr: Array  # [S+1] int64
    row_ptr: Array  # [L+1] int64
    col: Array  # [N] int32
    val: Array  # [N] float64, or float32 (sums stay float64)
    r: Array  # [L] float64, expected reward
    a_id: Array  # [L] int32, increasing within a state
    stop: Any = None  # [L] float64 probability of termination | "deficit" | None (all zero)
    mu0: Any = None  # [S] float64 initial law, or None
    exo: Any = None  # [K, K] float64, or None
    num_actions: int = field(init=False)
    row_sum_range: tuple[float, float] = field(init=False)  # smallest, largest row sum of P

    def __post_init__(self) -> None:
        keep = "float32" if np.asarray(self.val).dtype == np.float32 else "float64"
        for name in ("sa_ptr", "row_ptr", "col", "a_id"):
            object.__setattr__(self, name, as_integers(name, getattr(self, name)))
        check_index("successor", self.col)
        check_index("action", self.a_id)
        for name, kind in (
            ("sa_ptr", "int64"), ("row_ptr", "int64"), ("col", "int32"), ("a_id", "int32"),
        ):  # fmt: skip
            self._put(name, as_reals(name, getattr(self, name), (None,), False, kind))
        for name, kind in (("val", keep), ("r", "float64"), ("mu0", "float64"), ("exo", "float64")):
            if (given := getattr(self, name)) is not None or name in ("val", "r"):
                shape = (None, None) if name == "exo" else (None,)
                self._put(name, as_reals(name, given, shape, False, kind))
        self._check_shapes()
        self._settle_stop()
        self._check_rows()
        self._check_vectors()

    def _put(self, name: str, array: Array) -> None:
        view = np.ascontiguousarray(array).view()
        view.setflags(write=False)
        object.__setattr__(self, name, view)

    def _check_shapes(self) -> None:
        for name, end in (("sa_ptr", self.r.size), ("row_ptr", self.col.size)):
            pointer = getattr(self, name)
            if pointer.ndim != 1 or pointer.size < 2 or pointer[0] != 0 or pointer[-1] != end:
                raise ValueError(f"{name} must run from 0 to {end}, got shape {pointer.shape}")
            if (i := first_decrease(pointer)) >= 0:
                raise ValueError(
                    f"{name} decreases at index {i} ({pointer[i]} then {pointer[i + 1]}): "
                    "a 32-bit index that overflowed looks like this; use int64"
                )
        if self.row_ptr.size != self.r.size + 1 or self.a_id.size != self.r.size:
            raise ValueError(
                f"rows disagree: row_ptr has {self.row_ptr.size - 1}, r {self.r.size}, "
                f"a_id {self.a_id.size}"
            )
        if self.val.size != self.col.size:
            raise ValueError(f"col has {self.col.size} entries, val {self.val.size}")
        if self.num_states > MAX_STATES:
            raise ValueError(f"{self.num_states} states do not fit int32 successors")
        if (empty := np.flatnonzero(np.diff(self.sa_ptr) == 0)).size:
            raise ValueError(f"state {empty[0]} has no feasible action")
        object.__setattr__(self, "num_actions", int(self.a_id.max()) + 1)
        if self.a_id.min() < 0:
            raise ValueError(f"{self._where(int(self.a_id.argmin()))}: negative action id")
        rising = np.diff(self.a_id) > 0
        rising[self.sa_ptr[1:-1] - 1] = True
        if not rising.all():
            raise ValueError(
                f"{self._where(int(np.argmin(rising)) + 1)}: actions of a state must be "
                "listed once each, in increasing order"
            )
        high = int(self.a_id.max())  # ids may have gaps, but tables have a column for each
        if high > MOST_UNUSED and high >= (used := np.unique(self.a_id).size) + MOST_UNUSED:
            raise ValueError(f"action ids reach {high}, but only {used} of them occur: renumber")

    def _settle_stop(self) -> None:
        if isinstance(self.stop, str):
            if self.stop != "deficit":
                raise ValueError(f"stop must be an array, 'deficit' or None, got {self.stop!r}")
            self._put("stop", np.maximum(0.0, 1.0 - self.row_sums()))
        elif self.stop is not None:
            self._put("stop", as_reals("stop", self.stop, self.r.shape, finite=False))

    def _check_rows(self) -> None:
        has_stop = self.stop is not None
        rounding = ROW_ROUNDING if self.val.dtype == np.float64 else ROW_ROUNDING_F32
        code, row, k, value, low, high, idle, spurious = scan_rows(
            self.row_ptr, self.col, self.val, self.r, self.stop if has_stop else self.r,
            has_stop, self.num_states, rounding,
        )  # fmt: skip
        if code:
            raise ValueError(explain(code, self._where(row), k, value, self.num_states))
        if idle:
            self._drop_idle()
        if spurious:
            whole = np.abs(self.row_sums() - 1.0) <= self.row_rounding()
            self._put("stop", np.where(whole, 0.0, self.stop))
        if has_stop and not self.stop.any():
            object.__setattr__(self, "stop", None)
        if self.exo is not None:
            k = self.exo.shape[0]
            if self.exo.shape != (k, k) or self.num_states % k:
                raise ValueError(
                    f"exo must be square with a size dividing {self.num_states} states, "
                    f"got {self.exo.shape}"
                )
            sums = self.exo.sum(1)
            bad = np.flatnonzero(~(np.abs(sums - 1.0) <= 1e-9 * k) | (self.exo < -1e-12).any(1))
            if bad.size:
                raise ValueError(f"exo row {bad[0]} is not a probability law: {self.exo[bad[0]]}")
            self._put("exo", np.maximum(self.exo, 0.0))
            low, high = low * sums.min(), high * sums.max()
        object.__setattr__(self, "row_sum_range", (float(low), float(high)))

    def _drop_idle(self) -> None:
        """Leave out entries that are no edges, so that the stored graph is the model's."""
        edge = self.val > 0
        before = np.concatenate([[0], np.cumsum(edge, dtype=np.int64)])
        self._put("row_ptr", before[self.row_ptr])
        self._put("col", self.col[edge])
        self._put("val", self.val[edge])

    def _check_vectors(self) -> None:
        if self.mu0 is None:
            return
        as_reals("mu0", self.mu0, (self.num_states,))
        if not (self.mu0 >= 0).all() or not abs(self.mu0.sum() - 1.0) <= 1e-9 * self.mu0.size:
            raise ValueError("mu0 must be non-negative and sum to 1")

    def _where(self, row: int) -> str:
        state = int(np.searchsorted(self.sa_ptr, row, side="right")) - 1
        return f"state {state}, action {self.a_id[row]} (row {row})"

    def __repr__(self) -> str:
        kind = "" if self.exo is None else f", exogenous {self.exo.shape[0]}"
        return (
            f"FiniteMDP({self.num_states} states, {self.num_actions} actions, "
            f"{self.num_rows} rows, {self.nnz} successors {self.val.dtype}{kind})"
        )

    # ---- sizes -------------------------------------------------------------------------------
    @property
    def num_states(self) -> int:
        return self.sa_ptr.size - 1

    @property
    def num_rows(self) -> int:
        return self.r.size

    @property
    def nnz(self) -> int:
        return self.col.size

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays held."""
        names = ("sa_ptr", "row_ptr", "col", "val", "r", "a_id", "stop", "mu0", "exo")
        return sum(getattr(self, n).nbytes for n in names if getattr(self, n) is not None)

    @property
    def is_stochastic(self) -> bool:
        """Whether no row terminates."""
        return self.stop is None

    @property
    def is_complete(self) -> bool:
        """Whether every action is feasible in every state."""
        return self.num_rows == self.num_states * self.num_actions

    # ---- rows --------------------------------------------------------------------------------
    def state_of_row(self) -> Array:
        """State of each row, int64 [L]."""
        return np.repeat(np.arange(self.num_states), np.diff(self.sa_ptr))

    def row_sums(self) -> Array:
        """Sums of the stored rows in float64, [L]."""
        sums = np.zeros(self.num_rows)
        full = np.diff(self.row_ptr) > 0  # reduceat repeats its input at empty segments
        if full.any():
            sums[full] = np.add.reduceat(self.val, self.row_ptr[:-1][full], dtype=np.float64)
        return sums

    def row_rounding(self) -> Array:
        """How far from one each row may sum by rounding, [L]."""
        unit = ROW_ROUNDING if self.val.dtype == np.float64 else ROW_ROUNDING_F32
        return unit * np.maximum(1, np.diff(self.row_ptr))

    def rows(self, policy: Array) -> Array:
        """Row indices int64 [S] of a deterministic policy of action ids [S].

        Raises ValueError naming the first state whose action is infeasible.
        """
        actions = as_integers("policy", policy)
        if actions.shape != (self.num_states,):
            raise ValueError(f"policy has shape {actions.shape}, expected ({self.num_states},)")
        table = self.row_table()
        inside = (actions >= 0) & (actions < self.num_actions)
        found = np.full(self.num_states, -1)
        found[inside] = table[np.flatnonzero(inside), actions[inside]]
        if (found < 0).any():
            s = int(np.argmin(found))
            raise ValueError(f"policy takes action {actions[s]} in state {s}, not feasible there")
        return found

    def row_table(self) -> Array:
        """Row index of each (state, action), -1 where infeasible, int64 [S, A]."""
        table = np.full((self.num_states, self.num_actions), -1, np.int64)
        table[self.state_of_row(), self.a_id] = np.arange(self.num_rows)
        return table

    def table(self, values: Array, fill: float = -np.inf) -> Array:
        """Per-row values [L] as a table [S, A], `fill` where infeasible."""
        out = np.full((self.num_states, self.num_actions), fill)
        out[self.state_of_row(), self.a_id] = values
        return out

    # ---- transitions -------------------------------------------------------------------------
    def matrix(self) -> sp.csr_array:
        """Transition matrix P as scipy CSR [L, S] float64, exogenous chain multiplied in."""
        shape = (self.num_rows, self.num_states)
        values = self.val.astype(np.float64, copy=False)
        out = sp.csr_array((values, self.col, self.row_ptr), shape=shape)
        if self.exo is None:
            return out
        blocks = sp.eye_array(self.num_states // self.exo.shape[0], format="csr")
        out = sp.csr_array(out @ sp.kron(blocks, sp.csr_array(self.exo), format="csr"))
        out.sort_indices()
        return out

    def laws(self) -> sp.csr_array:
        """`matrix()` with every row scaled to sum, with its `stop`, to exactly one.

        For questions without discount, where what rounding took from a row would add up.
        """
        p = self.matrix()
        sums = np.asarray(p.sum(1)).ravel()
        goal = np.ones(self.num_rows) if self.stop is None else 1.0 - self.stop
        scale = np.divide(goal, sums, out=np.ones_like(sums), where=sums > 0)
        values = p.data * np.repeat(scale, np.diff(p.indptr))
        return sp.csr_array((values, p.indices, p.indptr), shape=p.shape)

    def expanded(self) -> FiniteMDP:
        """The same MDP without a factored part (itself when there is none)."""
        if self.exo is None:
            return self
        size = self.nnz * int(np.count_nonzero(self.exo, axis=1).max())
        if size > 2**28:
            raise ValueError(
                f"expanding the exogenous chain would store up to {size} successors; "
                "use a method that keeps the factored form (vi, mpi, anderson, halpern)"
            )
        p = self.matrix()
        val = p.data.astype(self.val.dtype)  # float32 rows keep float32's rounding
        return replace(self, row_ptr=p.indptr, col=p.indices, val=val, exo=None)

    def lookahead(self, v: Array) -> Array:
        """Vector w [S] with P v = M w: v itself, or v averaged over the exogenous step."""
        if self.exo is None:
            return v
        return np.ascontiguousarray(v.reshape(-1, self.exo.shape[0]) @ self.exo.T).ravel()

    def q(self, v: Array, gamma: float) -> Array:
        """r + gamma P v for every row, [L]."""
        from rlkit.theory.kernels import row_values

        v = np.array(as_reals("v", v, (self.num_states,), finite=False))
        w = np.ascontiguousarray(self.lookahead(v))
        out = np.empty(self.num_rows)
        row_values(self.row_ptr, self.col, self.val, self.r, check_gamma(gamma), w, out)
        return out

    def q_table(self, v: Array, gamma: float) -> Array:
        """r + gamma P v as a table [S, A], -inf where infeasible."""
        return self.table(self.q(v, gamma))

    def dense(self) -> tuple[Array, Array]:
        """P [S, A, S] and R [S, A]; infeasible actions are zero rows with reward -inf."""
        p = np.zeros((self.num_states, self.num_actions, self.num_states))
        p[self.state_of_row(), self.a_id] = self.matrix().toarray()
        return p, self.table(self.r)

    def initial_law(self) -> Array:
        """mu0, or the uniform law when none was given, [S]."""
        return np.full(self.num_states, 1.0 / self.num_states) if self.mu0 is None else self.mu0

    # ---- variants ----------------------------------------------------------------------------
    def with_rewards(self, r: Array) -> FiniteMDP:
        """The same dynamics with rewards [L] or [S, A]."""
        rewards = as_reals("r", r, finite=False)
        if rewards.ndim == 2:
            rewards = as_reals("r", r, (self.num_states, self.num_actions), finite=False)
            rewards = rewards[self.state_of_row(), self.a_id]
        return replace(self, r=rewards)

    def as_float32(self) -> FiniteMDP:
        """The same MDP with probabilities rounded to float32; sums stay in float64."""
        return replace(self, val=self.val.astype(np.float32))

    # ---- files -------------------------------------------------------------------------------
    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all arrays to an npz file; a half-written file never gets the final name."""
        held = {name: getattr(self, name) for name in build.FIELDS}
        build.write_npz(path, **{name: x for name, x in held.items() if x is not None})

    @staticmethod
    def load(path: str | os.PathLike[str]) -> FiniteMDP:
        """The MDP stored in an npz file by `save`, validated again. ValueError naming the file."""
        return build.load_npz(path, lambda fields: FiniteMDP(**fields))

    # ---- constructors (see rlkit.theory.build) -----------------------------------------------
    @staticmethod
    def from_dense(P: Array, R: Array, mu0: Array | None = None, stop: Any = None) -> FiniteMDP:
        """From P [S, A, S] and R [S], [S, A] or [S, A, S]; R = -inf marks an infeasible action."""
        return FiniteMDP(**build.from_dense(P, R, mu0, stop))

    @staticmethod
    def from_sparse(
        P: Any, R: Any, mu0: Array | None = None, stop: Any = None, s: Any = None, a: Any = None
    ) -> FiniteMDP:
        """From A sparse [S, S] matrices, or one [L, S] matrix with its `s` and `a` per row."""
        return FiniteMDP(**build.from_sparse(P, R, mu0, stop, s, a))

    @staticmethod
    def from_coo(
        s: Array, a: Array, s2: Array, p: Array, r: Array, num_states: int | None = None,
        mu0: Array | None = None, stop: Any = None,
    ) -> FiniteMDP:  # fmt: skip
        """From transition lists; repeated (s, a, s2) are summed, rewards r(s, a, s2) averaged."""
        return FiniteMDP(**build.from_coo(s, a, s2, p, r, num_states, mu0, stop))

    @staticmethod
    def from_counts(
        counts: Any, rewards: Array, mu0: Array | None = None, unseen: str = "error"
    ) -> FiniteMDP:
        """Maximum-likelihood MDP of counts [S, A, S] and rewards [S, A]."""
        return FiniteMDP(**build.from_counts(counts, rewards, mu0, unseen))

    @staticmethod
    def from_function(
        step: Callable[[int, int], Any], num_states: int, actions: Any, mu0: Array | None = None
    ) -> FiniteMDP:
        """From step(s, a) -> list of (probability, next state, reward, terminated)."""
        return FiniteMDP(**build.from_function(step, num_states, actions, mu0))

    @staticmethod
    def from_gymnasium(env: Any) -> FiniteMDP:
        """From a gymnasium environment that carries a transition dictionary `P`."""
        return FiniteMDP(**build.from_gymnasium(env))

    @staticmethod
    def factored(move: Array, exo: Array, r: Array, mu0: Array | None = None) -> FiniteMDP:
        """Deterministic move [I, K, A] (-1 infeasible) x exogenous chain [K, K], r [I, K, A]."""
        return FiniteMDP(**build.factored(move, exo, r, mu0))
