"""What a sweep has done and has yet to do, in one SQLite file that several processes may share.

A run is a folder with one lane for each of its cells. It is waiting, running, done or failed; who
runs it holds a lock on `owners/<owner>.lock`, which ends with the process however it ends, so that
the runs of a killed process are known to be nobody's.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlkit.core.errors import RunError, UsageError
from rlkit.sweep.kinds.by_name import kind_of
from rlkit.sweep.plan import Sweep, Variant

FILE = "sweep.sqlite"
_FORMAT = 1
_SCHEMA = """
create table if not exists runs (
    id integer primary key, folder text unique, kind text, system text, task text, options text,
    seeds text, steps integer, reached integer default 0, seconds real default 0,
    status text default 'waiting', attempts integer default 0, error text default '',
    owner text, began real
);
create table if not exists cells (
    system text, task text, configuration text, seed integer, hash text, run integer, lane integer,
    primary key (system, task, configuration, seed)
);
create index if not exists runs_by_status on runs (status);
create index if not exists cells_by_run on cells (run);
"""


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


class Planned(NamedTuple):
    """What `Store.plan` found: runs by what has to be done with them."""

    new: int
    extended: int
    again: int  # failed before
    done: int
    left_out: int  # cells of earlier calls that the file no longer asks for


_COLUMNS = ", ".join(Run._fields)


class Store:
    """The state of the sweep in `folder`; a context manager."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        path = folder / FILE
        if not create and not path.exists():
            raise RunError(f"{folder} is not a sweep's folder: it has no {FILE}")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.owner = folder, ""
        self._lock: Any = None
        self.base = sqlite3.connect(path, timeout=120, isolation_level=None)
        try:
            if self.base.execute("pragma user_version").fetchone()[0] not in (0, _FORMAT):
                raise RunError(f"{path} was written by another version of rlkit")
            self.base.executescript(_SCHEMA)
            self.base.execute(f"pragma user_version = {_FORMAT}")
        except sqlite3.DatabaseError as error:
            raise RunError(f"{path} is damaged: {error}") from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.base.close()
        if self._lock is not None:
            self._lock.close()
            self._owner_file(self.owner).unlink(missing_ok=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, alone in the file."""
        self.base.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.base.execute("rollback")
            raise
        self.base.execute("commit")

    # --- planning ---------------------------------------------------------------------------------
    def plan(self, sweep: Sweep, lanes: int | None = None) -> Planned:
        """Register the cells of `sweep` that are new, in runs of at most `lanes` cells (the kind's
        own choice by default); wake what was extended or has failed.

        Raises UsageError, and changes nothing, where a cell stands there with other options.
        """
        with self._writing():
            known = {
                (system, task, configuration, seed): (hash_, run)
                for system, task, configuration, seed, hash_, run in self.base.execute(
                    "select system, task, configuration, seed, hash, run from cells"
                )
            }
            missing: list[tuple[Variant, int]] = []
            wanted: dict[int, int] = {}  # run -> steps
            for variant in sweep.variants:
                text = json.dumps(variant.configuration, sort_keys=True)
                for seed in sweep.seeds:
                    found = known.pop((variant.system, variant.task, text, seed), None)
                    if found is None:
                        missing.append((variant, seed))
                        continue
                    if found[0] != variant.hash:
                        raise UsageError(self._changed(variant, found[1]))
                    wanted[found[1]] = max(wanted.get(found[1], 0), variant.steps)
            before = self.base.total_changes
            self.base.executemany(
                "update runs set steps = ?1, status = 'waiting', attempts = 0 "
                "where id = ?2 and status = 'done' and steps < ?1",
                [(steps, run) for run, steps in wanted.items()],
            )
            extended = self.base.total_changes - before
            self.base.executemany(
                "update runs set steps = max(steps, ?1) where id = ?2 and status != 'done'",
                [(steps, run) for run, steps in wanted.items()],
            )
            before = self.base.total_changes
            self.base.executemany(
                "update runs set status = 'waiting', attempts = 0 where id = ? and "
                "status = 'failed'",
                [(run,) for run in wanted],
            )
            again = self.base.total_changes - before
            new = sum(1 for _ in self._register(missing, lanes))
            done = self.base.execute("select count(*) from runs where status = 'done'").fetchone()
        return Planned(new, extended, again, done[0], len(known))

    def _register(self, missing: Sequence[tuple[Variant, int]], lanes: int | None) -> Iterator[int]:
        groups: dict[str, list[tuple[Variant, int]]] = {}
        for variant, seed in missing:
            alike = kind_of(variant.kind).alike(variant.options)
            key = [variant.system, variant.task, variant.kind, alike, variant.steps]
            groups.setdefault(json.dumps(key, sort_keys=True), []).append((variant, seed))
        for group in groups.values():
            first = group[0][0]
            kind = kind_of(first.kind)
            size = lanes or kind.lanes(first.options)
            for at in range(0, len(group), size):
                yield self._add(group[at : at + size])

    def _add(self, cells: Sequence[tuple[Variant, int]]) -> int:
        first = cells[0][0]
        options = kind_of(first.kind).stacked([variant.options for variant, _ in cells])
        seeds = [seed for _, seed in cells]
        cursor = self.base.execute(
            "insert into runs (kind, system, task, options, seeds, steps) "
            "values (?, ?, ?, ?, ?, ?)",
            (first.kind, first.system, first.task, json.dumps(options), json.dumps(seeds),
             first.steps),
        )  # fmt: skip
        run = cursor.lastrowid or 0
        folder = f"runs/{first.system}-{first.task}-{first.hash}-{run:05d}"
        self.base.execute("update runs set folder = ? where id = ?", (folder, run))
        self.base.executemany(
            "insert into cells values (?, ?, ?, ?, ?, ?, ?)",
            [
                (
                    v.system,
                    v.task,
                    json.dumps(v.configuration, sort_keys=True),
                    seed,
                    v.hash,
                    run,
                    k,
                )
                for k, (v, seed) in enumerate(cells)
            ],
        )
        return run

    def _changed(self, variant: Variant, run: int) -> str:
        (text, folder) = self.base.execute(
            "select options, folder from runs where id = ?", (run,)
        ).fetchone()
        there, here = _flat(json.loads(text)), _flat(variant.options)
        laned = {name for name, value in there.items() if isinstance(value, list)}
        differing = [
            f"{name} {there.get(name)!r} there, {here.get(name)!r} now"
            for name in sorted(there.keys() | here.keys())
            if there.get(name) != here.get(name) and name not in laned
        ]
        return (
            f"{variant.label} on {variant.task} was begun with other options "
            f"({'; '.join(differing[:3]) or 'another kind'}) in {self.folder / folder}; give the "
            "changed system another name, or the sweep another --out"
        )

    # --- running ----------------------------------------------------------------------------------
    def become_owner(self) -> None:
        """From now on this process may claim runs; those of dead processes wait again."""
        folder = self.folder / "owners"
        folder.mkdir(exist_ok=True)
        self.owner = f"{os.uname().nodename}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = self._owner_file(self.owner).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.recover()

    def recover(self) -> int:
        """How many runs of processes that have died wait again now."""
        owners = self.base.execute("select distinct owner from runs where status = 'running'")
        dead = [name for (name,) in owners.fetchall() if name != self.owner and self._is_dead(name)]
        with self._writing():
            for name in dead:
                self.base.execute(
                    "update runs set status = 'waiting', owner = null "
                    "where status = 'running' and owner = ?",
                    (name,),
                )
        for name in dead:
            self._owner_file(name).unlink(missing_ok=True)
        return len(dead)

    def claim(self) -> Run | None:
        """The next waiting run, which is ours now; None when nothing waits."""
        with self._writing():
            row = self.base.execute(
                f"select {_COLUMNS} from runs where status = 'waiting' order by attempts, id"
            ).fetchone()
            if row is None:
                return None
            self.base.execute(
                "update runs set status = 'running', owner = ?, attempts = attempts + 1, "
                "began = ? where id = ?",
                (self.owner, time.time(), row[0]),
            )
        return _run(row)

    def finish(self, run: Run, seconds: float, error: str = "", again: bool = False) -> None:
        """Done, or failed with an error; `again` lets it wait for another attempt."""
        status = "waiting" if again else "failed" if error else "done"
        reached = run.reached if error else run.steps
        with self._writing():
            self.base.execute(
                "update runs set status = ?, error = ?, reached = ?, seconds = seconds + ?, "
                "owner = null where id = ?",
                (status, error, reached, seconds, run.id),
            )

    def give_back(self, run: Run, seconds: float) -> None:
        """It waits again, as if never claimed: what ended it was not its fault."""
        with self._writing():
            self.base.execute(
                "update runs set status = 'waiting', owner = null, attempts = attempts - 1, "
                "seconds = seconds + ? where id = ?",
                (seconds, run.id),
            )

    def reached(self, steps: dict[int, int]) -> None:
        """Note how far running runs have come."""
        with self._writing():
            self.base.executemany(
                "update runs set reached = max(reached, ?) where id = ?",
                [(step, run) for run, step in steps.items()],
            )

    def counts(self) -> dict[str, int]:
        """Runs by status."""
        rows = self.base.execute("select status, count(*) from runs group by status")
        return dict(rows.fetchall())

    def cells_of(self, run: int) -> list[dict[str, Any]]:
        """System, task, configuration and seed of each lane."""
        rows = self.base.execute(
            "select configuration, seed from cells where run = ? order by lane", (run,)
        )
        return [{"configuration": json.loads(text), "seed": seed} for text, seed in rows]

    def place(self, variant: Variant, seed: int) -> tuple[str, int]:
        """Run folder within the sweep's, and lane, of a cell that has been planned."""
        text = json.dumps(variant.configuration, sort_keys=True)
        return self.base.execute(
            "select runs.folder, cells.lane from cells join runs on runs.id = cells.run "
            "where cells.system = ? and cells.task = ? and configuration = ? and seed = ?",
            (variant.system, variant.task, text, seed),
        ).fetchone()

    def _owner_file(self, name: str) -> Path:
        return self.folder / "owners" / f"{name}.lock"

    def _is_dead(self, name: str) -> bool:
        try:
            with self._owner_file(name).open() as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def _run(row: Sequence[Any]) -> Run:
    named = Run(*row)
    seeds = tuple(json.loads(str(named.seeds)))
    return named._replace(options=json.loads(str(named.options)), seeds=seeds)


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    config = {f"config.{name}": value for name, value in options.get("config", {}).items()}
    return {name: value for name, value in options.items() if name != "config"} | config
