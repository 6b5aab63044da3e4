"""The tables of a report, before they become HTML or Markdown: text, interval, link to the runs."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from rlkit.eval.comparison import MAX_SEEDS, Comparison
from rlkit.eval.rounding import differ
from rlkit.eval.statistics import Interval
from rlkit.reports.cells import Cell, System
from rlkit.reports.findings import Difference, Findings, Row, TaskTable
from rlkit.reports.notices import version_differences
from rlkit.reports.results import RUNS, Results


class Entry(NamedTuple):
    text: str
    aside: str = ""  # interval, or a note in small type
    href: str = ""  # to the runs behind it
    strong: bool = False
    tone: str = ""  # "up" or "down" where a difference is resolved


class Sheet(NamedTuple):
    """Rows of entries; the first `names` columns are names, the others numbers."""

    key: str
    title: str
    head: tuple[str, ...]
    rows: list[tuple[Entry, ...]]
    note: str = ""
    names: int = 1


class Links:
    """References from a report to run folders, relative, so that the sweep can be moved whole."""

    def __init__(self, results: Results, report: Path) -> None:
        self.results = results
        self.root = quote(os.path.relpath(results.folder / RUNS, report).replace(os.sep, "/"))
        self.system_place = {system: i for i, system in enumerate(results.systems)}
        self.task_place = {task: i for i, task in enumerate(results.tasks)}

    def run(self, name: str) -> str:
        return f"{self.root}/{quote(name)}/"

    def anchor(self, system: System, task: str | None = None) -> str:
        """Name of the place in the report that lists the runs of a system, or of one task of it."""
        place = f"runs-{self.system_place[system]}"
        return place if task is None else f"{place}-{self.task_place[task]}"

    def to(self, system: System, task: str | None = None) -> str:
        """The run folder behind a number; where there are several, the place that lists them."""
        runs = self.results.runs(system, task)
        return self.run(runs[0].name) if len(runs) == 1 else f"#{self.anchor(system, task)}"


# --- numbers as text ------------------------------------------------------------------------------
def decimals(values: Iterable[float]) -> int:
    """Digits behind the point that suit a column."""
    size = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 or size == 0 else 3


def number(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "not finite"
    if digits > 2 and 0 < abs(value) < 0.5 * 10**-digits:
        return f"{value:.1e}".replace("-", "−")
    text = f"{value:,.{digits}f}"
    return (text[1:] if float(text.replace(",", "")) == 0 and value < 0 else text).replace("-", "−")


def last_return(cell: Cell, digits: int) -> str:
    """Of one seed, and whether more of it was to come."""
    text = number(cell.final, digits) if len(cell.returns) else "none"
    return text if cell.finished else f"{text} (unfinished)"


def bounds(interval: Interval, digits: int) -> str:
    """`[low, high]`, or nothing where there is no interval."""
    if not math.isfinite(interval.low):
        return ""
    return f"[{number(interval.low, digits)}, {number(interval.high, digits)}]"


# --- tables ---------------------------------------------------------------------------------------
def total_sheet(found: Findings, links: Links) -> Sheet:
    """Estimates over all tasks."""
    head = ("IQM", "median", "mean", "optimality gap")
    rows = [
        (
            Entry(total.system.label),
            *(
                Entry(
                    number(total.estimates[name].point, 3),
                    bounds(total.estimates[name], 3),
                    links.to(total.system),
                    name in total.best,
                )
                for name in head
            ),
            Entry(str(total.seeds), href=links.to(total.system)),
        )
        for total in found.totals
    ]
    note = (
        f"Scores: 0 and 1 are the reference returns of a task. Small: 95 % stratified bootstrap "
        f"intervals, {found.reps:,} replicates, runs drawn within each task. The optimality gap "
        "is the mean shortfall below 1; less is better. Bold: better than every other system, "
        "each difference resolved; with fewer than 10 seeds Student's t of the mean must agree."
    )
    return Sheet("totals", "Over all tasks", ("System", *head, "seeds"), rows, note)


def task_sheet(table: TaskTable, links: Links) -> Sheet:
    """One task in returns, and in scores where it has references."""
    digits = decimals(v for row in table.rows for v in (row.mean.point, row.median))
    rows = [_task_row(row, table, digits, links) for row in table.rows]
    head = ("System", f"mean {table.measure}", "median", "IQM")
    scored = ("score",) if table.scored else ()
    return Sheet(
        f"task-{links.task_place[table.task]}", table.task, (*head, *scored, "seeds"), rows
    )


def _task_row(row: Row, table: TaskTable, digits: int, links: Links) -> tuple[Entry, ...]:
    href = links.to(row.system, table.task)
    seeds = str(row.seeds) if row.seeds == row.begun else f"{row.seeds} of {row.begun}"
    last = Entry(seeds, href=href)
    if not row.seeds or row.diverged:
        why = f"{row.diverged} diverged" if row.diverged else "unfinished"
        empty = [Entry("–", href=href)] * (3 if table.scored else 2)
        return Entry(row.system.label), Entry("–", why, href), *empty, last
    points = (
        Entry(number(row.mean.point, digits), bounds(row.mean, digits), href, row.best),
        Entry(number(row.median, digits), href=href),
        Entry(number(row.iqm, digits), href=href),
    )
    score = () if row.score is None else (Entry(number(row.score.point, 3), href=href),)
    return Entry(row.system.label), *points, *score, last


def improvement_sheet(found: Findings, links: Links) -> Sheet:
    """Probability that a run of the row's system beats one of the column's."""
    systems = [s for s in found.drawn if any(pair[0] == s for pair in found.improvement)]
    rows = []
    for x in systems:
        row = [Entry(x.label)]
        for y in systems:
            one = found.improvement.get((x, y))
            if one is None:
                row.append(Entry("" if x == y else "–"))
                continue
            p = one.interval
            tone = "" if not one.resolved else "up" if p.point > 0.5 else "down"
            row.append(Entry(number(p.point, 2), bounds(p, 2), links.to(x), tone=tone))
        rows.append(tuple(row))
    note = (
        "Probability that a run of the row's system returns more than one of the column's, mean "
        "over the tasks both have finished; a tie counts half. Tinted where the 95 % interval "
        "leaves 0.5 out and a Mann-Whitney test over the tasks agrees."
    )
    if len(found.drawn) < len(found.results.systems):
        note += (
            f" The {len(found.drawn)} of {len(found.results.systems)} systems with the best mean "
            "rank, and the baseline."
        )
    head = ("beats →", *(s.label for s in systems))
    return Sheet("improvement", "Probability of improvement", head, rows, note)


def difference_sheet(found: Findings, links: Links) -> Sheet:
    """Every system against the baseline, with what it would take to tell."""
    places = {task: i for i, task in enumerate(found.results.tasks)} | {None: -1}
    ordered = sorted(
        found.differences, key=lambda d: (links.system_place[d.system], places[d.task])
    )
    rows = [_difference_row(one, links) for one in ordered]
    chance = max(1, round(0.05 * len(rows)))
    note = (
        f"Mean of the system less mean of {found.baseline.label}, with Student's t interval "
        "(95 %) over pairs of equal seeds, or over both sides' seeds where they share none. "
        "“All tasks” is in scores. The hint is the number of seeds at which a difference as large "
        "as the one seen would be resolved 8 times in 10; what was seen is itself a noisy guess. "
        f"Of {len(rows)} differences that were all nothing, about {chance} would still look "
        "resolved."
    )
    head = ("System", "task", "difference", "seeds", "verdict", "seeds to tell")
    title = f"Differences from {found.baseline.label}"
    return Sheet("differences", title, head, rows, note, names=2)


def _difference_row(one: Difference, links: Links) -> tuple[Entry, ...]:
    c = one.comparison
    interval = c.difference
    digits = 3 if one.task is None else decimals([interval.point, interval.low, interval.high])
    href = links.to(one.system, one.task)
    text = number(interval.point, digits)
    signed = f"+{text}" if interval.point > 0 else text
    word, tone = verdict(c)
    seeds = f"{c.seeds} {'pairs' if c.paired else 'a side'}".replace("1 pairs", "1 pair")
    return (
        Entry(one.system.label),
        Entry(one.task or "All tasks"),
        Entry(signed, bounds(interval, digits), href, tone=tone),
        Entry(seeds, href=href),
        Entry(word, tone=tone),
        Entry(seeds_to_tell(c)),
    )


def verdict(c: Comparison) -> tuple[str, str]:
    """A word, and the tone of a resolved difference."""
    if c.resolved:
        return ("better", "up") if c.difference.point > 0 else ("worse", "down")
    if c.seeds < 2:
        return "cannot be told", ""
    return ("alike" if _is_point(c.difference) else "not resolved"), ""


def _is_point(interval: Interval) -> bool:
    """Whether runs alike left no spread at all."""
    return not differ(interval.low, interval.high) and not math.isnan(interval.low)


def seeds_to_tell(c: Comparison) -> str:
    """The power hint: seeds a side at which the difference seen would be found."""
    if c.resolved or _is_point(c.difference):
        return ""
    if c.seeds < 2:
        return "3 or more"
    if c.seeds_needed is None:
        return f"over {MAX_SEEDS:,}"
    return f"about {c.seeds_needed:,}" if c.seeds_needed > c.seeds else "enough"


# --- configurations and versions ------------------------------------------------------------------
def _json(value: Any) -> str:
    return repr(value) if type(value) in (int, float) else json.dumps(value)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Options as text, those of a nested mapping as `outer.inner`."""
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value if type(value) is str else _json(value)
    return found


class Configuration(NamedTuple):
    common: dict[str, str]  # alike in all runs of the system
    by_task: dict[str, dict[str, str]]  # option -> task -> value, where runs differ


def configuration(
    results: Results, system: System, tasks: Iterable[str] | None = None
) -> Configuration:
    """All options of a system's runs, on some tasks or all; those that are alike told once."""
    by_task: dict[str, list[dict[str, str]]] = {}
    texts: dict[int, dict[str, str]] = {}  # of an options object, which many runs share
    for task in results.tasks if tasks is None else tasks:
        distinct = {id(r.options): r.options for r in results.runs(system, task)}
        if distinct:
            for key, options in distinct.items():
                texts[key] = texts.get(key) or flat(options)
            by_task[task] = [texts[key] for key in distinct]
    every = [options for of_task in by_task.values() for options in of_task]
    names = dict.fromkeys(name for options in every for name in options)
    common, differing = {}, {}
    for name in names:
        if len({options.get(name) for options in every}) == 1:
            common[name] = every[0][name]
        else:
            differing[name] = {
                task: " or ".join(dict.fromkeys(options.get(name, "–") for options in of_task))
                for task, of_task in by_task.items()
            }
    return Configuration(common, differing)


def versions(results: Results) -> tuple[dict[str, str], dict[str, dict[str, list[str]]]]:
    """What all runs were made with, and what differs: entry -> value -> run folders."""
    runs = list({cell.run.name: cell.run for cell in results.cells}.values())
    differing = version_differences(runs)
    common = {
        name: str(value)
        for name, value in runs[0].versions.items()
        if name not in differing and value is not None
    }
    return common, differing
