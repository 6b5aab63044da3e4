"""`rlkit report` and `rlkit compare`: what sweeps and runs have come to, and what moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import parse
from rlkit.cli.runs_command import compare_runs, is_run
from rlkit.core.errors import UsageError

_SWEEP = "sweep file, or the folder of a sweep"


@dataclass(frozen=True)
class Report:
    paths: Annotated[
        Positional[tuple[str, ...]],
        arg(metavar="FILE|DIR..", help=f"{_SWEEP}; or one or more run folders, side by side"),
    ]
    budget: Annotated[str | None, arg(metavar="NAME", help="budget of the sweep file")] = None
    out: Annotated[
        str | None,
        arg(metavar="DIR", help="None: report/ in the sweep's folder, or the run folder itself"),
    ] = None
    baseline: Annotated[
        str | None, arg(metavar="SYSTEM", help="system to take differences from; None: the first")
    ] = None
    export: Annotated[
        str, arg(metavar="KIND,..", help="csv, json, parquet, tensorboard, mlflow")
    ] = ""
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="print the paths only")] = False


def report(argv: Sequence[str]) -> None:
    """`rlkit report FILE|DIR [options]`, `rlkit report RUN... [--out DIR]`."""
    form = parse(
        Report, argv, "rlkit report", "Tables, pictures and warnings: of a sweep, of runs."
    )
    if form.paths and all(is_run(path) for path in form.paths):
        _report_runs(form)
        return
    if len(form.paths) != 1:
        raise UsageError(
            "rlkit report: give one sweep, or run folders to stand side by side"
            + "".join(f"; {path} is no run folder" for path in form.paths if not is_run(path))[:200]
        )
    folder = sweep_folder(form.paths[0], form.budget)
    from rlkit.reports import results
    from rlkit.reports.formats import exports
    from rlkit.reports.formats.plain_text import text_table
    from rlkit.reports.report import summary, write_report
    from rlkit.reports.sheets import Links, task_sheet, total_sheet

    kinds = [kind for kind in form.export.split(",") if kind]
    exports.check(kinds)
    read = results.read(folder)
    baseline = None if form.baseline is None else read.find(form.baseline)
    out = folder / "report" if form.out is None else Path(form.out)
    written = write_report(read, out, baseline)
    if not form.quiet:
        print(f"{read.name}: {summary(read)}")
        links = Links(read, out)
        sheets = [total_sheet(written.found, links)] if written.found.totals else []
        sheets += [task_sheet(table, links) for table in written.found.tables]
        for sheet in sheets:
            print(f"\n{sheet.title}\n{text_table(sheet)}")
        print()
        for text in written.notices:
            print(f"note   {text}")
    print(f"page   {written.page}")
    print(f"text   {written.text}")
    print(f"csv    {written.tables[0].parent}")
    for path in exports.export(read, kinds, out / "export"):
        print(f"export {path}")


def _report_runs(form: Report) -> None:
    """The page of runs, which has no tables to export and no baseline but the first."""
    for name in ("budget", "baseline", "export"):
        if getattr(form, name):
            raise UsageError(f"rlkit report: --{name} is for sweeps; these are run folders")
    from rlkit.reports.runs.page import write_page

    written = write_page(form.paths, form.out)
    if not form.quiet:
        for text in written.notices:
            print(f"note   {text}")
    print(f"page   {written.page}")


@dataclass(frozen=True)
class Compare:
    a: Annotated[Positional[str], arg(metavar="A", help=f"run folder, or {_SWEEP}; before")]
    b: Annotated[Positional[str], arg(metavar="B", help=f"run folder, or {_SWEEP}; after")]
    out: Annotated[str | None, arg(metavar="DIR", help="also write Markdown and CSV here")] = None


def compare(argv: Sequence[str]) -> None:
    """`rlkit compare A B [--out DIR]`."""
    form = parse(Compare, argv, "rlkit compare", "What sets two runs, or two sweeps, apart.")
    if is_run(form.a) and is_run(form.b):
        if form.out is not None:
            raise UsageError("rlkit compare: --out is for sweeps; rlkit plot draws runs")
        print(compare_runs(form.a, form.b))
        return
    folders = [sweep_folder(form.a), sweep_folder(form.b)]
    from rlkit.reports.compare import as_text, changes, write_comparison
    from rlkit.reports.results import read

    found = changes(*(read(folder) for folder in folders))
    print(as_text(found))
    if form.out is not None:
        for path in write_comparison(found, Path(form.out)):
            print(f"wrote  {path}")


def sweep_folder(where: str, budget: str | None = None) -> Path:
    """The folder of a sweep, named itself or by its sweep file. Raises UsageError for neither."""
    path = Path(where)
    if path.is_dir():
        if budget is not None:
            raise UsageError(f"--budget chooses a folder of a sweep file, but {path} is a folder")
        return path
    if not path.exists():
        raise UsageError(f"there is no sweep file or folder {path}")
    from rlkit.sweeps.plan import folder_of

    folder = folder_of(path, budget)
    if not folder.is_dir():
        raise UsageError(f"the sweep of {path} has not been run: there is no {folder}")
    return folder
