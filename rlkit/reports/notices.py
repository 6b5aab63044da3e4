"""What a reader must know before believing a report: too few seeds, holes, unlike runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlkit.reports.cells import Run
from rlkit.reports.results import Results

# How often a 95 % bootstrap interval of one task holds the truth, by runs (`eval.statistics`).
COVERAGE = {2: 50, 3: 76, 4: 79, 5: 83}
_NAMED = 4  # things named before "and 7 more"
# Entries of versions.json that may move a digit.
_DECISIVE = ("python", "torch", "numpy", "gymnasium", "mujoco", "minigrid", "stable-baselines3")


def notices(results: Results) -> list[str]:
    """Plain sentences, the weightiest first; none when there is nothing to warn of."""
    return [
        *_holes(results),
        *_seeds(results),
        *_scores(results),
        *_unlike(results),
    ]


def _holes(results: Results) -> list[str]:
    found = []
    if results.damaged:
        found.append(
            f"Cannot be read, and in no table: "
            f"{counted(len(results.damaged), 'run folder')}, "
            f"{_names([f'{name} ({why})' for name, why in results.damaged])}. "
            "Of a folder that is deleted rlkit sweep makes the run again."
        )
    if results.unfinished:
        where = dict.fromkeys(f"{c.run.system.label} on {c.run.task}" for c in results.unfinished)
        found.append(
            f"Unfinished and in no table or curve: {len(results.unfinished):,} of "
            f"{len(results.cells):,} cells, of {_names(list(where))}."
        )
    missing = [
        f"{system.label} on {task}"
        for system in results.systems
        for task in results.tasks
        if not results.all(system, task) and results.asked(system, task)
    ]
    if missing:
        found.append(f"There is no run of {_names(missing)}.")
    seeds = {cell.seed for cell in results.cells}
    some = [
        f"seed {seed} of {system.label} on {task}"
        for system in results.systems
        for task in results.tasks
        if (cells := results.all(system, task))
        for seed in sorted(seeds - {cell.seed for cell in cells})
    ]
    if some:
        found.append(f"Seeds that others have and that have no run here: {_names(some)}.")
    diverged = [
        f"{c.run.system.label} on {c.run.task}, seed {c.seed}"
        for c in results.cells
        if c.finished and not np.isfinite(c.final)
    ]
    if diverged:
        found.append(
            f"The last return is not finite of {_names(diverged)}; such a system has no mean there "
            "and no place over tasks."
        )
    if results.repeated:
        found.append(
            f"In more than one run folder: {counted(len(results.repeated), 'cell')}; the finished "
            f"or longest is taken, not {_names([c.run.name for c in results.repeated])}."
        )
    return found


def _seeds(results: Results) -> list[str]:
    counts = {
        (system, task): len(cells)
        for system in results.systems
        for task in results.tasks
        if (cells := results.finished(system, task))
    }
    found = []
    single = [f"{system.label} on {task}" for (system, task), n in counts.items() if n == 1]
    if single:
        what = "Every number rests" if len(single) == len(counts) else f"{_names(single)} rest"
        found.append(
            f"{what} on one seed: there is no interval, and nothing can be told about chance. Run "
            "at least 3 seeds, better 5 or more."
        )
    few = [n for n in counts.values() if 2 <= n <= 5]
    if few:
        least = min(few)
        found.append(
            f"With {least} seeds a task the bootstrap intervals (of curves, profiles and estimates "
            f"over tasks) mean little: of one task they hold the truth about {COVERAGE[least]} "
            "times in 100, not 95. Student's t, used for means by task and for differences, keeps "
            "its level" + (", at the price of very wide intervals." if least == 2 else ".")
        )
    uneven = {
        system.label
        for system in results.systems
        if len({counts[system, t] for t in results.tasks if (system, t) in counts}) > 1
    }
    if uneven:
        found.append(
            f"On some tasks more seeds are finished than on others of {_names(sorted(uneven))}; "
            "estimates over tasks use as many of each as the worst task has."
        )
    return found


def _scores(results: Results) -> list[str]:
    scored = results.scored()
    without = [task for task in results.tasks if task not in scored]
    if not without:
        return []
    unlike = [task for task in without if results.reference(task) is not None]
    why = f"Runs disagree about the reference returns of {_names(unlike)}" if unlike else ""
    lack = [task for task in without if task not in unlike]
    none = f"There are no reference returns for {_names(lack)}" if lack else ""
    reasons = "; ".join(text for text in (none, why) if text)
    return [
        f"{reasons}: raw returns of different tasks cannot be averaged, so there is no estimate "
        "over tasks."
    ]


def _unlike(results: Results) -> list[str]:
    found = []
    lengths = {task: sorted({r.steps for r in results.of_task(task)}) for task in results.tasks}
    uneven = [
        f"{task} ({' and '.join(f'{n:,}' for n in steps)})"
        for task, steps in lengths.items()
        if len(steps) > 1
    ]
    if uneven:
        found.append(f"Runs of different length are side by side: {_names(uneven)} steps.")
    measures = [t for t in results.tasks if len({r.measure for r in results.of_task(t)}) > 1]
    if measures:
        found.append(f"Systems are measured differently on {_names(measures)}.")
    budgets = sorted({cell.run.budget for cell in results.cells})
    if len(budgets) > 1:
        found.append(f"Runs of the budgets {_names(budgets)} are mixed.")
    differing = version_differences([cell.run for cell in results.cells])
    decisive = [name for name in differing if name in (*_DECISIVE, "commit")]
    if decisive:
        found.append(
            f"Runs were not all made with the same {_names(decisive)}; see the versions below."
        )
    hardware = [name for name in ("processor", "device") if name in differing]
    if hardware:
        found.append(f"Runs were made on more than one {_names(hardware)}.")
    return found


def version_differences(runs: Sequence[Run]) -> dict[str, dict[str, list[str]]]:
    """Entry of versions.json -> value -> run folders, for entries in which runs differ."""
    folders = {run.name: run.versions for run in runs}
    distinct = {id(v): v for v in folders.values()}
    names = dict.fromkeys(name for versions in distinct.values() for name in versions)
    found: dict[str, dict[str, list[str]]] = {}
    for name in names:
        if len({str(versions.get(name)) for versions in distinct.values()}) < 2:
            continue
        by_value: dict[str, list[str]] = {}
        for folder, versions in folders.items():
            by_value.setdefault(_said(versions.get(name)), []).append(folder)
        found[name] = by_value
    return found


def _said(value: Any) -> str:
    return "not recorded" if value is None else str(value)


def counted(n: int, what: str) -> str:
    """`1 system`, `7 systems`."""
    return f"{n} {what}{'' if n == 1 else 's'}"


def _names(names: Sequence[str]) -> str:
    """`a, b and c`, or the first few `and 7 more`."""
    if len(names) > _NAMED + 1:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
