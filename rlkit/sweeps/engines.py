"""Where runs of a sweep are worked off: processes of this machine, or a Ray cluster."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from rlkit.core.errors import Interrupted
from rlkit.run import child
from rlkit.sweeps.nursery import Declined, Forked, Nursery

_MARGIN = 0.04  # share of the memory that must stay free


class Outcome(NamedTuple):
    """How a job ended: done, failed by its own fault, or lost through no fault of its own."""

    id: int
    kind: Literal["done", "failed", "lost"]
    seconds: float
    text: str = ""
    lanes: tuple[int, ...] = ()  # that alone have failed; the others have come to their end


class Engine(Protocol):
    """Works jobs off; a job is a dictionary that `rlkit.sweeps.job.work` understands."""

    def room(self) -> bool: ...  # for one more job now

    def start(self, id: int, job: dict[str, Any]) -> None: ...

    def poll(self, seconds: float) -> list[Outcome]: ...  # waits at most so long

    def close(self) -> None: ...  # jobs that still run are ended


@dataclass
class _Child:
    process: subprocess.Popen[bytes] | Forked
    line: Connection
    began: float = field(default_factory=time.monotonic)
    peak: int = 0  # bytes


class Local:
    """A process for each job, with one thread.

    A job is started only while memory is left for another of the largest yet seen. When memory
    runs out all the same, the youngest job is ended, waits again, and one slot fewer is used.
    """

    def __init__(self, slots: int | None = None, free: Callable[[], float] | None = None) -> None:
        self.slots = slots or _cores()
        self.notes: list[str] = []
        self._free = free or free_memory
        self._children: dict[int, _Child] = {}
        self._largest = 0
        self._nursery: Nursery | None = None

    def room(self) -> bool:
        if not self._children:
            return True
        if len(self._children) >= self.slots:
            return False
        # Those that run may still grow to the largest size seen, and one more is to fit beside.
        growing = sum(max(0, self._largest - c.peak) for c in self._children.values())
        total, free = _total_memory(), self._free()
        return free * total - growing - self._largest > _MARGIN * total

    def start(self, id: int, job: dict[str, Any]) -> None:
        process, line = self._born(job["kind"])
        line.send(json.dumps(job))
        self._children[id] = _Child(process, line)

    def _born(self, kind: str) -> tuple[subprocess.Popen[bytes] | Forked, Connection]:
        try:
            if self._nursery is None:
                self._nursery = Nursery()
            return self._nursery.start(kind)
        except Declined:
            return child.start("rlkit.sweeps.job:main", 1)

    def poll(self, seconds: float) -> list[Outcome]:
        wait([one.line for one in self._children.values()], seconds)
        found = []
        for id, one in list(self._children.items()):
            one.peak = max(one.peak, _resident(one.process.pid))
            self._largest = max(self._largest, one.peak)
            if not one.line.poll():
                continue
            try:
                failed = one.line.recv()
            except (EOFError, OSError):
                code = one.process.wait()
                text = f"killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
                failed = text, ()
            found.append(ended(id, self._end(id), failed))
        if self._free() < _MARGIN and len(self._children) > 1:
            youngest = max(self._children, key=lambda id: self._children[id].began)
            self.slots = max(1, len(self._children) - 1)
            text = f"memory is short: {self.slots} runs side by side from now on"
            self.notes.append(text)
            found.append(Outcome(youngest, "lost", self._end(youngest), text))
        return found

    def close(self) -> None:
        for id in list(self._children):
            self._end(id)
        if self._nursery is not None:
            self._nursery.close()
            self._nursery = None

    def _end(self, id: int) -> float:
        """Ends a job's process; the seconds it ran."""
        one = self._children.pop(id)
        one.line.close()
        one.process.kill()  # no-op when it has ended
        one.process.wait()
        return time.monotonic() - one.began


def ended(id: int, seconds: float, failed: tuple[str, tuple[int, ...]] | None) -> Outcome:
    """The outcome of what `rlkit.sweeps.job.attempt` gave back."""
    if failed is None:
        return Outcome(id, "done", seconds)
    stopped = failed[0].startswith(f"{Interrupted.__name__}:")  # by a signal, with a checkpoint
    return Outcome(id, "lost" if stopped else "failed", seconds, *failed)


def free_memory() -> float:
    """Share of the memory that is free; 1 where the system does not tell."""
    found = _meminfo()
    return found.get("MemAvailable", 1) / found.get("MemTotal", 1)


def _total_memory() -> int:
    return 1024 * _meminfo().get("MemTotal", 0)


def _meminfo() -> dict[str, int]:
    """/proc/meminfo in kilobytes."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return {}
    return {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def _resident(pid: int) -> int:
    """Bytes of memory a process holds; 0 where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
