"""Linear systems (I - gamma P) x = b of chains, right however slowly the chain leaves its states.

LU with a certificate; where that fails, elimination without subtraction (Grassmann, Taksar &
Heyman 1985; O'Cinneide 1996), which keeps every digit of the smallest probabilities: 1 - p is 1
in floating point for p = 1e-17, but p itself is not 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import SuperLU, splu

from rlkit.core.jit import njit
from rlkit.theory.validate import ROW_ROUNDING

Array = np.ndarray
DENSE_LIMIT = 2000
_SLOW = 1e8  # expected steps, beyond which LU loses half of the digits
_SLOWEST = 1e11  # where nothing better is at hand, five digits remain


class _ClosedError(Exception):
    def __init__(self, state: int) -> None:
        super().__init__(state)
        self.state = state


def solve_chain(
    p: Any, b: Array, gamma: float = 1.0, stop: Array | None = None, transpose: bool = False,
    sparse: bool | None = None, states: Array | None = None,
) -> Array:  # fmt: skip
    """Solution x of (I - gamma p) x = b, or of (I - gamma p)' x = b, for b [S] or [S, k].

    `p` [S, S] (dense or sparse) is substochastic, `stop` [S] what each row misses of one (default:
    one less its sum, where that is more than rounding). ValueError naming a state that cannot be
    told from one of a closed set: the system has no solution, or one beyond floating point.
    `sparse` LU is the default beyond 2000 states; without dense tables there is no elimination.
    `states` [S] are the names of the states in messages.
    """
    n = b.shape[0]
    b = np.asarray(b, np.float64)
    if n == 0:
        return b.copy()
    columns = b.reshape(n, -1)
    if n > DENSE_LIMIT if sparse is None else sparse:
        try:
            found = factor_chain(p, gamma).solve(columns, trans="T" if transpose else "N")
        except ValueError:
            if n > DENSE_LIMIT:
                raise
            found = None
    else:
        found = _factored(p, columns, gamma, transpose)
    if found is None:
        leak = missing(p) if stop is None else np.asarray(stop, np.float64)
        try:
            found = _eliminated(p, columns, gamma, leak, transpose)
        except _ClosedError as error:
            state = error.state if states is None else int(states[error.state])
            raise ValueError(
                f"state {state} is left so slowly, if ever, that floating point cannot tell it "
                "from a closed one"
            ) from None
    return found.reshape(b.shape)


def _factored(p: Any, b: Array, gamma: float, transpose: bool) -> Array | None:
    """The solution by LU, None unless it is certified.

    t with (I - gamma p) t = 1, the expected steps, certifies: a positive t that is not large
    solves its system up to far less than 1, and then the inverse is at most about max(t).
    """
    n = b.shape[0]
    one = np.ones((n, 1))
    try:
        system = np.eye(n) - gamma * dense(p)
        if transpose:
            time, found = np.linalg.solve(system, one), np.linalg.solve(system.T, b)
        else:
            both = np.linalg.solve(system, np.hstack([one, b]))
            time, found = both[:, :1], both[:, 1:]
    except np.linalg.LinAlgError:
        return None
    return found if _certified(time, _SLOW) else None


def factor_chain(p: Any, gamma: float = 1.0) -> SuperLU:
    """Sparse LU of I - gamma p. ValueError unless certified, as `solve_chain` says."""
    n = p.shape[0]
    try:
        factor = splu(sp.csc_matrix(sp.eye_array(n) - gamma * sp.csr_array(p, dtype=np.float64)))
        time = factor.solve(np.ones(n))
    except RuntimeError:  # exactly singular, as SuperLU says
        time = np.full(n, np.nan)
    limit = _SLOW if n <= DENSE_LIMIT else _SLOWEST
    if not _certified(time, limit):
        state = int(np.argmin((time > 0.0) & (time < limit)))
        raise ValueError(
            f"state {state} is left so slowly (gamma = {gamma:.17g}) that a sparse factorisation "
            "cannot tell it from closed; lower gamma"
        )
    return factor


def _certified(time: Array, limit: float) -> bool:
    return bool(((time > 0.0) & (time < limit)).all())


def _eliminated(p: Any, b: Array, gamma: float, stop: Array, transpose: bool) -> Array:
    n = b.shape[0]
    system = np.array(gamma * dense(p), np.float64)
    np.fill_diagonal(system, 0.0)
    closed = _gth_factor(system, (1.0 - gamma) + gamma * stop)
    if closed >= 0:
        raise _ClosedError(closed)
    lower = np.tril(system, -1) + np.eye(n)
    with np.errstate(over="ignore", invalid="ignore"):
        if transpose:
            y = solve_triangular(system, b, trans="T", check_finite=False)
            x = solve_triangular(lower, y, trans="T", lower=True, check_finite=False)
        else:
            y = solve_triangular(lower, b, lower=True, unit_diagonal=True, check_finite=False)
            x = solve_triangular(system, y, check_finite=False)
    if (bad := np.flatnonzero(~np.isfinite(x).all(1))).size:
        raise _ClosedError(int(bad[0]))
    return x


@njit(cache=True, nogil=True)
def _gth_factor(a, leak):
    """LU of diag(a 1 + leak) - a in place (L's unit diagonal left out), a >= 0 with diagonal 0.

    Pivots are sums of what leaves a state, never differences. The state of the first pivot that
    is 0, or -1.
    """
    n = a.shape[0]
    for k in range(n):
        pivot = leak[k]
        for j in range(k + 1, n):
            pivot += a[k, j]
        if not pivot > 0.0:
            return k
        a[k, k] = pivot
        for i in range(k + 1, n):
            if a[i, k] == 0.0:
                continue
            share = a[i, k] / pivot
            for j in range(k + 1, n):
                a[i, j] += share * a[k, j]
            a[i, i] = 0.0
            a[i, k] = -share
            leak[i] += share * leak[k]
        for j in range(k + 1, n):
            a[k, j] = -a[k, j]
    return -1


def missing(p: Any) -> Array:
    """What each row lacks of one, 0 where that is rounding."""
    matrix = sp.csr_array(p)
    lack = 1.0 - np.asarray(matrix.sum(1)).ravel()
    return np.where(lack > ROW_ROUNDING * np.maximum(1, np.diff(matrix.indptr)), lack, 0.0)


def dense(p: Any) -> Array:
    """A matrix as a float64 array."""
    return np.asarray(p.toarray() if sp.issparse(p) else p, np.float64)
