"""Validation of finite-MDP arrays and of the arguments of solvers: first offender named.

Settings are checked by a function `check_*(name, value)` each, in the solver that takes them or by

    @settings(gamma=check_fraction, tolerance=check_positive)

above one that hands them on, and above a frozen dataclass that holds them.
"""

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

from rlkit.core.jit import njit
from rlkit.core.words.nearest import suggestion

ROW_ROUNDING = 1e-9  # times the number of successors: honest long rows round more
ROW_ROUNDING_F32 = 1e-6
NEGATIVE_TOLERANCE = 1e-12
INT32_MAX = 2**31 - 1

_OK, _PTR, _COLUMN, _ORDER, _NUMBER, _NEGATIVE, _SUM, _REWARD, _ACTION, _STOP = range(10)


@njit(cache=True, nogil=True)
def scan_rows(row_ptr, col, val, r, stop, has_stop, num_states, tolerance):
    """Code, row, position and value of the first fault, the range of row sums, and how many
    entries are no edges (not positive) and how many stops are no ends.

    A row must have strictly increasing columns in range, probabilities >= -1e-12, a finite
    reward, and sum + stop = 1 within `tolerance` times its number of successors. A row that does
    so without its stop does not end: that stop is rounding.
    """
    low, high, idle, spurious = np.inf, -np.inf, 0, 0
    for i in range(row_ptr.size - 1):
        start, end = row_ptr[i], row_ptr[i + 1]
        total, previous, edges = 0.0, -1, 0
        for k in range(start, end):
            j, p = col[k], np.float64(val[k])
            if j < 0 or j >= num_states:
                return _COLUMN, i, k, np.float64(j), low, high, idle, spurious
            if j <= previous:
                return _ORDER, i, k, np.float64(j), low, high, idle, spurious
            if not np.isfinite(p):
                return _NUMBER, i, k, p, low, high, idle, spurious
            if p < -NEGATIVE_TOLERANCE:
                return _NEGATIVE, i, k, p, low, high, idle, spurious
            previous = j
            if p > 0.0:
                total += p
                edges += 1
        ending = stop[i] if has_stop else 0.0
        if not (ending >= 0.0 and ending <= 1.0):
            return _STOP, i, start, ending, low, high, idle, spurious
        idle += end - start - edges
        slack = tolerance * max(1, edges)
        if abs(total + ending - 1.0) > slack:
            return _SUM, i, start, total + ending, low, high, idle, spurious
        if not np.isfinite(r[i]):
            return _REWARD, i, start, r[i], low, high, idle, spurious
        if ending > 0.0 and abs(total - 1.0) <= slack:
            spurious += 1
        low, high = min(low, total), max(high, total)
    return _OK, 0, 0, 0.0, low, high, idle, spurious


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


Checked = TypeVar("Checked", bound=Callable[..., Any])


def settings(**checks: Callable[[str, Any], Any]) -> Callable[[Checked], Checked]:
    """A decorator of a function or of a class: the arguments named go through their checks before
    anything is done, and arrive as those return them. None passes where it is the default."""

    def decorate(target: Checked) -> Checked:
        function: Any = vars(target)["__init__"] if isinstance(target, type) else target
        signature = inspect.signature(function)
        optional = {n for n in checks if signature.parameters[n].default is None}

        @functools.wraps(function)
        def checked(*args: Any, **given: Any) -> Any:
            try:
                bound = signature.bind_partial(*args, **given)
            except TypeError:
                return function(*args, **given)  # which says what is wrong
            for name, check in checks.items():
                value = bound.arguments.get(name)
                if name in bound.arguments and not (value is None and name in optional):
                    bound.arguments[name] = check(name, value)
            return function(*bound.args, **bound.kwargs)

        if isinstance(target, type):
            target.__init__ = checked  # type: ignore[misc]
            return target
        return checked  # type: ignore[return-value]

    return decorate


def check_choice(name: str, value: Any, options: Iterable[str]) -> str:
    """`value`; ValueError naming the nearest of the `options` unless it is one of them."""
    options = list(options)
    if not isinstance(value, str) or value not in options:
        near = suggestion(value, options) if isinstance(value, str) else ""
        raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}{near}")
    return value


def check_gamma(gamma: float) -> float:
    """`gamma` as a float; ValueError outside [0, 1] or when it is not a number."""
    return check_fraction("gamma", gamma)


def check_positive(name: str, value: Any, strict: bool = True) -> float:
    """`value` as a float; ValueError naming it unless finite and positive (or 0 if not strict)."""
    number = _number(value)
    if not (number > 0.0 if strict else number >= 0.0) or math.isinf(number):
        kind = "positive" if strict else "non-negative"
        raise ValueError(f"{name} must be {kind} and finite, got {value!r}")
    return number


def check_not_negative(name: str, value: Any) -> float:
    """`value` as a float; ValueError naming it unless finite and at least 0."""
    return check_positive(name, value, strict=False)


def check_count(name: str, value: Any, least: int = 1) -> int:
    """`value` as an int; ValueError naming it unless a whole number of at least `least`.

    Whole floats count: 1e6 is how people write a budget.
    """
    number = _number(value)
    if not (number >= least and math.isfinite(number) and number == math.floor(number)):
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
    return int(value)


def check_counts(least: int = 1, /, **values: Any) -> tuple[int, ...]:
    """Every keyword through `check_count`, in order."""
    return tuple(check_count(name, value, least) for name, value in values.items())


def check_seed(name: str, value: Any) -> int:
    """`value` as an int; ValueError naming it unless a whole number in 0..2^63 - 1."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not 0 <= value < 2**63:
        raise ValueError(f"{name} must be a whole number in 0..2^63 - 1, got {value!r}")
    return int(value)


def check_fraction(name: str, value: Any, closed: bool = True) -> float:
    """`value` as a float; ValueError naming it outside [0, 1], or (0, 1) unless `closed`."""
    number = _number(value)
    if not (0.0 <= number <= 1.0 if closed else 0.0 < number < 1.0):
        raise ValueError(f"{name} must lie in {'[0, 1]' if closed else '(0, 1)'}, got {value!r}")
    return number


def check_number(name: str, value: Any) -> float:
    """`value` as a float; ValueError naming it unless a finite number."""
    number = _number(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return number


def check_cap(name: str, value: Any) -> float:
    """`value` as a float; ValueError naming it unless positive (inf: no cap)."""
    number = _number(value)
    if not number > 0.0:
        raise ValueError(f"{name} must be positive, got {value!r}")
    return number


def check_between(name: str, value: Any, above: float, most: float) -> float:
    """`value` as a float; ValueError naming it unless in (above, most]."""
    number = _number(value)
    if not above < number <= most:
        raise ValueError(f"{name} must lie in ({above:g}, {most:g}], got {value!r}")
    return number


def as_reals(
    name: str, values: Any, shape: tuple[int | None, ...] | None = None, finite: bool = True,
    dtype: Any = np.float64,
) -> np.ndarray:  # fmt: skip
    """`values` as a float array; ValueError naming it if it holds something else than numbers,
    has another shape (None: any length), or, where `finite`, naming the first entry that is not.
    """
    try:
        x = np.asarray(values)
        if x.dtype.kind not in "biuf":
            raise ValueError
        x = x.astype(dtype, copy=False)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be an array of numbers, got {values!r:.80}") from None
    if shape is not None and not (
        x.ndim == len(shape)
        and all(size is None or size == n for size, n in zip(shape, x.shape, strict=True))
    ):
        wanted = ", ".join("k" if size is None else str(size) for size in shape)
        comma = "," if len(shape) == 1 else ""
        raise ValueError(f"{name} must have shape ({wanted}{comma}), got {x.shape}")
    if finite and (bad := np.argwhere(~np.isfinite(x))).size:
        at = tuple(bad[0].tolist())
        raise ValueError(f"{name}[{', '.join(map(str, at))}] = {x[at]} is not finite")
    return x


def per_row(name: str, value: Any, rows: int) -> np.ndarray:
    """A number or an array [rows], at least 0, as a contiguous array [rows]; else ValueError."""
    if np.ndim(value) == 0:
        return np.full(rows, check_positive(name, value, strict=False))
    x = as_reals(name, value, (rows,))
    if (bad := np.flatnonzero(x < 0)).size:
        raise ValueError(f"{name}[{bad[0]}] = {x[bad[0]]} must not be negative")
    return np.ascontiguousarray(x)


def _number(value: Any) -> float:
    """`value` as a float, NaN if it is none (a bool or a string is none)."""
    try:
        return math.nan if isinstance(value, bool | np.bool_ | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


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
