"""The numbers of a report as CSV, unrounded, one row an estimate or a cell."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, TextIO

from rlkit.eval.statistics import Interval
from rlkit.reports.cells import Cell
from rlkit.reports.findings import Findings
from rlkit.reports.results import scores

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
CELL_COLUMNS = (
    *("system", "setting", "task", "seed", "run", "budget", "measure", "unit"),
    *("step", "steps", "finished", "episodes", "return", "score", "commit"),
)


def csv_files(found: Findings) -> dict[str, str]:
    """File name -> text of every table."""
    interval = ("point", "low", "high")
    by_task = [
        (r.system.label, t.task, r.seeds, r.begun, *_bounds(r.mean), r.median, r.iqm, r.best)
        for t in found.tables
        for r in t.rows
    ]
    over_tasks = [
        (t.system.label, name, t.seeds, *_bounds(one), name in t.best)
        for t in found.totals
        for name, one in t.estimates.items()
    ]
    improvement = [
        (x.label, y.label, *_bounds(one.interval), one.resolved)
        for (x, y), one in found.improvement.items()
    ]
    differences = [
        (
            *(d.system.label, found.baseline.label, d.task or "", d.comparison.seeds),
            *(d.comparison.paired, *_bounds(d.comparison.difference), d.comparison.resolved),
            d.comparison.seeds_needed,
        )
        for d in found.differences
    ]
    return {
        "cells.csv": as_csv(CELL_COLUMNS, map(cell_row, found.results.cells)),
        "tasks.csv": as_csv(
            ("system", "task", "seeds", "begun", "mean", *interval[1:], "median", "iqm", "best"),
            by_task,
        ),
        "totals.csv": as_csv(
            ("system", "estimate", "seeds", *interval, "best"),
            over_tasks,
        ),
        "improvement.csv": as_csv(("system", "over", *interval, "resolved"), improvement),
        "differences.csv": as_csv(
            ("system", "baseline", "task", "seeds", "paired", *interval, "resolved", "needed"),
            differences,
        ),
    }


def cell_row(cell: Cell) -> tuple[Any, ...]:
    """A cell's values in the order of `CELL_COLUMNS`; None for what it does not have."""
    run, begun = cell.run, bool(len(cell.steps))
    scored = begun and run.reference is not None
    return (
        *(run.system.name, run.system.setting, run.task, cell.seed, run.name, run.budget),
        *(run.measure, run.unit, int(cell.steps[-1]) if begun else 0, run.steps, cell.finished),
        *(cell.episodes, cell.final if begun else None),
        float(scores([cell], True)[0]) if scored else None,
        run.versions.get("commit"),
    )


def as_csv(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV text; floats as they read back exactly, truth as 1 and 0, None as nothing."""
    text = io.StringIO()
    write_csv(text, [head])
    write_csv(text, rows)
    return text.getvalue()


def write_csv(file: TextIO, rows: Iterable[Sequence[Any]]) -> None:
    """Append rows as `as_csv` has them. Text that a spreadsheet would take for a formula gets an
    apostrophe in front; numbers are numbers, whatever their sign."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerows([_value(v) for v in row] for row in rows)


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return "" if value != value else repr(float(value))
    if isinstance(value, str):
        whole = value.replace("\r", " ")  # which the writer would take for the end of a row
        return f"'{whole}" if value.startswith(_FORMULA) else whole
    return int(value) if isinstance(value, bool) else value


def _bounds(one: Interval) -> tuple[float, float, float]:
    return one.point, one.low, one.high
