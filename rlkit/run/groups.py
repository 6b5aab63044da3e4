"""Lanes split over processes of their own: one single-threaded process a core.

On a CPU wide nets are bound by arithmetic, so stacking lanes gains nothing while a process a core
does. Each worker runs the very loop of its lanes; the parent joins their events, in lock-step,
and is the only writer of records. A checkpoint counts once every group has written its share.

To stop, the parent says "halt"; every worker tells the step it has come to, or waits at a
checkpoint, and all go on to the farthest of these steps, which is where they end.
"""

from __future__ import annotations

import _thread
import contextlib
import math
import signal
import threading
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from rlkit.core import errors
from rlkit.core.errors import RunError
from rlkit.run import child, loops
from rlkit.run.halt import BrokenOff, Halt
from rlkit.run.preparing import rows
from rlkit.run.records import folder as run_folder
from rlkit.run.records.events import Diverged, Event, Note, Save, merge
from rlkit.run.session import Session
from rlkit.run.settings.options import Options


def grouped(
    folder: Path,
    options: Options,
    start: int,
    groups: Sequence[Sequence[int]],
    temporary_tag: str,
    halt: Halt,
) -> Iterator[Event]:
    """Events of all lanes of the run in `folder`, trained on from the checkpoint of `start`.

    Workers write their shares of a checkpoint to hidden folders whose names end in
    `temporary_tag`. Raises what a worker raised, or RunError when one died.
    """
    jobs = [
        {"folder": str(folder), "start": start, "group": g, "tag": temporary_tag}
        for g in range(len(groups))
    ]
    workers = [_Worker(job, options.threads) for job in jobs]
    names = [", ".join(str(options.seeds[k]) for k in group) for group in groups]

    def receive(worker: _Worker, name: str) -> Event | None:
        while (event := worker.receive(name)) is _WAITS:
            ends = [other.halted_at() for other in workers]
            for other in workers:
                other.tell(("until", max(ends)))
        return event

    def ask_all() -> None:
        for worker in workers:
            worker.tell(("halt", None))

    halt.heard = ask_all
    if halt.asked:
        ask_all()
    try:
        while True:
            events: list[Event] = []
            for worker, name in zip(workers, names, strict=True):
                event = receive(worker, name)
                while isinstance(event, Note | Diverged):
                    yield event
                    event = receive(worker, name)
                if event is None:
                    return
                events.append(event)
            yield merge(events)
            if isinstance(events[0], Save):
                for worker in workers:
                    worker.tell(("proceed", None))
    finally:
        halt.heard = lambda: None
        for worker in workers:
            worker.stop()


def share(folder: Path, step: int, group: int, tag: str) -> Path:
    """Where group `group` writes its share of a checkpoint that is being made."""
    final = run_folder.step_folder(folder, step)
    return run_folder.group_folder(final.with_name(f".{final.name}.{tag}.tmp"), group)


_WAITS: Any = object()


class _Worker:
    """A process that trains one group, and the line to it."""

    folder = Path()  # of the run

    def __init__(self, job: dict[str, Any], threads: int) -> None:
        self.folder = Path(job["folder"])
        self.process, self.line = child.start("rlkit.run.groups:work", threads, deaf=True)
        self.ahead: deque[tuple[str, Any]] = deque()  # received, not yet looked at
        self.at = -1.0  # step at which it waits: to be told where to end, or at a checkpoint
        self.line.send(job)

    def receive(self, seeds: str) -> Event | None:
        """The next event, None after the last; `_WAITS` where it asks how far to go."""
        try:
            kind, content = self.ahead.popleft() if self.ahead else self.line.recv()
        except (EOFError, OSError):
            code = self.process.wait()
            cause = "killed; is memory short?" if code < 0 else f"exit code {code}"
            raise RunError(
                f"the process training seeds {seeds} died ({cause}); "
                f"{run_folder.going_on(self.folder)}"
            ) from None
        if kind == "error":
            name, message, trace = content
            known = getattr(errors, name, {"ValueError": ValueError}.get(name))
            if known is None:
                known, message = RunError, f"training seeds {seeds} failed: {name}: {message}"
            error = known(message)
            error.add_note(trace)
            raise error
        if kind == "at":
            self.at = content
            return _WAITS
        if isinstance(content, Save):
            self.at = content.step
        return content

    def halted_at(self) -> float:
        """The step that it has come to and does not pass; its events up to there are kept."""
        while self.at < 0:
            if self.ahead:
                kind, content = self.ahead[-1]
                if kind == "error":
                    return 0
                if content is None:
                    return math.inf  # it has come to the end, so all go there
                if isinstance(content, Save):
                    return content.step
            try:
                kind, content = self.line.recv()
            except (EOFError, OSError):
                return 0
            if kind == "at":
                self.at = content
            else:
                self.ahead.append((kind, content))
        return self.at

    def tell(self, word: tuple[str, Any]) -> None:
        """Say "proceed" (the checkpoint stands), "halt", or "until" which step to go."""
        if word[0] == "proceed":
            self.at = -1.0
        with contextlib.suppress(OSError):  # it has died: the next `receive` says so
            self.line.send(word)

    def stop(self) -> None:
        self.line.close()
        self.process.kill()  # no-op when it has ended; what it has published stands
        self.process.wait()


def work(handle: int) -> None:
    """Entry of a worker process: train one group and tell the parent through `handle`."""
    line = Connection(handle)
    job = line.recv()
    proceed, halt = threading.Semaphore(0), _Agreed(line)

    def hear(word: tuple[str, Any]) -> None:
        proceed.release() if word[0] == "proceed" else halt.hear(*word)

    child.listen(line, hear)
    try:
        for event in _events(job, halt):
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


class _Agreed(Halt):
    """Asks the parent how far to go, once it has been told to halt."""

    def __init__(self, line: Connection) -> None:
        super().__init__()
        self.line, self.until, self.known = line, math.inf, threading.Event()

    def hear(self, word: str, until: float | None) -> None:
        self.asked = True
        if until is not None:
            self.until = until
            self.known.set()
        else:
            self.heard()

    def here(self, step: int) -> bool:
        if not self.asked:
            return False
        if not self.known.is_set():
            self.line.send(("at", step))
            self.known.wait()
        return step >= self.until

    @contextlib.contextmanager
    def breaking_off(self) -> Iterator[None]:
        """As for one process; the parent's word is heard by another thread, which cannot raise
        here, so that it comes as a signal. A terminal's own, before the word, is nothing."""

        def handle(number: int, frame: Any) -> None:
            if self.asked:
                raise BrokenOff

        deaf = signal.signal(signal.SIGINT, handle)
        self.heard = _thread.interrupt_main
        try:
            if self.asked:
                raise BrokenOff
            yield
        finally:
            self.heard = lambda: None
            signal.signal(signal.SIGINT, deaf)


def _events(job: dict[str, Any], halt: Halt) -> Iterator[Event]:
    folder = Path(job["folder"])
    options, _, task, engine, groups = run_folder.read(folder)
    torch.set_num_threads(options.threads)
    lanes = groups[job["group"]]
    session = Session(options, task, rows(options, task), lanes, engine)
    session.halt = halt
    yield from resumed(session, folder, job["start"], job["group"])
    for event in loops.run(session, job["start"]):
        if isinstance(event, Save) and event.write is not None:
            with run_folder.saving(folder, event.step):
                event.write(share(folder, event.step, job["group"], job["tag"]))
            event = event._replace(write=None)
        yield event


def resumed(session: Session, folder: Path, start: int, group: int) -> Iterator[Event]:
    """Bring `session` to the checkpoint of `start`, if not 0; a note where not bit for bit."""
    whole = run_folder.step_folder(folder, start)
    if whole.exists():  # at step 0 too, where a source's beginning took long
        with run_folder.remedied(whole):
            _, reason = session.load(run_folder.group_folder(whole, group))
        if reason:
            yield Note(
                f"the environment's state cannot be saved ({reason}): every environment begins a "
                f"new episode after step {start}, so this continuation is not bit for bit"
            )
