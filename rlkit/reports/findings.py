"""The numbers of a report: by task, over tasks, against each other, each with its interval.

Means of a task carry Student's t interval over seeds, which keeps its level with few of them;
estimates over tasks carry the stratified bootstrap of `rlkit.eval.statistics`. Only finished cells
count. A system with a final return that is not finite has no mean and no place over tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri, stdtrit

from rlkit.eval import statistics
from rlkit.eval.comparison import Comparison, compare_means
from rlkit.eval.rounding import differ, tied
from rlkit.eval.statistics import Array, Interval
from rlkit.eval.tables import TooFewRunsWarning
from rlkit.reports.cells import Cell, System
from rlkit.reports.results import Results, scores

LEVEL = 0.95
DRAWN = 10  # systems in pictures and in the matrix: more can be neither read nor told apart
_MANY = 10  # runs from which on a bootstrap interval about keeps its level
ESTIMATES: dict[str, Callable[[Array], Array]] = {
    "IQM": statistics.iqm,
    "median": statistics.median,
    "mean": statistics.mean,
    "optimality gap": statistics.optimality_gap,
}
_DRAWS = 20_000_000  # of a score by a bootstrap


@dataclass(frozen=True)
class Row:
    """A system on a task."""

    system: System
    seeds: int  # finished
    begun: int
    diverged: int  # finished, but the last return is not finite
    mean: Interval
    median: float
    iqm: float
    score: Interval | None  # of the mean, between the reference returns
    best: bool  # its mean is higher than every other's, and each difference is resolved


class TaskTable(NamedTuple):
    task: str
    measure: str
    scored: bool
    rows: list[Row]


@dataclass(frozen=True)
class Total:
    """A system over all tasks, in scores."""

    system: System
    seeds: int  # runs of each task
    estimates: dict[str, Interval]
    best: frozenset[str]  # estimates in which every other system is worse, and that is resolved


class Improvement(NamedTuple):
    """Probability that a run of one system beats one of another."""

    interval: Interval
    resolved: bool


class Difference(NamedTuple):
    """A system against the baseline, on one task in returns or over all of them in scores."""

    system: System
    task: str | None
    comparison: Comparison


@dataclass(frozen=True)
class Findings:
    results: Results
    baseline: System
    drawn: list[System]
    tables: list[TaskTable]
    totals: list[Total]  # empty when a task has no reference
    reps: int  # bootstrap replicates of the totals
    improvement: Mapping[tuple[System, System], Improvement]  # of the first over the second
    differences: list[Difference]


def findings(results: Results, baseline: System | None = None) -> Findings:
    """All numbers of a report; differences are against `baseline`, by default the first system."""
    against = baseline or results.systems[0]
    drawn = leaders(results, against)
    with quietly():
        reps = affordable(len(results.cells), 10_000)
        return Findings(
            results=results,
            baseline=against,
            drawn=drawn,
            tables=[task_table(results, task) for task in results.tasks],
            totals=totals(results, reps),
            reps=reps,
            improvement=improvements(results, drawn),
            differences=differences(results, against),
        )


def affordable(scores: int, most: int) -> int:
    """Bootstrap replicates of so many scores that a reader will wait for.

    Large tables have fewer, but enough for the quantiles of a 95 % interval.
    """
    return max(500, min(most, _DRAWS // scores))


@contextmanager
def quietly() -> Iterator[None]:
    """Without warnings of one run: a report says so in words."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TooFewRunsWarning)
        yield


def mean_interval(values: Array) -> Interval:
    """Mean of `values [N]` with Student's t interval; without bounds for one value, and without a
    mean where there is none or one is not finite. `why` says which."""
    n = len(values)
    if not n:
        return Interval(np.nan, np.nan, np.nan, LEVEL, "no run has finished")
    if not np.isfinite(values).all():
        return Interval(np.nan, np.nan, np.nan, LEVEL, "the last return of a run is not finite")
    point = float(values.mean())
    if n == 1:
        return Interval(point, np.nan, np.nan, LEVEL, "one run")
    half = float(stdtrit(n - 1, 0.5 + 0.5 * LEVEL) * values.std(ddof=1) / np.sqrt(n))
    return Interval(point, point - half, point + half, LEVEL)


# --- by task --------------------------------------------------------------------------------------
def task_table(results: Results, task: str) -> TaskTable:
    """A row for each system that has begun the task."""
    scored = task in results.scored()
    finals = {s: results.finished(s, task) for s in results.systems if results.all(s, task)}
    best = _best(finals)
    rows = []
    for system, cells in finals.items():
        values = scores(cells, normalised=False)
        finite = bool(len(values)) and bool(np.isfinite(values).all())
        rows.append(
            Row(
                system=system,
                seeds=len(cells),
                begun=len(results.all(system, task)),
                diverged=int((~np.isfinite(values)).sum()),
                mean=mean_interval(values),
                median=float(np.median(values)) if finite else np.nan,
                iqm=float(statistics.iqm(values[:, None])) if finite else np.nan,
                score=mean_interval(scores(cells, normalised=True)) if scored else None,
                best=system == best,
            )
        )
    measures = list(dict.fromkeys(run.measure for run in results.of_task(task)))
    return TaskTable(task, " or ".join(measures), scored, rows)


def _best(finals: Mapping[System, list[Cell]]) -> System | None:
    """The system whose mean is above every other's, each difference resolved."""
    means = {system: float(np.mean(scores(c, False))) for system, c in finals.items() if c}
    order = sorted(
        means, key=lambda system: -means[system] if np.isfinite(means[system]) else np.inf
    )
    if len(order) < 2 or not np.isfinite(means[order[0]]):
        return None
    for other in order[1:]:
        if not np.isfinite(means[other]):
            continue  # a diverged one is no rival
        found = compare(finals[order[0]], finals[other])
        if found is None or not found.resolved:
            return None
    return order[0]


def compare(cells: Sequence[Cell], others: Sequence[Cell]) -> Comparison | None:
    """Difference of mean returns, `cells` less `others`; None when a side has no finite one.

    By pairs of the same seed where there are any.
    """
    a, b = ({c.seed: c.final for c in side if np.isfinite(c.final)} for side in (cells, others))
    if not a or not b:
        return None
    both = sorted(a.keys() & b.keys())
    paired = len(both) >= 2 or len(both) == min(len(a), len(b))
    if paired:
        left, right = [a[s] for s in both], [b[s] for s in both]
    else:
        left, right = list(a.values()), list(b.values())
    x, y = tied(np.array(left)[:, None], np.array(right)[:, None])
    with quietly():
        return compare_means(x, y, paired=paired, level=LEVEL)


def differences(results: Results, baseline: System) -> list[Difference]:
    """Every other system against the baseline: by task, then over all tasks in scores."""
    found = []
    for task in results.tasks:
        base = results.finished(baseline, task)
        for system in results.systems:
            if system != baseline:
                one = compare(results.finished(system, task), base)
                if one is not None:
                    found.append(Difference(system, task, one))
    tasks = list(results.tasks)
    if len(tasks) < 2 or len(results.scored()) < len(tasks):
        return found
    for system in results.systems:
        if system == baseline:
            continue
        seeds = _common_seeds(results, [system, baseline], tasks)
        x, y = (table(results, s, tasks, True, seeds or None) for s in (system, baseline))
        if x is not None and y is not None:
            comparison = compare_means(*tied(x, y), paired=bool(seeds), level=LEVEL)
            found.append(Difference(system, None, comparison))
    return found


# --- over tasks -----------------------------------------------------------------------------------
def table(
    results: Results,
    system: System,
    tasks: Sequence[str],
    normalised: bool,
    seeds: Sequence[int] | None = None,
) -> Array | None:
    """Final scores or returns `[N, M]` of a system; None when a task has none, or one not finite.

    Rows are the given seeds; by default those finished on all tasks, or where fewer of them are
    than the worst task has, the first of each task.
    """
    of_task = [{c.seed: c for c in results.finished(system, task)} for task in tasks]
    n = min((len(cells) for cells in of_task), default=0)
    if seeds is None:
        common = _common_seeds(results, [system], tasks)
        seeds = common if len(common) == n else None
    if not n:
        return None
    chosen = [
        [cells[s] for s in seeds] if seeds is not None else list(cells.values())[:n]
        for cells in of_task
    ]
    found = np.stack([scores(cells, normalised) for cells in chosen], axis=1)
    return found if np.isfinite(found).all() else None


def _common_seeds(results: Results, systems: Sequence[System], tasks: Sequence[str]) -> list[int]:
    """Seeds that all systems have finished on all tasks."""
    sets = [{c.seed for c in results.finished(s, task)} for s in systems for task in tasks]
    return sorted(set.intersection(*sets)) if sets else []


def totals(results: Results, reps: int) -> list[Total]:
    """A row for each system with a finished cell on every task; none without references."""
    tasks = list(results.tasks)
    if len(results.scored()) < len(tasks):
        return []
    tables = {s: t for s in results.systems if (t := table(results, s, tasks, True)) is not None}
    best = {name: _best_total(tables, name, min(reps, 1_000)) for name in ESTIMATES}
    return [
        Total(
            system,
            len(of_system),
            statistics.bootstrap_intervals(of_system, ESTIMATES, level=LEVEL, reps=reps),
            frozenset(name for name in ESTIMATES if best[name] == system),
        )
        for system, of_system in tables.items()
    ]


def _best_total(tables: Mapping[System, Array], name: str, reps: int) -> System | None:
    """The system that is better than every other in an estimate, each difference resolved.

    With few runs a bootstrap interval is too narrow: then Student's t of the mean must agree.
    """
    sign = -1.0 if name == "optimality gap" else 1.0  # less of a gap is better
    estimate = ESTIMATES[name]
    order = sorted(tables, key=lambda system: -sign * float(estimate(tables[system])))
    if len(order) < 2:
        return None
    for other in order[1:]:
        x, y = tied(tables[order[0]], tables[other])
        apart = statistics.difference_interval(x, y, estimate, level=LEVEL, reps=reps)
        runs = min(len(x), len(y))
        found = compare_means(x, y, level=LEVEL)
        size = max(1.0, float(np.abs(x).max()), float(np.abs(y).max()))
        resolved = differ(float(estimate(x)), float(estimate(y)), size) and (
            apart.low > 0 or apart.high < 0
        )
        if not resolved or (runs < _MANY and not found.resolved):
            return None
    return order[0]


def improvements(
    results: Results, systems: Sequence[System]
) -> dict[tuple[System, System], Improvement]:
    """P(a run of the first beats one of the second), mean over the tasks both have finished.

    Returns are compared within a task only, so that no references are needed. Resolved is what the
    interval and a Mann-Whitney test over the tasks agree on: two runs that both beat two others
    have an interval of no width at 1, and mean nothing.
    """
    found = {}
    for i, x in enumerate(systems):
        for y in systems[i + 1 :]:
            tasks = [t for t in results.tasks if _whole(results, x, t) and _whole(results, y, t)]
            a, b = table(results, x, tasks, False), table(results, y, tasks, False)
            if a is None or b is None:
                continue
            a, b = tied(a, b)
            work = len(systems) ** 2 * a.size * len(b)
            p = statistics.bootstrap_two_sample(a, b, level=LEVEL, reps=affordable(work, 10_000))
            resolved = (p.low > 0.5 or p.high < 0.5) and _ranks_differ(p.point, a, b)
            other = Interval(1 - p.point, 1 - p.high, 1 - p.low, p.level, p.why)
            found[x, y], found[y, x] = Improvement(p, resolved), Improvement(other, resolved)
    return found


def _ranks_differ(p: float, x: Array, y: Array) -> bool:
    """Mann-Whitney test of P(X > Y) = 1/2, mean over tasks, with the correction for continuity."""
    (n, tasks), k = x.shape, len(y)
    deviation = np.sqrt((n + k + 1) / (12 * n * k * tasks))
    return bool(abs(p - 0.5) - 0.5 / (n * k * tasks) > ndtri(0.5 + 0.5 * LEVEL) * deviation)


def _whole(results: Results, system: System, task: str) -> bool:
    cells = results.finished(system, task)
    return bool(cells) and all(np.isfinite(cell.final) for cell in cells)


def leaders(results: Results, baseline: System) -> list[System]:
    """The systems to draw, in their order: all, or the baseline and those of best mean rank."""
    if len(results.systems) <= DRAWN:
        return list(results.systems)
    ranks = np.zeros(len(results.systems))
    for task in results.tasks:
        cells = [results.finished(system, task) for system in results.systems]
        means = np.array([np.mean(scores(c, False)) if c else -np.inf for c in cells])
        ranks += np.argsort(np.argsort(-np.nan_to_num(means, nan=-np.inf), kind="stable"))
    order = [results.systems[k] for k in np.argsort(ranks, kind="stable")]
    kept = {baseline, *[system for system in order if system != baseline][: DRAWN - 1]}
    return [system for system in results.systems if system in kept]
