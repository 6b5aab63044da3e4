"""Whether what an ended run has left still stands: what was deleted or damaged is made again.

A finished run's files are noted with their sizes and times, so that a sweep of ten thousand runs is
looked through without reading one; only what has been touched since is read, and is damaged where
it is no longer what was written: unreadable, or with other rows.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rlkit.core.errors import RlkitError, RunError
from rlkit.core.files.replacing import remove
from rlkit.eval import records
from rlkit.sweeps.database import run_folder

# `rlkit.run.records.folder` has the names too, and torch with them.
_CARD, _CONFIG, _EPISODES = "cell.json", "config.json", "episodes.csv"


class Gone(NamedTuple):
    """A run that has ended and of which a file is gone or damaged."""

    id: int
    folder: Path
    done: bool  # it was, and did not fail
    lost: bool  # its records are gone


def stamp(folder: Path) -> str:
    """What `gone` compares the run in `folder` with later, as text: of every file its size and
    time, and what it says."""
    return json.dumps({name: found for name in _READ if (found := _noted(folder / name))})


def gone(base: sqlite3.Connection, sweep: Path) -> list[Gone]:
    """Runs that have ended and were deleted or damaged since, in part or as a whole."""
    rows = base.execute(
        "select id, folder, status, kind, records from runs where status in ('done', 'failed')"
    )
    found = []
    for id, name, status, kind, text in rows.fetchall():
        try:
            folder = run_folder(sweep, name)
        except RunError:  # told where the run is read
            continue
        done, noted = status == "done", _stamps(text)
        # a training may have had nothing to be evaluated in
        needed = {_CONFIG} if kind == "training" else {_CONFIG, _EPISODES}
        needed |= noted.keys() - {_CARD}
        lost = done and not all(_stands(folder / file, noted.get(file)) for file in needed)
        if lost or not _stands(folder / _CARD, noted.get(_CARD)):
            found.append(Gone(id, folder, done, lost))
    return found


def wake(base: sqlite3.Connection, sweep: Path) -> int:
    """Have runs that have ended and of which a file is gone or damaged wait again; how many.

    What is left of a finished one without its records is removed: nothing could go on from it.
    """
    found = gone(base, sweep)
    for run in found:
        if run.lost:
            remove(run.folder)
    ids = [(run.id,) for run in found]
    base.executemany(
        "update runs set status = 'waiting', attempts = 0, reached = 0, error = '' where id = ?",
        ids,
    )
    base.executemany("update cells set error = '' where run = ?", ids)
    _note_old(base, sweep)
    return len(ids)


def _note_old(base: sqlite3.Connection, sweep: Path) -> None:
    """Note the files of runs that an older version has finished, so that they are read once."""
    query = "select id, folder from runs where status = 'done' and coalesce(records, '') = ''"
    for id, name in base.execute(query).fetchall():
        with contextlib.suppress(RunError):  # told where the run is read
            text = stamp(run_folder(sweep, name))
            base.execute("update runs set records = ? where id = ?", (text, id))


def _rows(path: Path) -> Any:
    """How many episodes a file has, and of which step the last one is."""
    rows = records.read_episodes(path)
    return [len(rows), int(rows["step"].max(initial=0))]


def _object(path: Path) -> Any:
    """Raises ValueError for a file that holds no object."""
    if not isinstance(json.loads(path.read_bytes()), dict):
        raise ValueError(f"{path} holds no object")
    return True


_READ: dict[str, Callable[[Path], Any]] = {
    **{_CARD: _object, _CONFIG: _object},
    **{_EPISODES: _rows, "trained_levels.csv": _rows},
}


def _noted(path: Path) -> list[Any] | None:
    """Size, time and content of a file; None where there is none that can be read."""
    try:
        known = path.stat()
        return [known.st_size, known.st_mtime_ns, _READ[path.name](path)]
    except (RlkitError, OSError, ValueError, RecursionError):
        return None


def _stands(path: Path, noted: list[Any] | None) -> bool:
    """Whether a file is there and, where it was touched since it was `noted`, says the same."""
    try:
        known = path.stat()
    except OSError:
        return False
    if noted is None:  # by a version that noted nothing
        return path.is_file() and _noted(path) is not None
    if [known.st_size, known.st_mtime_ns] == noted[:2]:
        return True
    now = _noted(path)
    return now is not None and now[2] == noted[2]


def _stamps(text: Any) -> dict[str, list[Any]]:
    """What `stamp` has written; nothing where it is damaged, as if it had noted nothing."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {k: x for k, x in found.items() if k in _READ and isinstance(x, list) and len(x) == 3}
