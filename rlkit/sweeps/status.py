"""Where a sweep stands: a table of systems and tasks, and the time left."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from rlkit.sweeps import standing
from rlkit.sweeps.store import Store


class Row(NamedTuple):
    """Cells of one system on one task."""

    system: str
    task: str
    done: int
    running: int
    waiting: int
    failed: int
    share: float  # of all steps that are done
    seconds_left: float | None  # of one process; None before anything has been timed


class Status(NamedTuple):
    rows: tuple[Row, ...]
    errors: tuple[tuple[str, str], ...]  # folders of failed runs, and why
    processes: int  # that run something now
    deleted: int = 0  # runs that were done and whose files are gone or damaged: they wait again

    @property
    def seconds_left(self) -> float | None:
        """On as many processes as run now, or on one."""
        left = [row.seconds_left for row in self.rows]
        if any(x is None for x in left):
            return None
        return sum(x for x in left if x is not None) / max(1, self.processes)


_LISTED = 20  # failed runs
_TABLE = """
with r as (
    select cast(system as text) as system, cast(task as text) as task, id,
        iif(id in (select id from temp.deleted), 'waiting', status) as status,
        cast(steps as integer) as steps,
        iif(id in (select id from temp.deleted), 0, cast(reached as integer)) as reached,
        cast(seconds as real) as seconds, cast(coalesce(began, 0) as real) as began,
        (select count(*) from cells where run = runs.id) as lanes,
        (select count(*) from cells where run = runs.id and error != '') as bad
    from runs
)
select coalesce(system, '?'), coalesce(task, '?'),
    total(case status when 'done' then lanes when 'failed' then (bad > 0) * (lanes - bad) end),
    total(case when status = 'running' then lanes end),
    total(case when status = 'waiting' then lanes end),
    total(case when status = 'failed' then iif(bad > 0, bad, lanes) end),
    total(min(reached, steps) * lanes), total(steps * lanes),
    total(seconds + case when status = 'running' then ? - began else 0 end),
    total(case when seconds > 0 or status = 'running' then reached else 0 end),
    total(case when status in ('running', 'waiting') then max(0, steps - reached) else 0 end)
from r group by 1, 2 order by min(id)
"""


def status(folder: Path) -> Status:
    """The status of the sweep in `folder`: what its state file says of the runs that are there."""
    with Store(folder) as store:
        store.recover()
        gone = [run for run in standing.gone(store.base, folder) if run.done]
        store.base.execute("create temp table deleted (id integer primary key)")
        store.base.executemany("insert into temp.deleted values (?)", [(run.id,) for run in gone])
        rows = []
        for system, task, *numbers in store.base.execute(_TABLE, (time.time(),)).fetchall():
            done, running, waiting, failed = map(int, numbers[:4])
            reached, steps, seconds, timed, left = numbers[4:]
            rate = seconds / timed if timed and seconds else None
            needed = 0.0 if not left else None if rate is None else rate * left
            share = reached / steps if steps else 0.0
            rows.append(Row(system, task, done, running, waiting, failed, share, needed))
        errors = [
            *store.base.execute(
                "select cast(folder as text), cast(error as text) from runs "
                "where status = 'failed' order by id"
            ).fetchall(),
            *store.damaged(),
        ]
        (processes,) = store.base.execute(
            "select count(*) from runs where status = 'running'"
        ).fetchone()
    return Status(tuple(rows), tuple(errors), processes, len(gone))


def table(found: Status) -> str:
    """The status as text."""
    names = [_printable(f"{row.system} on {row.task}") for row in found.rows]
    width = max([len(name) for name in names] + [6])
    head = f"{'cells':{width}}  {'done':>6}{'running':>9}{'waiting':>9}{'failed':>8}{'steps':>8}"
    lines = [head]
    for name, row in zip(names, found.rows, strict=True):
        lines.append(
            f"{name:{width}}  {row.done:6}{row.running:9}{row.waiting:9}{row.failed:8}"
            f"{row.share:8.0%}"
        )
    total = [sum(getattr(row, name) for row in found.rows) for name in Row._fields[2:6]]
    lines.append(f"{'all':{width}}  {total[0]:6}{total[1]:9}{total[2]:9}{total[3]:8}")
    open_ = total[1] + total[2]
    if open_ and found.seconds_left is not None:
        lines.append(f"about {clock(found.seconds_left)} left")
    elif open_:
        lines.append("time left unknown: not every system has finished a run yet")
    if found.deleted:
        lines.append(f"deleted or damaged since: {found.deleted}, which rlkit sweep makes again")
    for folder, error in found.errors[:_LISTED]:
        text = error.splitlines()[0] if error else "no message"
        lines.append(_printable(f"failed: {folder}: {text}"))
    if len(found.errors) > _LISTED:
        lines.append(f"failed: {len(found.errors) - _LISTED} more")
    return "\n".join(lines)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def clock(seconds: float) -> str:
    """A length of time, for people."""
    minutes = round(seconds) // 60
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min {round(seconds) % 60:02} s" if minutes else f"{seconds:.1f} s"
