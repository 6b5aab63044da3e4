"""Lanes split over processes of their own: one single-threaded process a core.

On a CPU wide nets are bound by arithmetic, so stacking lanes gains nothing while a process a core
does. Each worker runs the very loop of its lanes; the parent joins their events, in lock-step,
and is the only writer of records. A checkpoint counts once every group has written its share.
"""

from __future__ import annotations

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from rlkit.core import errors
from rlkit.core.errors import CheckpointError, RunError
from rlkit.run import child, loops
from rlkit.run import folder as run_folder
from rlkit.run.events import Event, Note, Save, merge
from rlkit.run.options import Options
from rlkit.run.session import Session
from rlkit.run.task import Task, rows

_WIDE = 128  # hidden units from which a CPU is bound by arithmetic


def split(options: Options) -> list[list[int]]:
    """Lanes of each process: one group unless several cores can be used well."""
    lanes = list(range(len(options.seeds)))
    workers = options.workers
    if workers == 0:
        widest = max(getattr(options.config, "hidden", (_WIDE,)), default=0)
        worthwhile = options.device == "cpu" and widest >= _WIDE
        workers = max(1, _cores() // options.threads) if worthwhile else 1
    if options.utd_later:  # lanes may come to make different numbers of updates
        workers = len(lanes)
    workers = min(workers, len(lanes))
    size, larger = divmod(len(lanes), workers)
    ends = [size * (i + 1) + min(i + 1, larger) for i in range(workers)]
    return [lanes[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]


def grouped(
    folder: Path, start: int, groups: Sequence[Sequence[int]], temporary_tag: str
) -> Iterator[Event]:
    """Events of all lanes of the run in `folder`, trained on from the checkpoint of `start`.

    Workers write their shares of a checkpoint to hidden folders whose names end in
    `temporary_tag`. Raises what a worker raised, or RunError when one died.
    """
    options = run_folder.options(folder)
    jobs = [
        {"folder": str(folder), "start": start, "group": g, "tag": temporary_tag}
        for g in range(len(groups))
    ]
    workers = [_Worker(job, options.threads) for job in jobs]
    names = [", ".join(str(options.seeds[k]) for k in group) for group in groups]
    try:
        while True:
            events: list[Event] = []
            for worker, name in zip(workers, names, strict=True):
                event = worker.receive(name)
                while isinstance(event, Note):
                    yield event
                    event = worker.receive(name)
                if event is None:
                    return
                events.append(event)
            yield merge(events)
            if isinstance(events[0], Save):
                for worker in workers:
                    worker.proceed()
    finally:
        for worker in workers:
            worker.stop()


def share(folder: Path, step: int, group: int, tag: str) -> Path:
    """Where group `group` writes its share of a checkpoint that is being made."""
    final = run_folder.step_folder(folder, step)
    return run_folder.group_folder(final.with_name(f".{final.name}.{tag}.tmp"), group)


class _Worker:
    """A process that trains one group, and the line to it."""

    def __init__(self, job: dict[str, Any], threads: int) -> None:
        self.process, self.line = child.start("rlkit.run.groups:work", threads)
        self.line.send(job)

    def receive(self, seeds: str) -> Event | None:
        """The next event, None after the last."""
        try:
            kind, content = self.line.recv()
        except (EOFError, OSError):
            code = self.process.wait()
            cause = "killed; is memory short?" if code < 0 else f"exit code {code}"
            raise RunError(
                f"the process training seeds {seeds} died ({cause}); "
                "resume the run: its last checkpoint stands"
            ) from None
        if kind == "error":
            name, message, trace = content
            known = getattr(errors, name, {"ValueError": ValueError}.get(name))
            if known is None:
                known, message = RunError, f"training seeds {seeds} failed: {name}: {message}"
            error = known(message)
            error.add_note(trace)
            raise error
        return content

    def proceed(self) -> None:
        """Tell the process that its checkpoint stands."""
        with contextlib.suppress(OSError):  # it has died: the next `receive` says so
            self.line.send("proceed")

    def stop(self) -> None:
        self.line.close()
        self.process.kill()  # no-op when it has ended; what it has published stands
        self.process.wait()


def work(handle: int) -> None:
    """Entry of a worker process: train one group and tell the parent through `handle`."""
    line = Connection(handle)
    job = line.recv()
    proceed = threading.Semaphore(0)
    child.listen(line, proceed.release)
    try:
        for event in _events(job):
            line.send(("event", event))
            if isinstance(event, Save):  # nobody runs ahead of a checkpoint
                proceed.acquire()
        line.send(("event", None))
    except BrokenPipeError:
        pass  # the parent has gone
    except BaseException as error:
        described = type(error).__name__, str(error), traceback.format_exc()
        with contextlib.suppress(OSError):
            line.send(("error", described))


def _events(job: dict[str, Any]) -> Iterator[Event]:
    folder = Path(job["folder"])
    config = run_folder.read_config(folder)
    options = Options.from_json(config["options"])
    torch.set_num_threads(options.threads)
    task = Task.from_json(config["task"])
    lanes = config["groups"][job["group"]]
    session = Session(options, task, rows(options, task), lanes, config["engine"])
    yield from resumed(session, folder, job["start"], job["group"])
    for event in loops.run(session, job["start"]):
        if isinstance(event, Save) and event.write is not None:
            event.write(share(folder, event.step, job["group"], job["tag"]))
            event = event._replace(write=None)
        yield event


def resumed(session: Session, folder: Path, start: int, group: int) -> Iterator[Event]:
    """Bring `session` to the checkpoint of `start`, if not 0; a note where not bit for bit."""
    whole = run_folder.step_folder(folder, start)
    if whole.exists():  # at step 0 too, where a source's beginning took long
        try:
            _, reason = session.load(run_folder.group_folder(whole, group))
        except CheckpointError as error:
            older = [step for step in run_folder.steps(folder, whole=True) if step < start]
            at = f"step {older[-1]:,}" if older else "the beginning"
            raise CheckpointError(f"{error}; or remove {whole} to resume from {at}") from error
        if reason:
            yield Note(
                f"the environment's state cannot be saved ({reason}): every environment begins a "
                f"new episode after step {start}, so this continuation is not bit for bit"
            )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
