"""Children of a sweep forked from a process that has imported what they need (Linux).

Importing torch, gymnasium and numba takes seconds, a fork of a process that has them milliseconds.
What torch and BLAS do not survive is a fork beside their threads: the nursery runs imports and one
trivial kernel, with one thread, and declines when it has more. Where it declines, or is no more,
a child is a fresh interpreter (`rlkit.run.child`).
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import signal
import subprocess
import sys
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import recv_handle, send_handle

from rlkit.run import child
from rlkit.sweeps import job
from rlkit.sweeps.kinds.by_name import kind_of


class Declined(Exception):
    """The nursery cannot fork, or is no more."""


class Forked:
    """A child, with what `subprocess.Popen` has for an engine. It is held by a descriptor: its
    number may be given away again where the nursery, which would wait for it, is killed."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery, self.pid, self._held = nursery, pid, os.pidfd_open(pid)
        self.returncode: int | None = None

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._held, signal.SIGKILL)

    def wait(self) -> int:
        if self.returncode is None:
            wait([self._held])  # readable from its end on
            os.close(self._held)
            try:
                self.returncode = self._nursery.ask(("wait", self.pid, ""))
            except Declined:  # who died first: what it knew of its children is lost
                self.returncode = -signal.SIGKILL
        return self.returncode


class Nursery:
    """One such process, from its first child on until `close`."""

    def __init__(self) -> None:
        """Raises Declined where there is no such thing."""
        try:
            os.close(os.pidfd_open(os.getpid()))
        except (AttributeError, OSError):  # not Linux, or one of old
            raise Declined from None
        process, self._line = child.start("rlkit.sweeps.nursery:main", 1, deaf=True)
        self.close = weakref.finalize(self, _end, process, self._line)

    def start(self, kind: str) -> tuple[Forked, Connection]:
        """A child that waits for a job of a kind, as `job.main` does, and our end of its line.
        Raises Declined."""
        line, theirs = Pipe()
        with theirs:
            return Forked(self, self.ask((kind, 0, child.known()), theirs)), line

    def ask(self, question: tuple[str, int, str], handle: Connection | None = None) -> int:
        """The answer of the process, a number. Raises Declined for None, and for silence."""
        answer = None
        try:
            self._line.send(question)
            if handle is not None:
                send_handle(self._line, handle.fileno(), None)
            answer = self._line.recv()
        except (EOFError, OSError):
            self.close()
        except BaseException:  # interrupted between question and answer: no more of either
            self.close()
            raise
        if answer is None:
            raise Declined
        return int(answer)


def _end(process: subprocess.Popen[bytes], line: Connection) -> None:
    line.close()
    process.kill()
    process.wait()


def main(handle: int) -> None:
    """Entry of the process: forks a child a question, or waits for one, until the line ends. In a
    child it returns when the job is done, so that the child ends as any interpreter does."""
    line = Connection(handle)
    while True:
        try:
            what, pid, known = line.recv()
            if what == "wait":
                line.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
                continue
            theirs = recv_handle(line)
        except (EOFError, OSError):
            return
        _warm(what)
        alone = len(os.listdir("/proc/self/task")) == 1
        forked = os.fork() if alone else None
        if forked == 0:
            line.close()
            _be_one_of_many(known)
            return job.main(theirs)
        os.close(theirs)
        line.send(forked)


@functools.cache  # once a kind
def _warm(kind: str) -> None:
    for name in kind_of(kind).WARM:
        importlib.import_module(name)
    if "numba" in sys.modules:
        from rlkit.core.jit import njit

        njit(cache=True)(_one)()  # numba's own tables are made when a first kernel is called
    gc.collect()
    gc.freeze()  # so that a child's collections do not copy what it shares


def _one() -> int:
    return 1


def _be_one_of_many(known: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    child.learn(known)
    if "numpy" in sys.modules:
        import numpy as np

        # Environments of others may draw from numpy's global numbers: no two children alike.
        np.random.seed()  # noqa: NPY002
