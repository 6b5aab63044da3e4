"""One run of a sweep, in a process of its own or on another machine."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rlkit.core.errors import RunError
from rlkit.core.files.replacing import replacing
from rlkit.run import child
from rlkit.run.records import folder as run_folder
from rlkit.run.records.lock import lock
from rlkit.sweeps.kinds.by_name import kind_of

_WAIT = 30.0  # seconds for a killed predecessor to let go of the folder
_EVERY = 1.0  # seconds between notes of the step


def work(job: dict[str, Any]) -> None:
    """Runs a job to its end, on from whatever an earlier attempt left in its folder.

    A job is a dictionary, as `describe` makes it. Raises what the training raises.
    """
    folder = Path(job["folder"])
    if folder.is_symlink():
        raise RunError(f"{folder} is a link: a sweep writes into its own folder only")
    folder.mkdir(parents=True, exist_ok=True)
    run_folder.write_json(folder / run_folder.CELL, job["cell"])
    kind = kind_of(job["kind"])
    noted = 0.0

    def told(step: int) -> None:
        nonlocal noted
        if time.monotonic() - noted >= _EVERY:
            noted = time.monotonic()
            with contextlib.suppress(OSError), replacing(folder / run_folder.STEP) as note:
                note.write_text(str(step))

    _wait_for(folder)
    own = contextlib.nullcontext() if job["kind"] == "training" else lock(folder)
    with own:  # a training locks its folder itself
        kind.work(folder, job["options"], job["seeds"], job["steps"], told)
    (folder / run_folder.STEP).unlink(missing_ok=True)


def step_of(folder: Path) -> int:
    """The step a running job has noted; 0 before the first."""
    try:
        return int((folder / run_folder.STEP).read_text())
    except (OSError, ValueError):
        return 0


def failure(error: BaseException) -> str:
    """One line, and where it came from."""
    text = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {text}\n{''.join(traceback.format_exception(error)[-3:])}"


def attempt(job: dict[str, Any]) -> tuple[str, tuple[int, ...]] | None:
    """None when a job is done, else the text of its failure, and the lanes that alone failed."""
    try:
        work(job)
    except BaseException as error:
        return failure(error), tuple(getattr(error, "lanes", ()))
    return None


def main(handle: int) -> None:
    """Entry of a child process: a job comes in, what `attempt` says goes out."""
    line = Connection(handle)
    job = json.loads(line.recv())
    child.listen(line)
    outcome = attempt(job)
    with contextlib.suppress(OSError):
        line.send(outcome)


def _wait_for(folder: Path) -> None:
    """Until nobody holds the folder, at most `_WAIT` seconds."""
    until = time.monotonic() + _WAIT
    for _ in _ticks(until):
        try:
            with lock(folder):
                return
        except RunError:
            continue
    raise RunError(f"another process has been working in {folder} for {_WAIT:g} s")


def _ticks(until: float) -> Iterator[None]:
    while True:
        yield
        if time.monotonic() > until:
            return
        time.sleep(0.2)
