"""Intervals of an off-policy estimate from its values row by row.

  t          Student t; right for many rows and weights of finite variance
  bootstrap  percentiles over resampled rows (`rlkit.eval.statistics`)
  bernstein  empirical Bernstein bound, Maurer & Pontil 2009: holds at any number of rows for values
             in a known range, and is wide
Heavy weights break the first two: with a handful of effective rows (`overlap`) the large weights
that were not drawn are missing from estimate and interval alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from rlkit.envs.bandits.counts import whole

if TYPE_CHECKING:
    from rlkit.eval.statistics import Interval

METHODS = ("t", "bootstrap", "bernstein")


def half_width(values: np.ndarray, level: float = 0.95) -> float:
    """Half the width of Student's interval of the mean of values [n]; infinite for one row."""
    from rlkit.eval.tables import checked_level

    n, level = len(values), checked_level(level)
    if n < 2:
        return np.inf
    return float(stdtrit(n - 1, 0.5 + 0.5 * level) * values.std(ddof=1) / np.sqrt(n))


def bernstein_half_width(values: np.ndarray, width: float, level: float = 0.95) -> float:
    """Half width of the two-sided empirical Bernstein interval for values in a range of `width`.

    sqrt(2 var ln(4 / d) / n) + 7 width ln(4 / d) / (3 (n - 1)), d = 1 - level.
    """
    from rlkit.eval.tables import checked_level

    n, log = len(values), np.log(4.0 / (1.0 - checked_level(level)))
    if n < 2:
        return np.inf
    spread = np.sqrt(2.0 * values.var(ddof=1) * log / n)
    return float(spread + 7.0 * width * log / (3.0 * (n - 1)))


def interval(
    values: np.ndarray,
    method: str = "t",
    *,
    level: float = 0.95,
    width: float | None = None,
    reps: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean of values [n] with its interval.

    `width` is the range that single values can span, which `bernstein` needs and only the user
    knows: for ips with rewards in [0, 1], the largest weight that any row could have. Raises
    ValueError for values that are not finite, naming the row.
    """
    from rlkit.eval.statistics import Interval, bootstrap_interval, mean
    from rlkit.eval.tables import checked_level

    checked_level(level)
    reps = whole("reps", reps)
    point = float(values.mean())
    if not np.isfinite(point):
        row = int(np.flatnonzero(~np.isfinite(values))[0]) if len(values) else 0
        raise ValueError(f"the value of row {row} is not a finite number: there is no estimate")
    if method == "bootstrap" and len(values) > 1:
        return bootstrap_interval(values[:, None], mean, level=level, reps=reps, rng=seed)
    if method in ("t", "bootstrap"):
        half = half_width(values, level)
    elif method == "bernstein":
        if width is None or not width > 0:
            raise ValueError("bernstein needs width, the range that the value of a row can span")
        if np.ptp(values) > width:
            raise ValueError(f"values span {np.ptp(values):.4g}, more than the width {width:.4g}")
        half = bernstein_half_width(values, width, level)
    else:
        raise ValueError(f"method is {method!r}; choose one of {', '.join(METHODS)}")
    if not np.isfinite(half):
        why = "one row" if len(values) < 2 else "the spread of the values is not finite"
        return Interval(point, np.nan, np.nan, level, why)
    return Interval(point, point - half, point + half, level)
