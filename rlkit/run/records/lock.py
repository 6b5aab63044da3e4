"""The lock of a run folder: one process trains in it, and writes nowhere else."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from rlkit.core.errors import RunError
from rlkit.run.records.folder import FILES, FOLDERS, LOCK, writing


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Held by the one process that trains in `folder`; RunError when another does, when the system
    refuses, or when something of the run is a link."""
    check_links(folder)
    with contextlib.ExitStack() as stack:
        with writing(folder / LOCK):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / LOCK).open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise RunError(f"another process is training in {folder}") from None
            raise RunError(
                f"{folder / LOCK} cannot be locked: {error.strerror or error}"
            ) from error
        yield


def check_links(folder: Path) -> None:
    """Raises RunError naming what is a link in a run folder: a training would write and remove
    files where it leads. The folder itself may be one."""
    for name in (*FILES, *FOLDERS):
        _no_link(folder / name)
    for name in FOLDERS:
        for place, folders, files in os.walk(folder / name):
            for inner in (*folders, *files):
                _no_link(Path(place, inner))


def _no_link(path: Path) -> None:
    if path.is_symlink():
        raise RunError(
            f"{path} is a link: a run writes into its own folder only; put what it leads to in its "
            "place"
        )
