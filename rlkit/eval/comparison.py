"""Do two sets of runs differ, and if that cannot be told, how many seeds would tell?"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from rlkit.eval.rounding import rounding
from rlkit.eval.statistics import (
    Array,
    Interval,
    checked_level,
    checked_pair,
    mean,
    warn_one_run,
)

MAX_SEEDS = 1000  # more is called "even 1000 would not do"


@dataclass(frozen=True)
class Comparison:
    """Difference of means `x - y`, and whether the runs at hand can tell it from zero.

    `seeds_needed` is per side, the number at which a difference of `effect` would be found with
    probability `power`; None where one run gives no spread or `MAX_SEEDS` are not enough.
    """

    difference: Interval
    resolved: bool
    seeds: int
    seeds_needed: int | None
    effect: float
    effect_is_observed: bool
    paired: bool

    def __str__(self) -> str:
        kind = "paired seed" if self.paired else "seed a side"
        if self.seeds > 1:
            kind = kind.replace("seed", "seeds")
        found = f"difference {self.difference} with {self.seeds} {kind}"
        if self.resolved:
            return f"resolved: {found}"
        if self.seeds < 2:
            return f"too few seeds to tell: {found}; run at least 3"
        if self.difference.low == self.difference.high:
            return f"no difference: {found}, all runs alike"
        if max(abs(self.difference.low), abs(self.difference.high)) < self.effect:
            return f"no difference as large as {self.effect:.4g}: {found}"
        if self.seeds_needed is None:
            need = f"even {MAX_SEEDS} would not do"
        elif self.seeds_needed > self.seeds:
            need = f"about {self.seeds_needed} would do"
        else:
            return f"not resolved, though the seeds suffice to find {self.effect:.4g}: {found}"
        if self.effect_is_observed:
            return f"too few seeds to tell: {found}; {need} if it is as large as it looks"
        return f"too few seeds to tell: {found}; {need} to find a difference of {self.effect:.4g}"


def compare_means(
    x: Array,
    y: Array,
    *,
    paired: bool = False,
    effect: float | None = None,
    level: float = 0.95,
    power: float = 0.8,
) -> Comparison:
    """Whether the means of `x [N, M]` and `y [K, M]` differ, else how many seeds would tell.

    Student's t over seeds, stratified by task, with Welch-Satterthwaite degrees of freedom.  With
    `paired`, row k of both tables has the same seed and their differences are the sample.
    `effect` is the smallest difference worth finding, in units of the score; by default the one
    observed, which is a noisy guess.  Raises ValueError for tables that do not fit.
    """
    checked_level(level)
    checked_level(power)
    a, b = checked_pair(x, y, paired)
    if effect is not None and not (np.isfinite(effect) and effect > 0):
        raise ValueError(f"effect must be a positive difference of scores, got {effect}")
    least = rounding(a, b)  # what is smaller is rounding: no difference, no spread
    difference = float(mean(a) - mean(b))
    if abs(difference) <= least:
        difference = 0.0
    sought = abs(difference) if effect is None else float(effect)
    samples = [a - b] if paired else [a, b]
    seeds = min(len(s) for s in samples)
    if seeds < 2:
        warn_one_run(stacklevel=3)
        half, needed = np.nan, None
    else:
        half, needed = _half_width_and_need(samples, sought, 0.5 + 0.5 * level, power, least)
    low, high = difference - half, difference + half
    why = "the spread of the runs is not finite" if seeds > 1 and np.isnan(low) else "one run"
    return Comparison(
        difference=Interval(difference, low, high, level, why),
        resolved=bool(low > 0 or high < 0),
        seeds=seeds,
        seeds_needed=needed,
        effect=sought,
        effect_is_observed=effect is None,
        paired=paired,
    )


def _half_width_and_need(
    samples: list[Array], sought: float, tail: float, power: float, least: float
) -> tuple[float, int | None]:
    """Half width of the interval of the mean, and the runs at which `sought` would be found.

    Spread up to `least` is none.
    """
    runs = np.array([[len(s)] for s in samples])
    # Variance that one run of a task brings to the mean over tasks, and its share at these runs.
    unit = np.stack([s.var(0, ddof=1) / s.shape[1] ** 2 for s in samples])  # [sides, tasks]
    unit[np.sqrt(unit) <= least] = 0.0
    if not unit.any():  # runs that do not vary at all
        return 0.0, 2
    share = unit / runs
    dof = share.sum() ** 2 / (share**2 / (runs - 1)).sum()
    half = float(stdtrit(dof, tail) * np.sqrt(share.sum()))
    n = np.arange(2, MAX_SEEDS + 1)
    dof_n = (n - 1) * unit.sum() ** 2 / (unit**2).sum()
    found_at = (stdtrit(dof_n, tail) + stdtrit(dof_n, power)) * np.sqrt(unit.sum() / n)
    enough = np.flatnonzero(found_at <= sought)
    return half, int(n[enough[0]]) if enough.size else None
