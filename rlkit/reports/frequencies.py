"""The table of scores over frequencies of deciding, of a sweep whose runs were evaluated so."""

from __future__ import annotations

import numpy as np

from rlkit.eval.frequency import frequency_score, mean_over_frequencies, read, scale
from rlkit.reports.cells import FREQUENCIES
from rlkit.reports.findings import Findings, mean_interval
from rlkit.reports.results import RUNS
from rlkit.reports.sheets import Entry, Links, Sheet, bounds, decimals, number

_NOTE = (
    "Policies that decide once in L steps, L = 1, 2, 4 .. 30: the mean return over L, and the "
    "frequency-averaged score (FAS, at most 29/30; tasks of its paper alone), with Student's t "
    "intervals (95 %) over finished seeds."
)


def frequency_sheet(found: Findings, links: Links) -> Sheet:
    """A row for each system and task whose runs were evaluated at several frequencies."""
    rows = []
    for system in found.results.systems:
        for task in found.results.tasks:
            curves = []
            for cell in found.results.finished(system, task):
                folder = found.results.folder / RUNS / cell.run.name
                curves.append(read(folder / FREQUENCIES).get(cell.lane))
            held = [curve for curve in curves if curve]
            if not held:
                continue
            returns = {n: np.array([curve[n] for curve in held]) for n in held[0]}
            entries = [_entry(mean_over_frequencies(returns), links.to(system, task))]
            known = scale(task)
            if known is None:
                entries.append(Entry("-"))
            else:
                entries.append(_entry(frequency_score(returns, *known), links.to(system, task)))
            rows.append((Entry(system.label), Entry(task), *entries, Entry(str(len(held)))))
    head = ("System", "task", "mean return over frequencies", "FAS", "seeds")
    title = "Scores over frequencies"
    return Sheet("frequencies", title, head, rows, _NOTE if rows else "", names=2)


def _entry(values: np.ndarray, link: str) -> Entry:
    one, digits = mean_interval(values), decimals([*values])
    return Entry(number(one.point, digits), bounds(one, digits), link)
