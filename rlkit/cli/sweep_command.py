"""`rlkit sweep FILE` works a sweep off, `rlkit status FILE` says where it stands."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from rlkit.cli.arguments import parse
from rlkit.core.errors import UsageError
from rlkit.core.words.nearest import suggestion
from rlkit.sweeps import plan
from rlkit.sweeps.engines import Engine, Local
from rlkit.sweeps.plan import Sweep
from rlkit.sweeps.status import clock, status, table

_SWEEP = """Work off a sweep file (TOML): systems x tasks x configurations x seeds.

The same command continues a sweep that was killed, tries again what failed, and adds what the file
asks for besides: more seeds, more steps, more systems.
"""


@dataclass(frozen=True)
class SweepForm:
    file: Annotated[Positional[str], arg(metavar="FILE", help="sweep file")]
    budget: Annotated[str | None, arg(metavar="NAME", help="a [budgets.NAME] of the file")] = None
    out: Annotated[str | None, arg(metavar="DIR", help="None: runs/sweeps/<name>")] = None
    systems: Annotated[str, arg(metavar="A,B", help="only these, and what they start from")] = ""
    tasks: Annotated[str, arg(metavar="A,B", help="only these")] = ""
    engine: Annotated[Literal["local", "ray"], arg(help="where runs are worked off")] = "local"
    address: Annotated[str | None, arg(metavar="ADDRESS", help="of a Ray cluster")] = None
    workers: Annotated[int, arg(help="runs side by side; 0: one a core")] = 0
    lanes: Annotated[int, arg(help="most cells that share a process; 0 chooses")] = 0
    search: Annotated[
        FlagCreatePairsOff[bool], arg(help="run the file's [search] instead of its cells")
    ] = False
    plan: Annotated[FlagCreatePairsOff[bool], arg(help="check, estimate the time, and end")] = False
    fail_fast: Annotated[FlagCreatePairsOff[bool], arg(help="end at the first failure")] = False
    keep_going: Annotated[FlagCreatePairsOff[bool], arg(help="finish all else (the default)")] = (
        False
    )
    quiet: Annotated[FlagCreatePairsOff[bool], arg(help="show no progress")] = False


@dataclass(frozen=True)
class StatusForm:
    file: Annotated[Positional[str], arg(metavar="FILE|DIR", help="sweep file, or its folder")]
    budget: Annotated[str | None, arg(metavar="NAME", help="as given to rlkit sweep")] = None
    out: Annotated[str | None, arg(metavar="DIR", help="as given to rlkit sweep")] = None
    watch: Annotated[float, arg(help="show it again after so many seconds; 0: once")] = 0.0


def sweep(argv: Sequence[str]) -> None:
    """`rlkit sweep FILE [options]`; raises RunError at the end when a run stayed failed."""
    form = parse(SweepForm, argv, "rlkit sweep", _SWEEP)
    if form.fail_fast and form.keep_going:
        raise UsageError("rlkit sweep: give --fail-fast or --keep-going, not both")
    for name in ("workers", "lanes"):
        if getattr(form, name) < 0:
            raise UsageError(f"rlkit sweep: --{name} must not be negative")
    if form.address is not None and form.engine != "ray":
        raise UsageError("rlkit sweep: --address needs --engine ray")
    systems, tasks = (text.split(",") if text else [] for text in (form.systems, form.tasks))
    asked = plan.only(plan.read(form.file, form.budget), systems, tasks)
    folder = plan.folder_of(form.file, form.budget, form.out)
    say = _silent if form.quiet else print
    say(_described(asked, folder))
    missing = _missing(asked)
    if form.search:
        from rlkit.sweeps.search import shortage

        if line := shortage(asked):
            say(f"note   {line}")
    if missing:
        say(f"to be built first: {', '.join(missing)}")
    if form.plan:
        if missing:
            say("no time is estimated before they are there (rlkit dataset build NAME)")
        else:
            _estimate(asked, form)
        return
    from rlkit.data import datasets
    from rlkit.data.recipes import cards
    from rlkit.sweeps.runner import failures
    from rlkit.sweeps.runner import sweep as work_off

    for name in asked.datasets:
        if name in cards.all_recipes():  # one that stands, made from another recipe, is refused
            datasets.build(name)
    engine = _engine(form)
    if form.search:
        from rlkit.sweeps.search import search

        for trial in search(asked, folder, engine, quiet=form.quiet):
            print(f"trial {trial.number:4}  score {trial.score}  {trial.configuration}")
        return
    finished = work_off(
        asked,
        folder,
        engine=engine,
        lanes=form.lanes or None,
        fail_fast=form.fail_fast,
        quiet=form.quiet,
    )
    if finished.planned.left_out and not (systems or tasks):
        say(f"note   {finished.planned.left_out} cells there are no longer in the file: kept")
    if finished.elsewhere:
        say(f"note   {finished.elsewhere} runs are being worked on by another process")
    if error := failures(finished):
        raise error
    say(f"done   {folder}   (rlkit report {folder} writes tables and pictures)")


def show_status(argv: Sequence[str]) -> None:
    """`rlkit status FILE|DIR [options]`."""
    form = parse(StatusForm, argv, "rlkit status", "Show where a sweep stands.")
    path = Path(form.file)
    folder = path if path.is_dir() else plan.folder_of(path, form.budget, form.out)
    while True:
        found = status(folder)
        if form.watch and sys.stdout.isatty():
            print("\033[2J\033[H", end="")
        print(table(found), flush=True)
        if not form.watch or not any(row.running + row.waiting for row in found.rows):
            return
        time.sleep(form.watch)


def _described(asked: Sweep, folder: Path) -> str:
    tasks = len({variant.task for variant in asked.variants})
    systems = len({variant.system for variant in asked.variants})
    lines = [
        f"sweep  {asked.name}, budget {asked.budget}: {asked.cells} cells "
        f"({systems} systems, {tasks} tasks, {len(asked.variants)} combinations, "
        f"{len(asked.seeds)} seeds)",
        f"folder {folder}",
    ]
    return "\n".join(lines)


def _estimate(asked: Sweep, form: SweepForm) -> None:
    from rlkit.sweeps.probe import estimate

    slots = form.workers or Local().slots
    seconds = estimate(asked, slots, form.lanes or None)
    print(f"about {clock(seconds)} in all, {slots} side by side")


def _missing(asked: Sweep) -> list[str]:
    """Datasets of rlkit's recipes that have yet to be built; UsageError for unknown ones."""
    from rlkit.data.datasets import list_datasets

    rows = {row.dataset_id: row for row in list_datasets()}
    for name in asked.datasets:
        if name not in rows and not Path(name).exists():
            raise UsageError(f"no dataset {name!r}{suggestion(name, rows)} (rlkit dataset list)")
    return [name for name in asked.datasets if name in rows and not rows[name].built]


def _engine(form: SweepForm) -> Engine:
    if form.engine == "ray":
        from rlkit.sweeps.ray_engine import Cluster

        return Cluster(form.address, form.workers or None)
    return Local(form.workers or None)


def _silent(text: str) -> None: ...
