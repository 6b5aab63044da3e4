"""Everything a sweep has come to, from its run folders alone, as one compact table."""

from __future__ import annotations

import os
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from rlkit.core.errors import FileError, RunError, UsageError, WrongPathError
from rlkit.core.words.nearest import suggestion
from rlkit.eval.records import Array
from rlkit.eval.rounding import alike
from rlkit.reports import cache
from rlkit.reports.cells import CARD, VERSIONS, Cell, Run, Shared, System, read_run

RUNS, SWEEP_FILE = "runs", "sweep.toml"
_UNLIKE: Literal["unlike"] = "unlike"
_LONGEST = 240  # letters of what is wrong with a folder
# Readers name what is wrong in a ValueError; what they have not thought of must not end a report.
_UNREADABLE = (ValueError, ArithmeticError, LookupError, TypeError, RecursionError, MemoryError)


@dataclass(frozen=True)
class Results:
    """The cells of a sweep, each once, in the order of its systems, tasks and seeds."""

    folder: Path
    cells: tuple[Cell, ...]
    damaged: tuple[tuple[str, str], ...]  # run folder, what is wrong with it
    repeated: tuple[Cell, ...]  # left out: another run folder has the same cell, further on
    systems: tuple[System, ...]
    tasks: tuple[str, ...]
    only: Mapping[str, list[str]]  # tasks of a system whose sweep file names them

    @cached_property
    def _index(self) -> dict[tuple[System, str], list[Cell]]:
        index: dict[tuple[System, str], list[Cell]] = defaultdict(list)
        for cell in self.cells:
            index[cell.run.system, cell.run.task].append(cell)
        return dict(index)

    def all(self, system: System, task: str) -> list[Cell]:
        """Cells of a system on a task, finished or not, by seed."""
        return self._index.get((system, task), [])

    def asked(self, system: System, task: str) -> bool:
        """Whether the sweep file wants the system on the task."""
        return task in self.only.get(system.name, self.tasks)

    def finished(self, system: System, task: str) -> list[Cell]:
        """Finished cells of a system on a task, by seed."""
        return [cell for cell in self.all(system, task) if cell.finished]

    def runs(self, system: System, task: str | None = None) -> list[Run]:
        """Run folders that a number of a system, on one task or all, rests on."""
        tasks = self.tasks if task is None else (task,)
        found = {cell.run.name: cell.run for t in tasks for cell in self.all(system, t)}
        return list(found.values())

    def of_task(self, task: str) -> list[Run]:
        """All run folders of a task."""
        return [run for system in self.systems for run in self.runs(system, task)]

    @property
    def unfinished(self) -> list[Cell]:
        return [cell for cell in self.cells if not cell.finished]

    @property
    def name(self) -> str:
        return self.cells[0].run.sweep

    def scored(self) -> list[str]:
        """Tasks whose runs all have the same two reference returns."""
        return [task for task in self.tasks if self.reference(task) not in (None, _UNLIKE)]

    def reference(self, task: str) -> tuple[float, float] | Literal["unlike"] | None:
        """The two reference returns of a task; None without, "unlike" where its runs disagree."""
        found = {run.reference for run in self.of_task(task)}
        known = [pair for pair in found if pair is not None]
        if not known:
            return None
        agree = len(known) == len(found) and all(alike(ends) for ends in zip(*known, strict=True))
        return known[0] if agree else _UNLIKE

    def find(self, name: str) -> System:
        """The system with this label, or the only one with this name; else UsageError."""
        labels = {system.label: system for system in self.systems}
        named = [system for system in self.systems if system.name == name]
        if name in labels:
            return labels[name]
        if len(named) == 1:
            return named[0]
        if named:
            known = ", ".join(repr(system.label) for system in named)
            raise UsageError(f"{name!r} has {len(named)} configurations; choose one of {known}")
        raise UsageError(f"no system {name!r} in {self.folder}{suggestion(name, labels)}")


def scores(cells: Iterable[Cell], normalised: bool) -> Array:
    """Final returns `[N]` of cells, or their scores between the reference returns."""
    found = [
        (cell.final - cell.run.reference[0]) / (cell.run.reference[1] - cell.run.reference[0])
        if normalised and cell.run.reference is not None
        else cell.final
        for cell in cells
    ]
    return np.array(found, float)


def read(folder: str | Path, remember: bool = True) -> Results:
    """All cells under `folder/runs`; a run folder that cannot be read is named in `damaged`.

    `remember` keeps what was read beside the runs and reads only what has changed since.
    Raises RunError when `folder` is no sweep's folder or nothing in it can be read.
    """
    folder = Path(folder)
    try:
        with os.scandir(folder / RUNS) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        raise WrongPathError(f"{folder} is not the folder of a sweep: it has no {RUNS}/") from None
    except OSError as error:
        raise RunError(f"{folder / RUNS} cannot be read: {error.strerror}") from None
    before = cache.load(folder / cache.NAME) if remember else {}
    shared = Shared()
    known = {
        name: one
        for name in names
        if (one := _known(folder / RUNS / name, before.get(name), shared)) is not None
    }
    kept = {name: one for name, one in known.items() if one.key}
    if remember and (len(kept) != len(before) or any(kept[n] is not before.get(n) for n in kept)):
        cache.save(folder / cache.NAME, kept)
    damaged = [
        (name if name.isprintable() else ascii(name), one.damage)
        for name, one in known.items()
        if one.damage is not None
    ]
    found = [cell for one in known.values() for cell in one.cells]
    if not found:
        why = f": {damaged[0][0]}: {damaged[0][1]}" if damaged else " yet"
        raise RunError(f"no run under {folder / RUNS} can be reported{why}")
    text = _sweep_file(folder)
    systems, tasks = _orders(text, found)
    place = (
        {system: i for i, system in enumerate(systems)},
        {task: i for i, task in enumerate(tasks)},
    )

    def order(cell: Cell) -> tuple[Any, ...]:
        last = int(cell.steps[-1]) if len(cell.steps) else -1
        where = place[0][cell.run.system], place[1][cell.run.task], cell.seed
        return *where, not cell.finished, -last, cell.run.name

    cells: list[Cell] = []
    repeated: list[Cell] = []
    for cell in sorted(found, key=order):
        same = cells and order(cells[-1])[:3] == order(cell)[:3]
        (repeated if same else cells).append(cell)
    only = {
        name: one["tasks"]
        for name, one in _table(text, "systems").items()
        if isinstance(one, dict) and isinstance(one.get("tasks"), list)
    }
    return Results(
        folder, tuple(cells), tuple(damaged), tuple(repeated), tuple(systems), tuple(tasks), only
    )


def _known(folder: Path, before: cache.Known | None, shared: Shared) -> cache.Known | None:
    """What there is to know of a run folder; None of one that has not been begun."""
    if not folder.name.isprintable():
        return cache.Known((), "its name cannot be printed", [])
    key = cache.key(folder)
    if before is not None and before.key == key:
        return before
    try:
        if not (folder / CARD).exists() and all(map(_is_of_a_start, os.listdir(folder))):
            return None
        return cache.Known(key, None, read_run(folder, shared))
    except FileError as error:
        refused = isinstance(error.__cause__ or error.__context__, OSError)
        return cache.Known(() if refused else key, _told(error, folder), [])
    except OSError as error:  # not remembered: it may pass without a trace in the files
        name = Path(os.fsdecode(error.filename or folder)).name
        return cache.Known((), f"{name} cannot be read: {error.strerror or error}", [])
    except _UNREADABLE as error:
        return cache.Known(key, _told(error, folder), [])


def _told(error: Exception, folder: Path) -> str:
    """What is wrong with a run folder, without the way there."""
    text = " ".join(str(error).split()).replace(f"{folder}{os.sep}", "")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _is_of_a_start(name: str) -> bool:
    """Whether a file is one that stands in a run folder before its run has begun."""
    return name in (".lock", ".step", VERSIONS) or (name[:1] == "." and name.endswith(".tmp"))


def _sweep_file(folder: Path) -> dict[str, Any]:
    """The copy of the sweep file; empty without a readable one."""
    try:
        return tomllib.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}


def _table(text: dict[str, Any], name: str) -> dict[str, Any]:
    found = text.get(name)
    return found if isinstance(found, dict) else {}


def _orders(text: dict[str, Any], cells: list[Cell]) -> tuple[list[System], list[str]]:
    """Systems and tasks as the sweep file lists them; by name where it does not."""
    first = [list(_table(text, name)) for name in ("systems", "tasks")]

    def place(name: str, listed: list[str]) -> tuple[int, str]:
        return (listed.index(name) if name in listed else len(listed)), name

    systems = {cell.run.system for cell in cells}
    tasks = {cell.run.task for cell in cells}
    return (
        sorted(systems, key=lambda s: (place(s.name, first[0]), _setting_order(s))),
        sorted(tasks, key=lambda t: place(t, first[1])),
    )


def _setting_order(system: System) -> list[tuple[str, bool, float, str]]:
    """Numbers by size, other values by their text."""
    return [
        (
            name,
            not isinstance(value, int | float),
            value if isinstance(value, int | float) else 0.0,
            str(value),
        )
        for name, value in system.configuration.items()
    ]
