"""`rlkit report`: a sweep's tables and pictures as HTML, Markdown and CSV.

Equal runs give equal files, to the byte: nothing in them depends on when or where they are made.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from rlkit.core.errors import RunError
from rlkit.core.files.replacing import make_folder, replacing
from rlkit.reports.cells import System
from rlkit.reports.curves import profile_picture, task_pictures, total_picture
from rlkit.reports.findings import Findings, findings
from rlkit.reports.formats import charts
from rlkit.reports.formats.markdown import markdown
from rlkit.reports.formats.page import Parts, page
from rlkit.reports.formats.tables import csv_files
from rlkit.reports.frequencies import frequency_sheet
from rlkit.reports.gaps import gap_sheet
from rlkit.reports.notices import counted, notices
from rlkit.reports.results import Results
from rlkit.reports.sheets import (
    Links,
    configuration,
    difference_sheet,
    improvement_sheet,
    task_sheet,
    total_sheet,
)

PAGE, TEXT = "report.html", "report.md"
_HOW = [
    "A cell is one seed of a system on a task; its result is the mean return over the episodes of "
    "its last evaluation. Unfinished cells are left out. Every number leads to the run folders it "
    "rests on.",
    "An interval says where the truth may lie given chance between seeds. It says nothing about "
    "tasks that were not run, nor about configurations that were tried and dropped. Two intervals "
    "may overlap although the difference is resolved; look at the table of differences.",
    "Estimates over tasks, performance profiles and the probability of improvement follow Agarwal "
    "et al., “Deep Reinforcement Learning at the Edge of the Statistical Precipice” (2021).",
]


class Written(NamedTuple):
    page: Path
    text: Path
    tables: list[Path]
    notices: list[str]
    found: Findings


def write_report(results: Results, out: Path, baseline: System | None = None) -> Written:
    """Write page, Markdown, its pictures and CSV tables to `out`, each file in one rename."""
    no_link(out)
    no_link(out / "pictures")
    make_folder(out)
    parts = assemble(results, out, baseline)
    pictures = {}
    numbers = {system: i for i, system in enumerate(parts.found.drawn)}
    for k, picture in enumerate([*parts.total_pictures, *parts.task_pictures]):
        name = f"pictures/{k:02d}.svg"
        write_whole(out / name, charts.standalone(charts.lines(picture, numbers)))
        pictures[picture.title, picture.x_label] = name
    for path in (out / "pictures").glob("[0-9][0-9]*.svg"):  # of an earlier report with more
        if f"pictures/{path.name}" not in pictures.values():
            path.unlink()
    tables = [
        write_whole(out / "csv" / name, text) for name, text in csv_files(parts.found).items()
    ]
    return Written(
        write_whole(out / PAGE, page(parts)),
        write_whole(out / TEXT, markdown(parts, pictures)),
        tables,
        parts.notices,
        parts.found,
    )


def assemble(results: Results, out: Path, baseline: System | None = None) -> Parts:
    """Everything a report in folder `out` says, before it is written down."""
    found = findings(results, baseline)
    links = Links(results, out)
    over_all = (total_picture(results, found.drawn), profile_picture(results, found.drawn))
    return Parts(
        title=results.name,
        summary=summary(results),
        notices=notices(results),
        found=found,
        links=links,
        totals=total_sheet(found, links),
        tables=[task_sheet(table, links) for table in found.tables],
        improvement=improvement_sheet(found, links),
        differences=difference_sheet(found, links),
        gaps=gap_sheet(found, links),
        frequencies=frequency_sheet(found, links),
        total_pictures=[picture for picture in over_all if picture is not None],
        task_pictures=task_pictures(results, found.drawn),
        configurations={s: configuration(results, s) for s in results.systems},
        how=_HOW,
    )


def summary(results: Results) -> str:
    """What was run, in one sentence."""
    seeds = {cell.seed for cell in results.cells}
    budgets = " and ".join(sorted({cell.run.budget for cell in results.cells}))
    done = len(results.cells) - len(results.unfinished)
    state = "all" if not results.unfinished else f"{done:,} of"
    unread = counted(len(results.damaged), "run folder")
    besides = f", {unread} cannot be read" if results.damaged else ""
    return (
        f"{counted(len(results.systems), 'system')} on {counted(len(results.tasks), 'task')}, "
        f"{counted(len(seeds), 'seed')}; {state} {len(results.cells):,} cells finished{besides}; "
        f"budget “{budgets}”"
    )


def no_link(folder: Path) -> None:
    """Raises RunError where a folder to be written to is a link: it may lead anywhere."""
    if folder.is_symlink():
        raise RunError(f"{folder} is a link; give --out a folder of its own")


def write_whole(path: Path, text: str | bytes) -> Path:
    """`path`, written beside its place and renamed, so that no half of a file is ever seen.

    Raises RunError where its folder is a link.
    """
    no_link(path.parent)
    make_folder(path.parent)
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode() if isinstance(text, str) else text)
    return path
