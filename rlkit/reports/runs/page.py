"""The page of a run, or of several side by side, as HTML that needs nothing besides itself."""

from __future__ import annotations

import base64
import math
import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from rlkit.core.errors import UsageError
from rlkit.eval.comparison import compare_means
from rlkit.eval.statistics import Interval
from rlkit.reports.findings import mean_interval, quietly
from rlkit.reports.formats import charts
from rlkit.reports.formats.page import document, figures, legend, plain, table
from rlkit.reports.report import write_whole
from rlkit.reports.runs import facts, pictures
from rlkit.reports.runs.facts import Facts
from rlkit.reports.sheets import Entry, Sheet, bounds, decimals, number, seeds_to_tell, verdict
from rlkit.run.clips.video import FOLDER

_Place = str | os.PathLike[str]
PAGE = "report.html"
_EMBEDDED = 16 << 20  # bytes of clips that a page holds; more are linked
_KINDS = {".mp4": "video/mp4", ".gif": "image/gif", ".png": "image/png"}
_FEW = 5  # seeds below which a notice says so


class Written(NamedTuple):
    """A page of runs that was written."""

    page: Path
    notices: list[str]


def write_page(folders: Sequence[_Place], out: _Place | None = None) -> Written:
    """Write the page of some run folders: to `out` (a folder, or a file that ends in .html), by
    default `report.html` in the run folder, of several runs beside the first."""
    runs = read_all(folders)
    first = runs[0].folder
    path = Path(out) if out is not None else (first if len(runs) == 1 else first.parent) / PAGE
    if path.suffix != ".html":
        path = path / PAGE
    return Written(write_whole(path, page(runs, path.parent)), notices(runs))


def read_all(folders: Sequence[_Place]) -> list[Facts]:
    """The facts of run folders, each under a name of its own."""
    if not folders:
        raise UsageError("which runs? give one or more run folders")
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise UsageError(f"a run is given twice: {', '.join(names)}")
    return [facts.read(folder, name) for folder, name in zip(folders, names, strict=True)]


def page(runs: Sequence[Facts], place: Path) -> str:
    """The whole page, of links that hold in the folder `place`."""
    numbers = {run.system: k for k, run in enumerate(runs)}
    several = legend([run.system for run in runs]) if len(runs) > 1 else ""

    def drawn(of: Iterable[pictures.Picture]) -> str:
        return figures(charts.lines(picture, numbers) for picture in of)

    curves, episodes = pictures.returns(runs), pictures.episodes(runs)
    body = table(_results(runs))
    if len(runs) > 1 and (apart := _differences(runs)) is not None:
        body += f"<h3>{escape(apart.title)}</h3>" + table(apart)
    sections = [("results", "Results", body)]
    if curves or episodes:
        shown = [charts.lines(picture, numbers) for picture in curves]
        shown += [episodes] if episodes else []
        note = (
            '<p class="note">Line: mean over seeds, with a 95 % bootstrap band; thin: single '
            "seeds. Of the last evaluation every episode is a point, the stroke their mean.</p>"
        )
        sections.append(("evaluation", "Evaluation", several + figures(shown) + note))
    if metrics := pictures.metrics(runs):
        sections.append(("losses", "Losses and training", several + drawn(metrics)))
    if any(run.clips for run in runs):
        sections.append(("clips", "Clips", _clips(runs, place)))
    options = _side_by_side("Option", runs, [run.options for run in runs])
    sections.append(("configurations", "Configuration", options))
    made_with = _side_by_side("Entry", runs, [run.versions for run in runs])
    sections.append(("versions", "Versions and hardware", made_with))
    sections.append(("folder", "Folder", _folders(runs)))
    return document(_title(runs), _summary(runs), notices(runs), sections)


def notices(runs: Sequence[Facts]) -> list[str]:
    """What keeps the numbers from meaning what they seem to."""
    found = []
    for run in runs:
        who = f"{run.system.name}: " if len(runs) > 1 else ""
        if not run.finished:
            found.append(
                f"{who}{run.step:,} of {run.total:,} {run.unit.lower()} are recorded: this is not "
                "the end."
            )
        if not len(run.episodes):
            found.append(f"{who}nothing has been evaluated.")
        elif len(run.seeds) == 1:
            found.append(f"{who}one seed: chance between seeds cannot be told.")
        elif len(run.seeds) < _FEW:
            found.append(f"{who}{len(run.seeds)} seeds: intervals over them are rough.")
        for lane, step in run.diverged.items():
            found.append(f"{who}seed {run.seeds[lane]} was no longer finite at step {step:,}.")
        found += [f"{who}{text}" for text in run.problems]
    if len({(run.task, run.unit) for run in runs}) > 1:
        found.append("The runs are not on one task: their returns do not compare.")
    return found


def _title(runs: Sequence[Facts]) -> str:
    names = dict.fromkeys(run.algo.rpartition(".")[2] for run in runs)
    tasks = dict.fromkeys(run.task for run in runs)
    return f"{' and '.join(names)} on {' and '.join(tasks)}"


def _summary(runs: Sequence[Facts]) -> str:
    if len(runs) > 1:
        return f"{len(runs)} runs side by side: {', '.join(run.system.name for run in runs)}"
    (run,) = runs
    seeds = "1 seed" if len(run.seeds) == 1 else f"{len(run.seeds)} seeds"
    state = f"{run.step:,}" if run.finished else f"{run.step:,} of {run.total:,}"
    took = f"; {_lasting(run.seconds)} since its last start" if math.isfinite(run.seconds) else ""
    engine = f", {run.engine}" if run.engine else ""
    return f"{run.system.name}: {seeds}, {state} {run.unit.lower()}{engine}{took}"


def _lasting(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# --- results --------------------------------------------------------------------------------------
def _results(runs: Sequence[Facts]) -> Sheet:
    """The last evaluation of every seed, and the mean over seeds."""
    digits = decimals(v for run in runs for v in run.returns()[1].reshape(-1))
    scored = all(run.reference is not None for run in runs)
    head = ("Run", "seed", "return", *(("score",) if scored else ()), "episodes", "best evaluation")
    rows = []
    for run in runs:
        steps, means = run.returns()
        for lane, seed in enumerate(run.seeds):
            values = run.last_returns(lane)
            if not len(values):
                continue
            row = _row(run, f"{seed}", mean_interval(values), digits, scored)
            best = np.where(np.isfinite(means[lane]), means[lane], -np.inf)
            at = int(best.argmax())
            told = number(float(means[lane][at]), digits)
            rows.append((*row, Entry(str(len(values))), Entry(told, f"at {steps[at]:,}")))
        if len(run.seeds) > 1 and means.shape[1]:
            final = means[:, -1]
            row = _row(run, f"all {len(run.seeds)}", mean_interval(final), digits, scored, True)
            rows.append((*row, Entry(""), Entry("")))
        if run.behaviour is not None:
            alone = Interval(run.behaviour, math.nan, math.nan)
            rows.append((*_row(run, "the data", alone, digits, scored), Entry(""), Entry("")))
    name = runs[0].reference[2] if scored and runs[0].reference else ""
    note = (
        "Mean return of the last evaluation. Small: Student's t intervals (95 %), of a seed over "
        "its episodes, of all over the seeds."
    )
    note += f" Score: {name}." if name else ""
    if len(runs) == 1:  # the page says which
        return Sheet("results", "Results", head[1:], [row[1:] for row in rows], note)
    return Sheet("results", "Results", head, rows, note, names=2)


def _row(
    run: Facts, who: str, interval: Interval, digits: int, scored: bool, strong: bool = False
) -> tuple[Entry, ...]:
    value = number(interval.point, digits)
    row = (
        Entry(run.system.name),
        Entry(who),
        Entry(value, bounds(interval, digits), strong=strong),
    )
    if not scored or run.reference is None:
        return row
    low, high, _ = run.reference
    score = (interval.point - low) / (high - low) if high != low else math.nan
    return (*row, Entry(number(score, 3)))


def _differences(runs: Sequence[Facts]) -> Sheet | None:
    """Every run against the first, where they are on one task."""
    first = runs[0]
    a = first.returns()[1][:, -1:]
    rows: list[tuple[Entry, ...]] = []
    for run in runs[1:]:
        b = run.returns()[1][:, -1:]
        if (run.task, run.unit) != (first.task, first.unit) or not a.size or not b.size:
            continue
        if not (np.isfinite(a).all() and np.isfinite(b).all()):
            continue
        with quietly():
            found = compare_means(b, a)
        digits = decimals([found.difference.point, found.difference.low, found.difference.high])
        text = number(found.difference.point, digits)
        signed = f"+{text}" if found.difference.point > 0 else text
        word, tone = verdict(found)
        rows.append(
            (
                Entry(run.system.name),
                Entry(signed, bounds(found.difference, digits), tone=tone),
                Entry(str(found.seeds)),
                Entry(word, tone=tone),
                Entry(seeds_to_tell(found)),
            )
        )
    if not rows:
        return None
    head = ("Run", "difference", "seeds a side", "verdict", "seeds to tell")
    note = "Of mean returns of the last evaluations, with Student's t intervals (95 %) over seeds."
    return Sheet("differences", f"Differences from {first.system.name}", head, rows, note)


# --- clips ----------------------------------------------------------------------------------------
def _clips(runs: Sequence[Facts], place: Path) -> str:
    """Films, the newest of each run first; those a page has no room for are linked."""
    room, out = _EMBEDDED, []
    for run in runs:
        for clip in reversed(run.clips):
            path = run.folder / FOLDER / clip["file"]
            kind = _KINDS.get(path.suffix)
            if kind is None:
                continue
            size = path.stat().st_size
            words = f"{clip['file']}: seed {clip['seed']}, step {clip['step']:,}. {_shown(clip)}"
            caption = f"<figcaption>{escape(_named(run, runs) + words)}</figcaption>"
            if size > room:
                href = quote(os.path.relpath(path, place).replace(os.sep, "/"))
                out.append(f'<p class="note"><a href="{href}">{escape(words)}</a></p>')
                continue
            room -= size
            source = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
            shown = (
                f'<video controls muted loop playsinline src="{source}"></video>'
                if kind.startswith("video")
                else f'<img alt="{escape(words)}" src="{source}">'
            )
            out.append(f"<figure>{shown}{caption}</figure>")
    return f'<div class="clips">{"".join(out)}</div>'


def _named(run: Facts, runs: Sequence[Facts]) -> str:
    return f"{run.system.name}, " if len(runs) > 1 else ""


def _shown(clip: Any) -> str:
    """The episodes of a clip in words."""
    parts = []
    for one in clip["shown"]:
        total = one.get("return")
        told = f"{total:.4g}" if isinstance(total, int | float) else "not finite"
        parts.append(f"{one.get('place')}: {told} in {one.get('length')} steps")
    return f"Of {clip['episodes']} episodes " + "; ".join(parts) + "."


# --- settings -------------------------------------------------------------------------------------
def _side_by_side(what: str, runs: Sequence[Facts], values: Sequence[dict[str, str]]) -> str:
    """What sets the runs apart, then what they share."""
    names = dict.fromkeys(name for of_run in values for name in of_run)
    if not names:
        return "<p>Nothing is recorded.</p>"
    common = [n for n in names if len({of_run.get(n) for of_run in values}) == 1]
    shared = table(plain((what, "value"), [(n, values[0][n]) for n in common]))
    if len(runs) == 1:
        return shared
    head = (what, *(run.system.name for run in runs))
    rows = [(n, *(v.get(n, "–") for v in values)) for n in names if n not in common]
    apart = table(plain(head, rows)) if rows else "<p>All is alike.</p>"
    return f"{apart}<details><summary>Alike in all</summary>{shared}</details>"


def _folders(runs: Sequence[Facts]) -> str:
    rows = []
    for run in runs:
        steps = ", ".join(f"{step:,}" for step in run.checkpoints) or "none"
        rows.append((str(run.folder), steps))
    return table(plain(("Run folder", "checkpoints at"), rows))
