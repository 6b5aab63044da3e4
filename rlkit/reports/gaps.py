"""The table of generalisation gaps of a sweep: training levels against levels never trained on."""

from __future__ import annotations

import numpy as np

from rlkit.eval import records
from rlkit.reports.cells import TRAINED_LEVELS, Cell, evaluations
from rlkit.reports.findings import Findings, mean_interval
from rlkit.reports.results import RUNS, Results
from rlkit.reports.sheets import Entry, Links, Sheet, bounds, decimals, number

_NOTE = (
    "Mean return of the last evaluation on the levels that were trained on, on validation levels, "
    "and the first less the second, with Student's t intervals (95 %) over finished seeds."
)


def gap_sheet(found: Findings, links: Links) -> Sheet:
    """A row for each system and task whose runs have a pool of levels; none without one."""
    rows = []
    for system in found.results.systems:
        for task in found.results.tasks:
            pairs = [
                (trained, cell.final)
                for cell in found.results.finished(system, task)
                if (trained := _on_training_levels(found.results, cell)) is not None
            ]
            if not pairs:
                continue
            train, other = np.array(pairs).T
            digits = decimals([*train, *other])
            intervals = [mean_interval(values) for values in (train, other, train - other)]
            rows.append(
                (
                    Entry(system.label),
                    Entry(task),
                    *(
                        Entry(
                            number(one.point, digits), bounds(one, digits), links.to(system, task)
                        )
                        for one in intervals
                    ),
                    Entry(str(len(pairs))),
                )
            )
    head = ("System", "task", "training levels", "validation levels", "gap", "seeds")
    return Sheet("gaps", "Generalisation gap", head, rows, _NOTE if rows else "", names=2)


def _on_training_levels(results: Results, cell: Cell) -> float | None:
    path = results.folder / RUNS / cell.run.name / TRAINED_LEVELS
    if not path.exists():
        return None
    curve = evaluations(records.read_episodes(path)).get(cell.lane)
    return None if curve is None else float(curve[1][-1])
