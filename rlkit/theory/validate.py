"""Validation of finite-MDP arrays: one pass, first offender named, no copies."""

from typing import Any

import numpy as np
from numba import njit

ROW_SUM_TOLERANCE = 1e-9  # times the number of successors: honest long rows round more
ROW_SUM_TOLERANCE_F32 = 1e-6
NEGATIVE_TOLERANCE = 1e-12
INT32_MAX = 2**31 - 1

_OK, _PTR, _COLUMN, _ORDER, _NUMBER, _NEGATIVE, _SUM, _REWARD, _ACTION, _STOP = range(10)


@njit(cache=True, nogil=True)
def scan_rows(row_ptr, col, val, r, stop, has_stop, num_states, tolerance):
    """Code, row, position and value of the first fault, and the range of row sums.

    A row must have strictly increasing columns in range, probabilities >= -1e-12, a finite
    reward, and sum + stop = 1 within `tolerance` times its number of successors.
    """
    low, high = np.inf, -np.inf
    for i in range(row_ptr.size - 1):
        start, end = row_ptr[i], row_ptr[i + 1]
        total, previous = 0.0, -1
        for k in range(start, end):
            j, p = col[k], np.float64(val[k])
            if j < 0 or j >= num_states:
                return _COLUMN, i, k, np.float64(j), low, high
            if j <= previous:
                return _ORDER, i, k, np.float64(j), low, high
            if not np.isfinite(p):
                return _NUMBER, i, k, p, low, high
            if p < -NEGATIVE_TOLERANCE:
                return _NEGATIVE, i, k, p, low, high
            previous = j
            total += p
        ending = stop[i] if has_stop else 0.0
        if not (ending >= 0.0 and ending <= 1.0):
            return _STOP, i, start, ending, low, high
        if abs(total + ending - 1.0) > tolerance * max(1, end - start):
            return _SUM, i, start, total + ending, low, high
        if not np.isfinite(r[i]):
            return _REWARD, i, start, r[i], low, high
        low, high = min(low, total), max(high, total)
    return _OK, 0, 0, 0.0, low, high


def first_decrease(pointer: np.ndarray) -> int:
    """Index of the first step down in a pointer array, or -1."""
    down = np.flatnonzero(np.diff(pointer) < 0)
    return int(down[0]) if down.size else -1


def explain(code: int, where: str, k: int, value: float, num_states: int) -> str:
    """The sentence for a fault found by `scan_rows`; `where` names the (state, action)."""
    texts = {
        _COLUMN: f"successor {value:.0f} lies outside 0..{num_states - 1} (entry {k})",
        _ORDER: f"successor {value:.0f} is out of order or repeated (entry {k}); "
        "build with FiniteMDP.from_coo, which sorts and sums duplicates",
        _NUMBER: f"probability {value} is not finite (entry {k})",
        _NEGATIVE: f"probability {value:.6g} is negative (entry {k})",
        _SUM: f"probabilities (with the declared termination) sum to {value:.12g}, not to 1; "
        "normalise the row, or pass stop='deficit' if the missing mass means termination",
        _REWARD: f"reward {value} is not finite; leave infeasible actions out instead",
        _STOP: f"termination probability {value} lies outside [0, 1]",
    }
    return f"{where}: {texts[code]}"


def check_gamma(gamma: float) -> float:
    """`gamma` as a float; ValueError outside [0, 1] or when it is not a number."""
    try:
        number = float(gamma)
    except (TypeError, ValueError):
        number = float("nan")
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma!r}")
    return number


def as_integers(name: str, values: Any) -> np.ndarray:
    """`values` as an integer array, never by rounding or wrapping; ValueError naming the entry."""
    x = np.asarray(values)
    if x.dtype.kind in "iu":
        return x
    if x.dtype.kind not in "bf":
        raise ValueError(f"{name} must hold integers, got {x.dtype}")
    if (bad := np.flatnonzero(~np.isfinite(x) | (x != np.floor(x)))).size:
        raise ValueError(f"{name}[{bad[0]}] = {x.ravel()[bad[0]]} is not an integer")
    return x.astype(np.int64)


def check_index(name: str, values: np.ndarray) -> None:
    """ValueError naming the first entry that does not fit int32."""
    if values.dtype == np.int32 or values.size == 0:
        return
    if int(values.max()) > INT32_MAX or int(values.min()) < -INT32_MAX:
        i = int(np.argmax((values > INT32_MAX) | (values < -INT32_MAX)))
        raise ValueError(f"{name} {int(values[i])} (entry {i}) does not fit int32")
