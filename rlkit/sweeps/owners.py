"""Who works on a sweep: a lock a process, which ends with the process however it ends."""

from __future__ import annotations

import fcntl
import os
import uuid
from pathlib import Path
from typing import Any, TextIO

from rlkit.core.errors import RunError
from rlkit.core.files.reading import inside

FOLDER = "owners"


def hold(sweep: Path) -> tuple[str, TextIO]:
    """A name of this process in the sweep, and the lock that says it is alive."""
    (sweep / FOLDER).mkdir(exist_ok=True)
    while True:
        name = f"{os.uname().nodename[:100]}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        lock = _file(sweep, name).open("x")
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _file(sweep, name).exists():
            return name, lock
        lock.close()  # another process took it for a dead one's, just before


def release(sweep: Path, name: str, lock: TextIO) -> None:
    _file(sweep, name).unlink(missing_ok=True)
    lock.close()


def is_dead(sweep: Path, name: Any) -> bool:
    """Whether the process of that name has ended."""
    try:
        with _file(sweep, name).open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (FileNotFoundError, RunError):  # the latter: no name that a process has
        return True
    except OSError:
        return False
    return True


def clear(sweep: Path) -> None:
    """Remove the locks of processes that have ended."""
    for file in (sweep / FOLDER).glob("*.lock"):
        if is_dead(sweep, file.stem):
            file.unlink(missing_ok=True)


def _file(sweep: Path, name: Any) -> Path:
    return inside(sweep / FOLDER, f"{name}.lock", RunError)
