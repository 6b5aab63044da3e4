"""What a sweep has done and has yet to do, in one SQLite file that several processes may share.

A run is a folder with one lane for each of its cells. It is waiting, running, done or failed; who
runs it holds a lock on `owners/<owner>.lock`, which ends with the process however it ends, so that
the runs of a killed process are known to be nobody's.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rlkit.core.errors import RunError, UsageError, WrongPathError
from rlkit.sweeps import database, owners, standing
from rlkit.sweeps.database import FILE, RUNS, Run
from rlkit.sweeps.kinds.by_name import kind_of
from rlkit.sweeps.plan import Sweep, Variant


class Planned(NamedTuple):
    """What `Store.plan` found: runs by what has to be done with them."""

    new: int
    extended: int
    again: int  # failed before
    done: int
    left_out: int  # cells of earlier calls that the file no longer asks for


class Store:
    """The state of the sweep in `folder`; a context manager."""

    def __init__(self, folder: Path, create: bool = False) -> None:
        path = folder / FILE
        if not create and not path.exists():
            raise WrongPathError(f"{folder} is not a sweep's folder: it has no {FILE}")
        for place in (path, folder / RUNS, folder / owners.FOLDER):
            if place.is_symlink():
                raise RunError(f"{place} is a link: a sweep writes into its own folder only")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"{folder} cannot be made: {error.strerror}") from error
        self.folder, self.owner = folder, ""
        self._lock: Any = None
        self.base = database.connect(path)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.base.close()
        if self._lock is not None:
            owners.release(self.folder, self.owner, self._lock)
        if isinstance(error, database.FAULTS):
            raise database.told(self.folder / FILE, error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction, alone in the file."""
        self.base.execute("begin immediate")
        try:
            yield
        except BaseException:
            if self.base.in_transaction:  # SQLite has rolled back itself where the disk is full
                self.base.execute("rollback")
            raise
        self.base.execute("commit")

    # --- planning ---------------------------------------------------------------------------------
    def plan(self, sweep: Sweep, lanes: int | None = None) -> Planned:
        """Register the cells of `sweep` that are new, in runs of at most `lanes` cells (the kind's
        own choice by default); wake what was extended or has failed.

        A run that has ended and was deleted or damaged since is made again. Raises
        UsageError, and changes nothing, where a cell stands there with other options.
        """
        with self._writing():
            made_again = standing.wake(self.base, self.folder)
            known = {
                (system, task, configuration, seed): (hash_, run)
                for system, task, configuration, seed, hash_, run in self.base.execute(
                    "select system, task, configuration, seed, hash, run from cells "
                    "where run in (select id from runs)"
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
                "status = 'failed' and not exists "
                "(select 1 from cells where run = runs.id and cells.error != '')",
                [(run,) for run in wanted],
            )
            again = self.base.total_changes - before + made_again
            new = sum(1 for _ in self._register(missing, lanes))
            done = self.base.execute("select count(*) from runs where status = 'done'").fetchone()
        return Planned(new, extended, again, done[0], len(known))

    def _register(self, missing: Sequence[tuple[Variant, int]], lanes: int | None) -> Iterator[int]:
        """Runs of the missing cells, those that others start from first."""
        starts = {variant.system: variant.start for variant, _ in missing}
        for depth in range(len(starts) + 1):
            groups: dict[str, list[tuple[Variant, int]]] = {}
            sources: dict[str, int | None] = {}
            for variant, seed in missing:
                if _depth(variant.system, starts) != depth:
                    continue
                source = None if variant.start is None else self._source(variant, seed)
                alike = kind_of(variant.kind).alike(variant.options)
                key = [variant.system, variant.task, variant.kind, alike, variant.steps, source]
                text = json.dumps(key, sort_keys=True)
                groups.setdefault(text, []).append((variant, seed))
                sources[text] = source
            for text, group in groups.items():
                first = group[0][0]
                size = lanes or kind_of(first.kind).lanes(first.options)
                for at in range(0, len(group), size):
                    yield self._add(group[at : at + size], sources[text])

    def _source(self, variant: Variant, seed: int) -> int:
        """Run with the cell of the same task and seed that a cell starts from."""
        (run,) = self.base.execute(
            "select run from cells where system = ? and task = ? and configuration = '{}' "
            "and seed = ?",
            (variant.start, variant.task, seed),
        ).fetchone()
        return run

    def _add(self, cells: Sequence[tuple[Variant, int]], source: int | None) -> int:
        first = cells[0][0]
        options = kind_of(first.kind).stacked([variant.options for variant, _ in cells])
        seeds = [seed for _, seed in cells]
        cursor = self.base.execute(
            "insert into runs (kind, system, task, options, seeds, steps, source) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            (first.kind, first.system, first.task, json.dumps(options), json.dumps(seeds),
             first.steps, source),
        )  # fmt: skip
        run = cursor.lastrowid or 0
        folder = f"{RUNS}/{first.system}-{first.task}-{first.hash}-{run:05d}"
        self.base.execute("update runs set folder = ? where id = ?", (folder, run))
        self.base.executemany(
            "insert or replace into cells (system, task, configuration, seed, hash, run, lane) "
            "values (?, ?, ?, ?, ?, ?, ?)",
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
        self.owner, self._lock = owners.hold(self.folder)
        self.recover()
        owners.clear(self.folder)  # of those that had nothing to run, too

    def recover(self) -> int:
        """How many runs of processes that have died wait again now."""
        rows = self.base.execute("select distinct owner from runs where status = 'running'")
        ours = self.owner if self._lock is not None else None
        dead = [
            name
            for (name,) in rows.fetchall()
            if (name is None or name != ours) and owners.is_dead(self.folder, name)
        ]
        if not dead:
            return 0
        with self._writing():
            for name in dead:
                self.base.execute(
                    "update runs set status = 'waiting', owner = null "
                    "where status = 'running' and owner is ?",
                    (name,),
                )
        owners.clear(self.folder)
        return len(dead)

    def claim(self) -> Run | None:
        """The next waiting run, which is ours now; None when nothing waits that could begin.

        A run whose row is damaged has failed, for that reason.
        """
        with self._writing():
            while True:
                row = self.base.execute(
                    f"select {database.COLUMNS} from runs where status = 'waiting' "
                    "and (source is null or "
                    "(select status from runs as s where s.id = runs.source) = 'done') "
                    "order by attempts, id"
                ).fetchone()
                if row is None:
                    return None
                try:
                    run = database.run(row, self.folder)
                except RunError as error:
                    self.base.execute(
                        "update runs set status = 'failed', error = ? where id = ?",
                        (str(error), row[0]),
                    )
                    continue
                self.base.execute(
                    "update runs set status = 'running', owner = ?, attempts = attempts + 1, "
                    "began = ? where id = ?",
                    (self.owner, time.time(), row[0]),
                )
                return run

    def finish(
        self,
        run: Run,
        seconds: float,
        error: str = "",
        again: bool = False,
        lanes: Sequence[int] = (),
    ) -> None:
        """Done, or failed with an error; `again` lets it wait for another attempt.

        With `lanes` only these cells have failed: the others of the run have come to their end.
        """
        status = "waiting" if again else "failed" if error else "done"
        ended = not error or 0 < len(lanes) < len(run.seeds)
        reached = run.steps if ended else run.reached
        left = standing.stamp(self.folder / run.folder) if status == "done" else ""
        with self._writing():
            self.base.execute("update cells set error = '' where run = ?", (run.id,))
            self.base.executemany(
                "update cells set error = ? where run = ? and lane = ?",
                [(error, run.id, lane) for lane in lanes],
            )
            self.base.execute(
                "update runs set status = ?, error = ?, reached = ?, seconds = seconds + ?, "
                "records = ?, owner = null where id = ?",
                (status, error, reached, seconds, left, run.id),
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

    def without_start(self) -> dict[str, str]:
        """Runs that have failed because the run they start from has: folder -> why."""
        found: dict[str, str] = {}
        with self._writing():
            while rows := self.base.execute(
                "select runs.id, runs.folder, s.folder from runs join runs as s "
                "on s.id = runs.source where runs.status = 'waiting' and s.status = 'failed'"
            ).fetchall():
                for id, folder, source in rows:
                    found[folder] = f"{source}, which it starts from, has failed"
                    self.base.execute(
                        "update runs set status = 'failed', error = ? where id = ?",
                        (found[folder], id),
                    )
        return found

    def diverged(self, sweep: Sweep) -> dict[str, str]:
        """Runs of its systems with cells that have failed one by one: folder -> why. They are not
        tried again: the same numbers would come."""
        rows = self.base.execute(
            "select system, task, folder, error from runs where status = 'failed' and exists "
            "(select 1 from cells where run = runs.id and cells.error != '') order by id"
        )
        asked = {(variant.system, variant.task) for variant in sweep.variants}
        return {folder: why for system, task, folder, why in rows if (system, task) in asked}

    def damaged(self) -> list[tuple[str, str]]:
        """Rows that are no runs, and why, beside those that have failed for it already."""
        rows = self.base.execute(
            f"select {database.COLUMNS} from runs where status != 'failed' order by id"
        )
        found = []
        for row in rows:
            try:
                database.run(row, self.folder)
            except RunError as error:
                found.append((f"run {row[0]}", str(error)))
        return found

    def folder_of(self, run: int) -> Path:
        """Run folder with that number."""
        row = self.base.execute("select folder from runs where id = ?", (run,)).fetchone()
        return database.run_folder(self.folder, None if row is None else row[0])

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


def _depth(system: str, starts: Mapping[str, str | None]) -> int:
    """How many systems a system starts from, one behind the other, among those to be registered."""
    start = starts.get(system)
    return 0 if start is None or start not in starts else 1 + _depth(start, starts)


def _flat(options: dict[str, Any]) -> dict[str, Any]:
    config = {f"config.{name}": value for name, value in options.get("config", {}).items()}
    return {name: value for name, value in options.items() if name != "config"} | config
