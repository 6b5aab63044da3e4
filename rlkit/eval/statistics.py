"""Statistics of scores over runs and tasks: estimates and their bootstrap intervals.

Scores are arrays `[runs, tasks]` (one task: `scores[:, None]`), curves are `[runs, tasks, time]`.
Every estimate maps `[..., runs, tasks]` to `[...]`, so that one call serves all replicates of a
bootstrap at once; a function of one's own is used the same way.  Random draws come from the
generator or seed passed as `rng`: the same seed gives the same interval.

Source: Agarwal et al., "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(2021).  Percentile intervals are too narrow for few runs: simulated on Gaussian scores, the 95 %
interval of the mean over 5 tasks covers 0.92 at 10 runs, 0.90 at 5, 0.85 at 3 and 0.76 at 2 (one
task: 0.92, 0.83, 0.76 and 0.50).  `rlkit.eval.comparison` uses Student's t, which keeps its level.
Scores that differ by rounding alone (`rlkit.eval.rounding`) are equal to every comparison.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlkit.eval.rounding import ROUNDING, above, settled
from rlkit.eval.tables import batched, checked, checked_draws, checked_pair, numbers, warn_one_run

Array = np.ndarray[Any, np.dtype[Any]]
Rng = np.random.Generator | int

# Elements drawn at once: a few MB, which stays near the cache and bounds memory at any table size.
CHUNK = 2**18
# Up to this many pairs of runs are compared directly; beyond it, sorting is cheaper.
PAIRS_AT_ONCE = 4096


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; where there is none the bounds are NaN and `why` says why."""

    point: float
    low: float
    high: float
    level: float = 0.95
    why: str = "one run"

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.point:.4g} [no interval: {self.why}]"
        return f"{self.point:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Band:
    """An estimate `[K]` with its pointwise interval, for instance along time or thresholds."""

    point: Array
    low: Array
    high: Array
    level: float = 0.95
    why: str = "one run"

    def __len__(self) -> int:
        return len(self.point)

    def __getitem__(self, k: int) -> Interval:
        point, low, high = float(self.point[k]), float(self.low[k]), float(self.high[k])
        return Interval(point, low, high, self.level, self.why)

    def __str__(self) -> str:
        return "\n".join(str(self[k]) for k in range(len(self)))


# --- estimates: [..., runs, tasks] -> [...] -------------------------------------------------------


def mean(scores: Array) -> Array:
    """Mean over tasks of the mean over runs."""
    return batched(scores).mean((-2, -1))


def median(scores: Array) -> Array:
    """Median over tasks of the mean over runs."""
    return np.median(batched(scores).mean(-2), -1)


def iqm(scores: Array) -> Array:
    """Interquartile mean: the mean of all scores without the lowest and highest quarter.

    Of `n` scores `floor(n / 4)` are cut on each side.
    """
    scores = batched(scores)
    flat = scores.reshape(*scores.shape[:-2], -1)
    cut = flat.shape[-1] // 4
    if cut:
        flat = np.partition(flat, (cut, flat.shape[-1] - cut - 1), axis=-1)
        flat = flat[..., cut : flat.shape[-1] - cut]
    return flat.mean(-1)


def optimality_gap(scores: Array, target: float = 1.0) -> Array:
    """Mean shortfall below `target`; scores above it count as `target`."""
    return target - mean(np.minimum(batched(scores), target))


def probability_of_improvement(x: Array, y: Array) -> Array:
    """Probability that a run of `x [..., N, M]` beats one of `y [..., K, M]`; a tie counts half.

    Mean over tasks of the Mann-Whitney statistic U / (N K).
    """
    x, y = batched(x, "x"), batched(y, "y")
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"x has {x.shape[-1]} tasks but y has {y.shape[-1]}; pass the same tasks")
    n, k = x.shape[-2], y.shape[-2]
    if n * k <= PAIRS_AT_ONCE:
        a, b = x[..., :, None, :], y[..., None, :, :]
        wins, losses = above(a, b).sum((-3, -2)), above(b, a).sum((-3, -2))
        return 0.5 + 0.5 * (wins - losses).mean(-1) / (n * k)
    # Many runs: count by sorting, which needs no [N, K] table.
    columns_x = np.moveaxis(x, -2, -1).reshape(-1, n)
    columns_y = np.sort(np.moveaxis(y, -2, -1).reshape(-1, k), axis=-1)
    u = np.empty(len(columns_x))
    for i, (a, b) in enumerate(zip(columns_x, columns_y, strict=True)):
        tie = ROUNDING * np.abs(a)
        u[i] = 0.5 * (np.searchsorted(b, a - tie) + np.searchsorted(b, a + tie, "right")).sum()
    return u.reshape(*x.shape[:-2], x.shape[-1]).mean(-1) / (n * k)


def performance_profile(scores: Array, taus: Array) -> Array:
    """Share of all runs with a score above each threshold: `[..., N, M]`, `[T]` -> `[..., T]`."""
    scores = batched(scores)
    flat = scores.reshape(*scores.shape[:-2], -1)
    return above(flat[..., None, :], _thresholds(taus)).mean(-1)


def average_score_profile(scores: Array, taus: Array) -> Array:
    """Share of tasks with a mean score above each threshold: `[..., N, M]`, `[T]` -> `[..., T]`."""
    return above(batched(scores).mean(-2)[..., None, :], _thresholds(taus)).mean(-1)


def _thresholds(taus: Array) -> Array:
    table = numbers(taus, "taus")
    if table.ndim != 1 or not table.size:
        raise ValueError(f"taus must be a non-empty [T] array, got {table.shape}")
    return table[:, None]


def time_average(curve: Array, time: Array) -> Array:
    """Area under `curve [..., T]` divided by the span of `time [T]`: the mean height."""
    time = np.asarray(time, float)
    if len(time) == 1:
        return curve[..., 0]
    return np.trapezoid(curve, time, axis=-1) / (time[-1] - time[0])


# --- bootstrap intervals --------------------------------------------------------------------------


def bootstrap_interval(
    scores: Array,
    statistic: Callable[[Array], Array] = iqm,
    *,
    level: float = 0.95,
    reps: int = 50_000,
    task_bootstrap: bool = False,
    rng: Rng = 0,
) -> Interval:
    """Stratified percentile interval of `statistic` on `scores [N, M]`.

    Every replicate draws N runs with replacement for each task independently.  `task_bootstrap`
    draws the tasks too, which asks about new tasks of the same kind rather than these ones.  One
    run gives no interval and a `TooFewRunsWarning`.  Raises ValueError for scores that are not a
    finite `[runs, tasks]` table, and for `level`, `reps` or `rng` that are none.
    """
    reps = checked_draws(level, reps, rng)
    table = checked(scores, 2, "scores")
    draws = _replicates(statistic, [table], reps, rng, task_bootstrap=task_bootstrap)
    return _interval(statistic(table), draws, level)


def bootstrap_intervals(
    scores: Array,
    statistics: Mapping[str, Callable[[Array], Array]],
    *,
    level: float = 0.95,
    reps: int = 50_000,
    rng: Rng = 0,
) -> dict[str, Interval]:
    """`bootstrap_interval` of several statistics on the same draws, which are made once."""
    reps = checked_draws(level, reps, rng)
    table = checked(scores, 2, "scores")

    def every(tables: Array) -> Array:
        return np.stack([statistic(tables) for statistic in statistics.values()], -1)

    band = _band(every(table), _replicates(every, [table], reps, rng), level)
    return {name: band[k] for k, name in enumerate(statistics)}


def bootstrap_two_sample(
    x: Array,
    y: Array,
    statistic: Callable[[Array, Array], Array] = probability_of_improvement,
    *,
    paired: bool = False,
    level: float = 0.95,
    reps: int = 50_000,
    task_bootstrap: bool = False,
    rng: Rng = 0,
) -> Interval:
    """Stratified percentile interval of `statistic(x, y)` on tables `[N, M]` and `[K, M]`.

    Runs of the two sides are drawn independently, or together when `paired` (row k of both tables
    has the same seed).  Tasks, when drawn, are the same ones for both.
    """
    reps = checked_draws(level, reps, rng)
    tables = checked_pair(x, y, paired)
    draws = _replicates(
        statistic,
        tables,
        reps,
        rng,
        task_bootstrap=task_bootstrap,
        paired=paired,
        work=min(len(tables[0]) * len(tables[1]), PAIRS_AT_ONCE),
    )
    return _interval(statistic(*tables), draws, level)


def difference_interval(
    x: Array,
    y: Array,
    statistic: Callable[[Array], Array] = iqm,
    *,
    paired: bool = False,
    level: float = 0.95,
    reps: int = 50_000,
    task_bootstrap: bool = False,
    rng: Rng = 0,
) -> Interval:
    """Interval of `statistic(x) - statistic(y)`; see `bootstrap_two_sample`.

    With `paired` the noise that a seed brings to both sides cancels. The IQM cuts a quarter of all
    runs, rounded down: it differs a little between equal laws where the numbers of runs do.
    """
    reps = checked_draws(level, reps, rng)
    largest = np.max([np.abs(table).max() for table in checked_pair(x, y, paired)])

    def difference(a: Array, b: Array) -> Array:
        of_a, of_b = np.asarray(statistic(a)), np.asarray(statistic(b))
        return settled(of_a - of_b, of_a, of_b, largest)

    return bootstrap_two_sample(
        x,
        y,
        difference,
        paired=paired,
        level=level,
        reps=reps,
        task_bootstrap=task_bootstrap,
        rng=rng,
    )


def profile_band(
    scores: Array,
    taus: Array,
    profile: Callable[[Array, Array], Array] = performance_profile,
    *,
    level: float = 0.95,
    reps: int = 2_000,
    rng: Rng = 0,
) -> Band:
    """`profile` of `scores [N, M]` at thresholds `taus [T]`, with pointwise intervals."""
    reps = checked_draws(level, reps, rng)
    table = checked(scores, 2, "scores")
    taus = np.asarray(taus, float)
    if taus.ndim != 1 or not taus.size or np.isnan(taus).any():
        raise ValueError(f"taus must be a list of thresholds without NaN, got shape {taus.shape}")
    draws = _replicates(lambda s: profile(s, taus), [table], reps, rng, work=len(taus))
    return _band(profile(table, taus), draws, level)


def curve_band(
    curves: Array,
    statistic: Callable[[Array], Array] = iqm,
    *,
    level: float = 0.95,
    reps: int = 2_000,
    task_bootstrap: bool = False,
    rng: Rng = 0,
) -> Band:
    """`statistic` of `curves [N, M, T]` at every time, with pointwise intervals `[T]`."""
    reps = checked_draws(level, reps, rng)
    table = checked(curves, 3, "curves")
    draws = _replicates(statistic, [table], reps, rng, task_bootstrap=task_bootstrap)
    return _band(statistic(np.moveaxis(table, -1, 0)), draws, level)


def curve_interval(
    curves: Array,
    over_time: Callable[[Array], Array],
    statistic: Callable[[Array], Array] = iqm,
    *,
    level: float = 0.95,
    reps: int = 2_000,
    task_bootstrap: bool = False,
    rng: Rng = 0,
) -> Interval:
    """Interval of `over_time(aggregate curve)`, for instance its `time_average`.

    `over_time` maps `[..., T]` to `[...]`.  A replicate draws whole runs, one for all time points,
    because time points of one run are not independent.
    """
    reps = checked_draws(level, reps, rng)
    table = checked(curves, 3, "curves")
    draws = _replicates(statistic, [table], reps, rng, task_bootstrap=task_bootstrap)
    point = over_time(statistic(np.moveaxis(table, -1, 0)))
    return _interval(point, over_time(draws), level)


# --- the draws and the checks ---------------------------------------------------------------------


def _replicates(
    statistic: Callable[..., Array],
    tables: list[Array],
    reps: int,
    rng: Rng,
    *,
    task_bootstrap: bool = False,
    paired: bool = False,
    work: int = 1,
) -> Array:
    """`statistic` of resampled tables `[N, M]` or `[N, M, T]`: replicates `[reps, ...]`.

    A single NaN replicate where one run a task leaves nothing to resample.  `work` is what the
    statistic spends a score, so that chunks stay small.
    """
    rng = np.random.default_rng(rng)
    tasks = tables[0].shape[1]
    time_first = [np.moveaxis(t, 2, 0) if t.ndim == 3 else t for t in tables]  # [T, N, M] | [N, M]
    if min(len(t) for t in tables) < 2 and not (task_bootstrap and tasks > 1):
        warn_one_run(stacklevel=4)
        return np.full((1, *np.shape(statistic(*time_first))), np.nan)
    flat = [t.reshape(*t.shape[:-2], -1) for t in time_first]
    chunk = max(1, CHUNK // (work * max(t.size for t in tables)))
    replicates = []
    for start in range(0, reps, chunk):
        c = min(chunk, reps - start)
        task = rng.integers(tasks, size=(c, 1, tasks)) if task_bootstrap else np.arange(tasks)
        drawn: list[Array] = []
        for table, scores in zip(tables, flat, strict=True):
            if not (drawn and paired):
                entry = rng.integers(len(table), size=(c, len(table), tasks))
                entry *= tasks
                entry += task
            drawn.append(scores.take(entry, axis=-1))  # [T, c, N, M] | [c, N, M]
        value = np.asarray(statistic(*drawn))
        lead = drawn[0].shape[:-2]
        if value.shape[: len(lead)] != lead:
            raise ValueError(
                f"a statistic must map [..., runs, tasks] to [...], here {drawn[0].shape} to "
                f"{lead}, but it returned {value.shape}; reduce the last two axes only"
            )
        replicates.append(np.moveaxis(value, 0, -1) if len(lead) == 2 else value)
    return np.concatenate(replicates)


def _interval(point: Array, draws: Array, level: float) -> Interval:
    band = _band(point, draws, level)
    return Interval(float(band.point), float(band.low), float(band.high), level, band.why)


def _band(point: Array, draws: Array, level: float) -> Band:
    tail = 0.5 - 0.5 * level
    low, high = np.quantile(draws, (tail, 1 - tail), axis=0)
    named = len(draws) > 1 and np.isnan(low).any()
    why = "the statistic is not a number on resampled runs" if named else "one run"
    return Band(np.asarray(point), low, high, level, why)
