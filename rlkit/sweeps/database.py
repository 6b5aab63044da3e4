"""The SQLite file of a sweep: its tables, what SQLite says in our words, and a row as a run."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from rlkit.core.errors import RunError
from rlkit.core.files.reading import fit, inside
from rlkit.sweeps.kinds.by_name import KINDS

FILE, RUNS = "sweep.sqlite", "runs"
_FORMAT = 3
_SCHEMA = """
create table if not exists runs (
    id integer primary key, folder text unique, kind text, system text, task text, options text,
    seeds text, steps integer, reached integer default 0, seconds real default 0,
    status text default 'waiting', attempts integer default 0, error text default '',
    owner text, began real, source integer,
    records text default ''
);
create table if not exists cells (
    system text, task text, configuration text, seed integer, hash text, run integer, lane integer,
    error text default '', primary key (system, task, configuration, seed)
);
create index if not exists runs_by_status on runs (status);
create index if not exists cells_by_run on cells (run);
"""


# What an older version lacks.
_MIGRATIONS = {
    1: (
        "alter table runs add column source integer",
        "alter table cells add column error text default ''",
    ),
    2: ("alter table runs add column records text default ''",),
}


class Run(NamedTuple):
    """One folder's worth of cells."""

    id: int
    folder: str  # within the sweep's
    kind: str
    system: str
    task: str
    options: dict[str, Any]
    seeds: tuple[int, ...]  # of its lanes
    steps: int  # wanted
    reached: int
    attempts: int
    source: int | None = None  # run whose agents its lanes start from


COLUMNS = ", ".join(Run._fields)
# What SQLite says when the system refuses, as opposed to what the file holds.
_REFUSED = {
    "SQLITE_FULL": "written: the disk is full",
    "SQLITE_READONLY": "written: it is read-only",
    "SQLITE_PERM": "opened: permission denied",
    "SQLITE_CANTOPEN": "opened: permission denied, or its folder is gone",
    "SQLITE_BUSY": "written: another process has had it locked for too long",
    "SQLITE_LOCKED": "written: another process has had it locked for too long",
    "SQLITE_IOERR": "read or written: the disk fails",
}
# What a file that is none makes sqlite3 raise; the second where its own message quotes the file.
FAULTS = (sqlite3.Error, UnicodeDecodeError)
_PATIENCE = 120.0  # seconds to wait for another process's transaction


def connect(path: Path) -> sqlite3.Connection:
    """The file's tables, made or brought to this version where needed. Raises RunError."""
    try:
        base = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
    except FAULTS as error:
        raise told(path, error) from error
    base.text_factory = lambda data: data.decode(errors="replace")
    try:
        _prepare(base, path)
    except FAULTS as error:
        base.close()
        raise told(path, error) from error
    except RunError:
        base.close()
        raise
    return base


def _prepare(base: sqlite3.Connection, path: Path) -> None:
    (version,) = base.execute("pragma user_version").fetchone()
    if version not in (0, *_MIGRATIONS, _FORMAT):
        raise RunError(f"{path} was written by another version of rlkit")
    if version == _FORMAT:
        return
    base.execute("begin immediate")
    if base.execute("pragma user_version").fetchone()[0] == version:  # nobody was quicker
        newer = [lines for older, lines in _MIGRATIONS.items() if 0 < version <= older]
        for statement in (*_SCHEMA.split(";")[:-1], *chain.from_iterable(newer)):
            base.execute(statement)
        base.execute(f"pragma user_version = {_FORMAT}")
    base.execute("commit")


def told(path: Path, error: Exception) -> RunError:
    """What SQLite raised, as an error that names file and cause."""
    name = getattr(error, "sqlite_errorname", None) or ""
    for known, words in _REFUSED.items():
        if name.startswith(known):
            return RunError(f"{path} cannot be {words}")
    return RunError(f"{path} is damaged, or no sweep's state: {error}")


def run(row: Sequence[Any], folder: Path) -> Run:
    """A row of the table of runs. Raises RunError naming the field that is no run's."""
    named = Run(*row)
    where = f"{folder / FILE}: run {named.id}"
    options = _json(named.options, f"{where}: options")
    seeds = _json(named.seeds, f"{where}: seeds")
    fit(options, dict[str, Any], f"{where}: options", RunError)
    fit(seeds, list[int], f"{where}: seeds", RunError)
    fit(named._asdict(), _Row, where, RunError)
    if named.kind not in KINDS.values():
        raise RunError(f"{where}: kind is {named.kind!r}")
    if named.steps < 1 or not seeds or min(seeds) < 0:
        raise RunError(f"{where}: it has {named.steps} steps and seeds {seeds}")
    run_folder(folder, named.folder)
    return named._replace(options=options, seeds=tuple(seeds))


def run_folder(sweep: Path, name: Any) -> Path:
    """The folder of a run, which may neither lie elsewhere nor be a link to there."""
    root, _, inner = str(name).partition("/")
    if root != RUNS:
        raise RunError(f"{sweep / FILE}: folder {name!r} does not lie under {RUNS}/")
    return inside(sweep / RUNS, inner, RunError)


class _Row(TypedDict):
    folder: str
    kind: str
    system: str
    task: str
    steps: int
    reached: int
    attempts: int
    source: int | None


def _json(text: Any, where: str) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise RunError(f"{where} is no JSON: {error}") from None
