"""Two sweeps, or one sweep at two commits: what moved, what did not, what else differs.

Cells are matched by system, configuration, task and seed. Where both sides have finished a seed it
is a pair, so that what the seed brings to both cancels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rlkit.core.errors import RunError
from rlkit.eval.comparison import Comparison
from rlkit.reports.cells import Cell, System
from rlkit.reports.findings import compare
from rlkit.reports.formats.markdown import plain, table
from rlkit.reports.formats.plain_text import text_table
from rlkit.reports.formats.tables import as_csv
from rlkit.reports.report import write_whole
from rlkit.reports.results import Results, scores
from rlkit.reports.sheets import (
    Entry,
    Sheet,
    bounds,
    configuration,
    decimals,
    number,
    seeds_to_tell,
    verdict,
)

NAMES = "A", "B"
_COLUMNS = (
    *("system", "task", "seeds", "paired", "a", "b", "difference", "low", "high"),
    *("resolved", "identical", "diverged_a", "diverged_b"),
)


class Move(NamedTuple):
    """A system on a task, on both sides; the difference is B less A."""

    system: System
    task: str
    means: tuple[float, float]  # of the finished seeds compared
    comparison: Comparison | None  # None when a side has no finite return
    identical: bool  # every evaluation of every common seed, to the last digit
    diverged: tuple[int, int]  # seeds whose last return is not finite


@dataclass(frozen=True)
class Changes:
    """What there is to say of two sweeps."""

    sides: tuple[Results, Results]
    moves: list[Move]
    only: tuple[list[str], list[str]]  # cells that one side alone has finished
    options: list[tuple[str, str, str, str, str]]  # system, task, option, value in A, in B
    versions: list[tuple[str, str, str]]  # entry, values in A, in B

    @property
    def moved(self) -> list[Move]:
        return [m for m in self.moves if m.comparison and m.comparison.resolved]


def changes(a: Results, b: Results) -> Changes:
    """Everything that differs between two sweeps. Raises RunError when they share no cell."""
    groups = [(s, t) for s in a.systems for t in a.tasks if a.all(s, t)]
    shared = [(s, t) for s, t in groups if b.all(s, t)]
    if not shared:
        raise RunError(
            f"{a.folder} and {b.folder} share no system on a task: {_few(a)} against {_few(b)}"
        )
    moves = [m for s, t in shared if (m := _move(s, t, a.finished(s, t), b.finished(s, t)))]
    return Changes(
        (a, b), sorted(moves, key=_order), (_only(a, b), _only(b, a)), _options(a, b, shared),
        _versions(a, b),
    )  # fmt: skip


def _move(system: System, task: str, a: list[Cell], b: list[Cell]) -> Move | None:
    """None when a side has finished nothing."""
    if not a or not b:
        return None
    other = {cell.seed: cell for cell in b}
    pairs = [(cell, other[cell.seed]) for cell in a if cell.seed in other]
    sides = ([x for x, _ in pairs], [y for _, y in pairs]) if pairs else (a, b)
    identical = bool(pairs) and all(
        np.array_equal(x.steps, y.steps) and np.array_equal(x.returns, y.returns, equal_nan=True)
        for x, y in pairs
    )
    finals = [scores(side, normalised=False) for side in sides]
    diverged = [int((~np.isfinite(values)).sum()) for values in finals]
    return Move(
        system,
        task,
        (float(finals[0].mean()), float(finals[1].mean())),
        compare(sides[1], sides[0]),
        identical,
        (diverged[0], diverged[1]),
    )


def _order(move: Move) -> tuple[bool, bool, bool, float]:
    """Diverged first, then resolved ones, the most certain first; identical ones last."""
    c = move.comparison
    if c is None:
        return False, False, False, 0.0
    half = 0.5 * (c.difference.high - c.difference.low)
    sure = abs(c.difference.point) / half if half > 0 else np.inf if c.resolved else 0.0
    apart = move.diverged[0] != move.diverged[1]
    return move.identical, not apart, not c.resolved, -float(np.nan_to_num(sure, posinf=1e300))


def _only(a: Results, b: Results) -> list[str]:
    """Cells finished in `a` and not in `b`, a line for each system and task."""
    found = []
    for system in a.systems:
        for task in a.tasks:
            there = {cell.seed for cell in b.finished(system, task)}
            seeds = [c.seed for c in a.finished(system, task) if c.seed not in there]
            if seeds:
                word = "seed" if len(seeds) == 1 else "seeds"
                found.append(f"{system.label} on {task}: {word} {', '.join(map(str, seeds))}")
    return found


def _options(
    a: Results, b: Results, shared: list[tuple[System, str]]
) -> list[tuple[str, str, str, str, str]]:
    """Options that differ, told once where they do so on every shared task of a system."""
    found = []
    for system in dict.fromkeys(system for system, _ in shared):
        tasks = [task for s, task in shared if s == system]
        by_task = {task: [_values(side, system, task) for side in (a, b)] for task in tasks}
        differing: dict[tuple[str, str, str], list[str]] = {}
        for task, (left, right) in by_task.items():
            for name in dict.fromkeys([*left, *right]):
                x, y = left.get(name, "–"), right.get(name, "–")
                if x != y:
                    differing.setdefault((name, x, y), []).append(task)
        for (name, x, y), where in differing.items():
            at = ["all its tasks"] if len(where) == len(tasks) > 1 else where
            found += [(system.label, task, name, x, y) for task in at]
    return found


def _values(results: Results, system: System, task: str) -> dict[str, str]:
    common, differing = configuration(results, system, (task,))
    return common | {name: values[task] for name, values in differing.items()}


def _versions(a: Results, b: Results) -> list[tuple[str, str, str]]:
    said = []
    for side in (a, b):
        distinct = {id(c.run.versions): c.run.versions for c in side.cells}.values()
        said.append({
            name: " or ".join(dict.fromkeys(str(v.get(name, "–")) for v in distinct))
            for name in dict.fromkeys(name for v in distinct for name in v)
        })  # fmt: skip
    left, right = said
    names = dict.fromkeys([*left, *right])
    pairs = ((name, left.get(name, "–"), right.get(name, "–")) for name in names)
    return [(name, x, y) for name, x, y in pairs if x != y]


def _few(results: Results) -> str:
    labels = [system.label for system in results.systems]
    more = f" and {len(labels) - 4} more" if len(labels) > 4 else ""
    return f"{', '.join(labels[:4])}{more}"


# --- what is written ------------------------------------------------------------------------------
def move_sheet(found: Changes) -> Sheet:
    """A row for each system and task both sides have finished; identical ones are counted only."""
    rows = []
    for move in found.moves:
        if move.identical:
            continue
        c = move.comparison
        digits = decimals(move.means)
        means = [Entry(number(value, digits)) for value in move.means]
        if c is None:
            rest = [Entry("–"), Entry("–"), Entry(_diverged(move)), Entry("")]
        else:
            word, tone = verdict(c)
            text = number(c.difference.point, digits)
            signed = f"+{text}" if c.difference.point > 0 else text
            word = "; ".join(filter(None, (word, _diverged(move))))
            seeds = f"{c.seeds} {'paired' if c.paired else 'a side'}"
            rest = [
                Entry(signed, bounds(c.difference, digits), tone=tone),
                Entry(seeds),
                Entry(word, tone=tone),
                Entry(seeds_to_tell(c)),
            ]
        rows.append((Entry(move.system.label), Entry(move.task), *means, *rest))
    head = ("system", "task", *NAMES, "B − A", "seeds", "verdict", "seeds to tell")
    return Sheet("moves", "What moved", head, rows, names=2)


def _diverged(move: Move) -> str:
    a, b = move.diverged
    return f"diverged: {a} in A, {b} in B" if a or b else ""


def sentences(found: Changes) -> list[str]:
    """What the table says in words, and what it leaves out."""
    identical = sum(move.identical for move in found.moves)
    tried = len(found.moves) - identical
    text = [f"{len(found.moved)} of {len(found.moves)} moved, resolved at 95 %."]
    if identical:
        text.append(f"Identical to the last digit of every evaluation: {identical}.")
    if tried:
        text.append(
            f"Of {tried} that were nothing but chance, about {max(1, round(0.05 * tried))} would "
            "still look resolved."
        )
    if not all(move.comparison is None or move.comparison.paired for move in found.moves):
        text.append("Where the sides share no seed, their means are compared unpaired.")
    for side, results in zip(NAMES, found.sides, strict=True):
        if results.unfinished:
            text.append(f"Left out of {side}: {len(results.unfinished)} unfinished cells.")
        if results.damaged:
            text.append(f"Left out of {side}: {len(results.damaged)} damaged run folders.")
    return text


def as_text(found: Changes) -> str:
    """For a terminal."""
    out = [f"{name}  {side.folder}" for name, side in zip(NAMES, found.sides, strict=True)]
    sheet = move_sheet(found)
    if sheet.rows:
        out += ["", text_table(sheet)]
    out += ["", *sentences(found)]
    for title, lines in _rest(found):
        out += ["", f"{title}:", *(f"  {line}" for line in lines)]
    return "\n".join(out)


def as_markdown(found: Changes) -> str:
    """For a pull request."""
    a, b = (plain(str(side.folder)) for side in found.sides)
    out = ["# What moved", f"A: {a}, B: {b}"]
    sheet = move_sheet(found)
    if sheet.rows:
        out.append(table(sheet))
    out.append(" ".join(sentences(found)))
    for title, lines in _rest(found):
        out += [f"## {title}", "\n".join(f"- {plain(line)}" for line in lines)]
    return "\n\n".join(out) + "\n"


def _rest(found: Changes) -> list[tuple[str, list[str]]]:
    """Headed lists of what is not a number."""
    options = [f"{s}, {t}: {name} {x} → {y}" for s, t, name, x, y in found.options]
    versions = [f"{name} {x} → {y}" for name, x, y in found.versions]
    lists = [
        ("Options that differ (A → B)", options),
        ("Versions that differ (A → B)", versions),
        *((f"Finished in {name} only", o) for name, o in zip(NAMES, found.only, strict=True)),
    ]
    return [(title, lines) for title, lines in lists if lines]


def write_comparison(found: Changes, out: Path) -> list[Path]:
    """`compare.md` and `compare.csv` in folder `out`."""
    rows = []
    for m in found.moves:
        c = m.comparison
        row: tuple[Any, ...] = (None,) * 8
        if c is not None:
            d = c.difference
            row = (c.seeds, c.paired, *m.means, d.point, d.low, d.high, c.resolved)
        rows.append((m.system.label, m.task, *row, m.identical, *m.diverged))
    return [
        write_whole(out / "compare.md", as_markdown(found)),
        write_whole(out / "compare.csv", as_csv(_COLUMNS, rows)),
    ]
