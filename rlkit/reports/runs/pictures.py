"""Pictures of runs: returns and losses along training, and every episode of the last evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rlkit.eval import statistics
from rlkit.eval.statistics import Array, Band
from rlkit.reports.curves import Line, Picture
from rlkit.reports.findings import quietly
from rlkit.reports.formats import charts
from rlkit.reports.runs.facts import Facts

_REPS = 1_000  # of a band over seeds
_ROWS = 24  # of the picture of episodes
_FIRST = ("train_return", "train_length")  # of the metrics
_LEFT_OUT = ("train_episodes",)
_NAMES = {
    "train_return": "return of training episodes",
    "train_length": "length of training episodes",
}


def returns(runs: Sequence[Facts]) -> list[Picture]:
    """Mean return of the evaluations, one picture for each task and unit."""
    groups: dict[tuple[str, str], list[Facts]] = {}
    for run in runs:
        groups.setdefault((run.task, run.unit), []).append(run)
    found = []
    for (task, unit), group in groups.items():
        lines = [line for run in group if (line := _line(run, *run.returns())) is not None]
        if not lines:
            continue
        marks = []
        if len(group) == 1 or len({run.behaviour for run in group}) == 1:
            one = group[0]
            marks += [(one.behaviour, "the data's policy")] if one.behaviour is not None else []
            if one.reference is not None:
                marks += list(zip(one.reference[:2], ("score 0", "score 1"), strict=True))
        found.append(Picture(task, unit, "mean return", lines, task, tuple(marks)))
    return found


def metrics(runs: Sequence[Facts]) -> list[Picture]:
    """Losses and what else was recorded, one picture a name: those of training episodes first,
    then losses."""
    names = dict.fromkeys(name for run in runs for name in run.metrics)
    order = sorted(
        (name for name in names if name not in _LEFT_OUT),
        key=lambda name: (name not in _FIRST, "loss" not in name),
    )
    found = []
    for name in order:
        by_unit: dict[str, list[Line]] = {}
        for run in runs:
            line = _line(run, *run.metrics[name]) if name in run.metrics else None
            if line is not None:
                by_unit.setdefault(run.unit, []).append(line)
        for unit, lines in by_unit.items():
            found.append(Picture(_NAMES.get(name, name), unit, "", lines))
    return found


def _line(run: Facts, steps: Array, values: Array) -> Line | None:
    """The mean over seeds with its band, and each seed; None for fewer than two points."""
    sound = np.isfinite(values).all(1)
    if sound.any() and not sound.all() and np.isfinite(values).any(0).all():
        values = values[sound]  # a lane that was lost does not end the others' line
    whole = np.isfinite(values).all(0)
    steps, values = steps[whole], values[:, whole]
    if len(steps) < 2 or not np.abs(values).max() < np.finfo(np.float32).max:
        return None
    if len(values) == 1:
        nothing = np.full(len(steps), np.nan)
        return Line(run.system, steps, Band(values[0], nothing, nothing, 0.95), 1)
    with quietly():
        band = statistics.curve_band(values[:, None], statistics.mean, reps=_REPS)
    return Line(run.system, steps, band, len(values), values)


def episodes(runs: Sequence[Facts]) -> str:
    """Returns of every episode of the last evaluation, a row for each seed; empty without any."""
    alone = len(runs) == 1
    rows = []
    for number, run in enumerate(runs):
        for lane, seed in enumerate(run.seeds):
            values = run.last_returns(lane)
            if np.isfinite(values).any():
                label = f"seed {seed}" if alone else f"{run.system.name} · {seed}"
                rows.append((label, values, number))
    if not rows:
        return ""
    title = "Every episode of the last evaluation"
    if len(rows) > _ROWS:
        title += f" ({_ROWS} of {len(rows)} seeds)"
    return charts.strips(title, rows[:_ROWS], "return")
