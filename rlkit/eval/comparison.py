"""Do two sets of runs differ, and if that cannot be told, how many seeds would tell?"""

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from rlkit.eval.rounding import settled
from rlkit.eval.statistics import Array, Interval
from rlkit.eval.tables import checked_level, checked_pair, warn_one_run

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
    largest = np.maximum(np.abs(a).max(0), np.abs(b).max(0))  # [M]
    scale = 2.0 ** max(0, np.frexp(largest.max())[1] - 500)  # squares stay finite
    a, b, largest = a / scale, b / scale, largest / scale
    means = a.mean(0), b.mean(0)
    difference = scale * float(settled(means[0] - means[1], *means, largest).mean())
    sought = abs(difference) if effect is None else float(effect)
    samples = [a - b] if paired else [a, b]
    seeds = min(len(s) for s in samples)
    if seeds < 2:
        warn_one_run(stacklevel=3)
        half, needed = np.nan, None
    else:
        spreads = [settled(s.std(0, ddof=1), *means, largest) for s in samples]
        runs = [len(s) for s in samples]
        half, needed = _half_width_and_need(spreads, runs, sought / scale, 0.5 + 0.5 * level, power)
        half *= scale
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
    spreads: list[Array], seeds: list[int], sought: float, tail: float, power: float
) -> tuple[float, int | None]:
    """Half width of the interval of the mean over tasks, and the runs at which `sought` would be
    found, from the standard deviations `[M]` of the sides' runs."""
    runs = np.array(seeds)[:, None]
    # Variance that one run of a task brings to the mean over tasks, and its share at these runs.
    unit = np.stack([s**2 / s.size**2 for s in spreads])  # [sides, tasks]
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
