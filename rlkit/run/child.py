"""Processes of our own: a fresh interpreter and a line to it, which ends when its parent does."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection


def start(entry: str, threads: int) -> tuple[subprocess.Popen[bytes], Connection]:
    """A process that runs `module:function` with the handle of a line, and our end of the line.

    A fresh interpreter, not a fork: torch does not survive one. Nor a multiprocessing spawn, which
    would import the caller's script again.
    """
    line, theirs = Pipe()
    module, function = entry.split(":")
    code = f"from {module} import {function}; {function}({theirs.fileno()})"
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
        "OMP_NUM_THREADS": str(threads),
    }
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code], pass_fds=[theirs.fileno()], env=environment
    )
    theirs.close()
    return process, line


def listen(line: Connection, heard: Callable[[], None] = lambda: None) -> None:
    """In a process so made: calls `heard` for every word of the parent, and exits when it has
    gone, so that no process outlives a killed parent."""

    def loop() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                line.recv()
                heard()
        os._exit(1)

    threading.Thread(target=loop, daemon=True).start()
