"""Curves of a report: sample efficiency by task and over tasks, and performance profiles.

A band draws whole runs, never a new one at each time (`statistics.curve_band`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rlkit.eval import statistics
from rlkit.eval.rounding import differ
from rlkit.eval.statistics import Array, Band
from rlkit.reports.cells import Cell, System
from rlkit.reports.findings import LEVEL, affordable, quietly, table
from rlkit.reports.results import Results

_REPS = 2_000  # at most
_POINTS = 100  # of a line
_GRID = 50  # of a line over all tasks, which costs more


class Line(NamedTuple):
    system: System
    x: Array  # [T]
    y: Band  # [T]; without bounds for one run
    seeds: int
    single: Array | None = None  # [S, T] of the seeds, drawn thin


class Picture(NamedTuple):
    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    task: str | None = None
    marks: tuple[tuple[float, str], ...] = ()  # heights to mark, and what they are


def task_pictures(results: Results, systems: Sequence[System]) -> list[Picture]:
    """Mean return along training, a picture for each task and unit of its steps."""
    found = []
    for task in results.tasks:
        by_unit: dict[str, list[Line]] = {}
        runs = {run.system: run for run in results.of_task(task)}
        for system in systems:
            line = _line(system, results.finished(system, task))
            if line is not None:
                by_unit.setdefault(runs[system].unit, []).append(line)
        for unit, lines in by_unit.items():
            some = runs[lines[0].system]
            marks = (
                tuple(zip(some.reference, ("score 0", "score 1"), strict=True))
                if some.reference
                else ()
            )
            y_label = f"mean {some.measure}"
            found.append(Picture(task, unit, y_label, lines, task, marks))
    return found


def _line(system: System, cells: list[Cell]) -> Line | None:
    """The mean over seeds at the steps they share; None for fewer than two of them."""
    if not cells:
        return None
    steps = _shared_steps(cells)
    curves = np.stack([c.returns[np.searchsorted(c.steps, steps)] for c in cells])  # [N, T]
    whole = np.isfinite(curves).all(0)
    steps, curves = steps[whole], curves[:, whole]
    if len(steps) < 2:
        return None
    some = _some(len(steps), _POINTS)
    steps, curves = steps[some], curves[:, some]
    with quietly():
        band = statistics.curve_band(curves[:, None], statistics.mean, level=LEVEL, reps=_REPS)
    return Line(system, steps, _without_bounds_for_one(band), len(cells))


def total_picture(results: Results, systems: Sequence[System]) -> Picture | None:
    """IQM of scores over all tasks along training; None without references or evaluations.

    Against steps where all tasks run equally long, else against the share of the training.
    """
    tasks = list(results.tasks)
    if len(tasks) < 2 or len(results.scored()) < len(tasks):
        return None
    kept = [s for s in systems if table(results, s, tasks, True) is not None]
    cells = {s: [results.finished(s, task) for task in tasks] for s in kept}
    every = [c for of_system in cells.values() for of_task in of_system for c in of_task]
    if not every or min(len(c.steps) for c in every) < 2:
        return None
    if not all(np.isfinite(c.returns).all() for c in every):
        return None
    wanted, units = {c.run.steps for c in every}, {c.run.unit for c in every}
    alike = len(wanted) == 1 and len(units) == 1
    scale = float(next(iter(wanted))) if alike else 1.0
    shared = _shared_steps(every) if alike else np.empty(0)
    if len(shared) >= 2:
        x = shared[_some(len(shared), _GRID)] / scale
    else:
        x = np.linspace(max(c.steps[0] / c.run.steps for c in every), 1.0, _GRID)
    lines = []
    for system, of_tasks in cells.items():
        n = min(map(len, of_tasks))
        curves = np.stack(
            [[_score_curve(c, x) for c in of_task[:n]] for of_task in of_tasks], axis=1
        )
        with quietly():
            reps = affordable(len(cells) * curves.size, _REPS)
            band = statistics.curve_band(curves, statistics.iqm, level=LEVEL, reps=reps)
        lines.append(Line(system, x * scale, _without_bounds_for_one(band), n))
    label = next(iter(units)) if alike else "Share of the training"
    return Picture("All tasks", label, "IQM of scores", lines)


def profile_picture(results: Results, systems: Sequence[System]) -> Picture | None:
    """Share of runs above each score; None without references."""
    tasks = list(results.tasks)
    if len(results.scored()) < len(tasks):
        return None
    tables = {s: t for s in systems if (t := table(results, s, tasks, True)) is not None}
    if not tables:
        return None
    low = min(float(t.min()) for t in tables.values())
    high = max(float(t.max()) for t in tables.values())
    pad = 0.03 * (high - low if differ(low, high) else abs(high) or 1.0)
    taus = np.linspace(low - pad, high + pad, 121)
    lines = []
    for system, of_system in tables.items():
        with quietly():
            reps = affordable(of_system.size * len(taus), _REPS)
            band = statistics.profile_band(of_system, taus, level=LEVEL, reps=reps)
        lines.append(Line(system, taus, _without_bounds_for_one(band), len(of_system)))
    return Picture("Performance profile", "Score τ", "runs with a score above τ", lines)


def _shared_steps(cells: Sequence[Cell]) -> Array:
    steps = cells[0].steps
    for cell in cells[1:]:
        if not np.array_equal(cell.steps, steps):
            steps = np.intersect1d(steps, cell.steps, assume_unique=True)
    return steps


def _some(count: int, most: int) -> Array:
    """Places of at most `most` of so many points, evenly, with the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))


def _score_curve(cell: Cell, share: Array) -> Array:
    """Scores of a cell at shares of its training, straight between evaluations."""
    assert cell.run.reference is not None  # the caller has looked
    low, high = cell.run.reference
    return (np.interp(share, cell.steps / cell.run.steps, cell.returns) - low) / (high - low)


def _without_bounds_for_one(band: Band) -> Band:
    """A single run's bounds are one NaN, not one a time: made as long as the line."""
    bounds = [np.broadcast_to(b, band.point.shape) for b in (band.low, band.high)]
    return Band(band.point, bounds[0], bounds[1], band.level)
